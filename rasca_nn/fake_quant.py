"""The integer model in floating point, through which gradients pass: what quantisation-aware training computes.

Every tensor holds the integers of docs/numerics.md, at the same places and with the same rounding as
:mod:`rasca_nn.integer`; weights, biases and shifts come from the quantiser itself. Where the integer model rounds or
looks a value up, the gradient is that of the smooth function it stands for (straight-through); where it clamps, zero.
Sums are exact as long as they stay below 2^24 (:attr:`FakeQuantNet.exact`) and the device adds products up as they are
(a CPU does; a GPU may transform convolutions), and then every logit equals the integer model's.

Behind the heads everything is kept as ``[channels, batch, columns]``, as in :mod:`rasca_nn.model`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rasca_nn import integer
from rasca_nn.columns import convolve, row_groups
from rasca_nn.config import BAND, CONVS
from rasca_nn.fold import FloatLayer, fold, fold_with_gradient
from rasca_nn.int8_file import HARDSWISH_SCALE, Int8Model, accumulator_bounds
from rasca_nn.model import RaScaNet
from rasca_nn.quantize import assemble, trained_scheme
from rasca_nn.quantize_spatial import HIDDEN_SCALE
from rasca_nn.scheme import Scheme, formats, input_scales
from rasca_nn.tables import EXP_STEP, SIGMOID_STEP, TANH_STEP

EXACT = 1 << 24
"""Integers below this are exact in float32."""


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, smooth: Tensor, exact: Tensor) -> Tensor:
        return exact.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def through(smooth: Tensor, exact: Tensor) -> Tensor:
    """The value of ``exact``, the gradient of ``smooth``."""
    found: Tensor = _Through.apply(smooth, exact)
    return found


def rounded(z: Tensor, low: float = -torch.inf, high: float = torch.inf) -> Tensor:
    """``clamp(floor(z + 0.5), low, high)``; the gradient is 1 within the range."""
    kept = z.clamp(low, high)
    return through(kept, (kept.detach() + 0.5).floor())


class FakeQuantNet:
    """A network as its integer model computes it, at the scales of ``scheme``.

    ``int8`` is that integer model. Has the methods of :class:`~rasca_nn.model.RaScaNet` that training uses; states and
    pooled states are integers, logits and confidences real.
    """

    def __init__(self, model: RaScaNet, scheme: Scheme) -> None:
        self.model, self.config = model, model.config
        folded = fold(model)
        self.int8: Int8Model = assemble(self.config, folded, trained_scheme(self.config, folded, scheme), clip=True)
        self.scales, self.formats = self.int8.scales, formats(self.config)
        self.device = next(model.parameters()).device
        self.tables = {k: torch.from_numpy(v.astype("int32")).to(self.device) for k, v in self.int8.tables.items()}
        inputs = input_scales(self.config, self.scales)
        self.layers = {
            name: self._layer(layer, torch.from_numpy(inputs[name]).to(self.device))
            for name, layer in fold_with_gradient(model).items()
        }

    @property
    def state_unit(self) -> float:
        """Real value of one unit of the states."""
        return HIDDEN_SCALE

    @property
    def pool_unit(self) -> float:
        """Real value of one unit of the pooled states."""
        return HIDDEN_SCALE * (2 if self.config.pool == "mean+max" else 1)

    @property
    def exact(self) -> bool:
        """Whether no sum can leave what float32 holds exactly, whatever the photo."""
        spans = [accumulator_bounds(self.config, layer) for layer in self.int8.layers.values()]
        return all(int(low.min()) > -EXACT and int(high.max()) < EXACT for low, high in spans)

    def _layer(self, layer: FloatLayer, s_in: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias in units of the output: the integers over 2^shift."""
        integers, unit = self.int8.layers[layer.name], self.scales[layer.name]
        fraction = 2.0 ** -torch.from_numpy(integers.shift).double().to(self.device)
        weight = torch.from_numpy(integers.weight).to(self.device) * fraction[:, None, None, None]
        bias = torch.from_numpy(integers.bias).to(self.device) * fraction
        smooth = layer.weight * s_in[None, :, None, None] / unit
        return through(smooth, weight).float(), through(layer.bias / unit, bias).float()

    def apply(self, name: str, x: Tensor) -> Tensor:
        """A layer behind the heads, requantised; ``[in, B, n]`` to ``[out, B, n]``."""
        weight, bias = self.layers[name]
        return rounded(convolve(weight[:, :, 0], x) + bias[:, None, None], *self.formats[name])

    def gate(self, name: str, x: Tensor) -> Tensor:
        """A layer and the sigmoid behind it, 0..256."""
        index = self.apply(name, x)
        table = integer.up(self.tables["sigmoid"][(index + 128).long()])
        return through(256 * (index * SIGMOID_STEP).sigmoid(), table.float())

    def head(self, i: int, x: Tensor) -> Tensor:
        """Row groups ``[B, 3, rows, w]`` to features ``[B, c, 1, n]``."""
        for j in range(1, CONVS + 1):
            name = f"head{i}.conv{j}"
            weight, bias = self.layers[name]
            z = F.conv2d(x, weight, padding=(0, weight.shape[3] // 2)) + bias[:, None, None]
            x = F.max_pool2d(rounded(z, *self.formats[name]), (1, 2))
        return x

    def attend(self, i: int, p: Tensor, hidden: Tensor) -> Tensor:
        """Spatial attention of a head, P + V softmax(H^T K)."""
        shifts = self.int8.spatial[i]
        key, value = self.apply(f"spatial{i}.key", p), self.apply(f"spatial{i}.value", p)
        scores = rounded(torch.einsum("dbi,dbj->bij", hidden, key) / 2**shifts.scores, -2048, 2047)
        if self.config.spatial_attention == "banded":
            column = torch.arange(p.shape[2], device=self.device)
            scores = scores * ((column[:, None] - column[None, :]).abs() <= BAND)
        one = 2.0 ** (7 + shifts.weights)
        smooth = (one * (scores * EXP_STEP).softmax(-1)).clamp(max=127)
        exact = integer.softmax(self.tables["exp"], scores.detach().int(), shifts.weights)
        weights = through(smooth, exact.float())
        change = rounded(torch.einsum("cbi,bij->cbj", value, weights) / 2**shifts.mix, -128, 127)
        return rounded(change + rounded(p / 2**shifts.residual), -128, 127)

    def step(self, c: Tensor, hidden: Tensor) -> Tensor:
        """Features C ``[cM, B, n]`` and state ``[d, B, n]`` to the next state."""
        if self.int8.spatial:
            heads = c.chunk(self.config.heads)
            c = torch.cat([self.attend(i, p, hidden) for i, p in enumerate(heads)])
        if self.config.channel_attention:
            squeezed = self.apply("attention.squeeze", torch.cat([c, hidden]))
            c = rounded(c * self.gate("attention.excite", squeezed) / 256)
        f = self.apply("projection.0", c)
        if self.config.projection != "1x1":
            f = self.apply("projection.1", f)
        fh = torch.cat([f, hidden])
        reset, update = self.gate("gru.reset", fh), self.gate("gru.update", fh)
        index = self.apply("gru.candidate", torch.cat([f, rounded(hidden * reset / 256)]))
        new = through(127 * (index * TANH_STEP).tanh(), self.tables["tanh"][(index + 128).long()].float())
        return new + rounded(update * (hidden - new) / 256)

    def scan(self, x: Tensor) -> Tensor:
        """The hidden state after every step: images ``[B, 3, h, w]`` of integers to ``[T, d, B, n]``."""
        groups = row_groups(x.round(), self.config.rows)
        c = torch.cat([self.head(i, groups) for i in range(self.config.heads)], 1)
        c = c.view(len(x), -1, c.shape[1], c.shape[3]).permute(1, 2, 0, 3).contiguous()
        hidden = c.new_zeros(self.config.hidden, *c.shape[2:])
        states = []
        for step in c:
            hidden = self.step(step, hidden)
            states.append(hidden)
        return torch.stack(states)

    def pool(self, hidden: Tensor) -> Tensor:
        """States ``[..., d, B, n]`` to ``[..., B, d]``."""
        n = hidden.shape[-1]
        p = hidden.sum(-1) * ((2**15 // n + 1) // 2)
        p = p / 2**14 if self.config.pool == "mean" else (p + hidden.amax(-1) * 2**14) / 2**15
        return rounded(p, -128, 127).transpose(-1, -2)

    def classify(self, pooled: Tensor) -> Tensor:
        """Pooled states ``[..., d]`` to real logits ``[..., classes]``."""
        x = pooled
        if self.config.classifier_hidden:
            weight, bias = self.layers["classifier.hidden"]
            index = rounded(x @ weight[:, :, 0, 0].T + bias, -128, 127)
            smooth = F.hardswish(index * self.scales["classifier.hidden"]) / self.scales[HARDSWISH_SCALE]
            x = through(smooth, self.tables["hardswish"][(index + 128).long()].float())
        weight, bias = self.layers["classifier.output"]
        return (x @ weight[:, :, 0, 0].T + bias) * self.scales["classifier.output"]

    def confidence(self, pooled: Tensor) -> Tensor:
        """Pooled states ``[..., d]`` to confidences ``[...]`` in 0..1; for training alone, in float."""
        return self.model.confidence(pooled * self.pool_unit)

    def __call__(self, x: Tensor) -> Tensor:
        """Real logits ``[B, classes]`` after the last step."""
        return self.classify(self.pool(self.scan(x)[-1]))
