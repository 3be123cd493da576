"""RaScaNet in floating point, built from a :class:`RaScaNetConfig`.

The network reads ``rows`` image rows a step: CNN heads, attention guided by the previous hidden state, a ConvGRU.
A classifier reads the state after any step (paper, figure 3). Parameter names are those of the released checkpoint,
so that its ``state_dict`` loads as it is.

Speed on a CPU decides two things here. The heads do not depend on the state, so all steps go through them in one
batch, in channels-last layout. Behind them everything is kept as ``[channels, batch, columns]``: each convolution is
one matrix product for the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rasca_nn.columns import batch_norm, conv1d, row_groups
from rasca_nn.config import BAND, CONVS, RaScaNetConfig

Observer = Callable[[str, Tensor], None]
"""Called with the name and the value of an intermediate tensor; names as in docs/numerics.md."""


class Steps(NamedTuple):
    """What the network says after every step: logits ``[B, T, classes]`` and confidences ``[B, T]`` in 0..1."""

    logits: Tensor
    confidences: Tensor


def _ignore(name: str, value: Tensor) -> None:
    """The observer that is used when nobody watches."""


class ConvBlock(nn.Module):
    """Convolution (no bias; padding 1 left and right), BN, ReLU, max-pool 1x2 (paper, figure 4)."""

    def __init__(self, inputs: int, outputs: int, height: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, (height, 3), padding=(0, 1), bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, name: str = "", observe: Observer = _ignore) -> Tensor:
        """``[B, in, h, w]`` to ``[B, out, h - height + 1, w // 2]``; ``observe`` sees the value before the pool."""
        y = F.relu(self.bn(self.conv(x)))
        observe(name, y)
        return F.max_pool2d(y, (1, 2))


class Head(nn.Module):
    """One CNN head: four :class:`ConvBlock`, named ``conv_block1`` to ``conv_block4``."""

    def __init__(self, config: RaScaNetConfig) -> None:
        super().__init__()
        channels = (3, *config.channels)
        for j in range(CONVS):
            self.add_module(f"conv_block{j + 1}", ConvBlock(channels[j], channels[j + 1], config.kernel_heights[j]))

    def forward(self, x: Tensor, name: str = "", observe: Observer = _ignore) -> Tensor:
        """Row groups ``[B, 3, rows, w]`` to features ``[B, c, 1, n]``."""
        for j, block in enumerate(self.children(), 1):
            x = block(x, f"{name}.conv{j}", observe)
        return x


class SpatialAttention(nn.Module):
    """P + V softmax(H^T K), for one head (paper, equations 6 to 9).

    ``full`` is the paper's. ``banded`` is the released one: scores divided by sqrt(d), and those further than two
    columns from the diagonal set to 0 before the softmax (so they weigh e^0). The softmax runs over the last axis.
    """

    def __init__(self, config: RaScaNetConfig) -> None:
        super().__init__()
        c = config.channels[-1]
        self.key_conv = nn.Conv1d(c, config.hidden, 1, bias=False)
        self.value_conv = nn.Conv1d(c, c, 1, bias=False)
        self.banded = config.spatial_attention == "banded"

    def forward(self, p: Tensor, hidden: Tensor, name: str = "", observe: Observer = _ignore) -> Tensor:
        """Features ``[c, B, n]`` and state ``[d, B, n]`` to features ``[c, B, n]``."""
        key, value = conv1d(self.key_conv, p), conv1d(self.value_conv, p)
        scores = torch.einsum("dbi,dbj->bij", hidden, key)
        if self.banded:
            column = torch.arange(p.shape[2], device=p.device)
            near = (column[:, None] - column[None, :]).abs() <= BAND
            scores = scores * near / hidden.shape[0] ** 0.5
        weights = scores.softmax(-1)
        mix = p + torch.einsum("cbi,bij->cbj", value, weights)
        for part, tensor in (("key", key), ("value", value), ("weights", weights.transpose(0, 1)), ("mix", mix)):
            observe(f"{name}.{part}", tensor)
        return mix


class ChannelProjection(nn.Module):
    """Channel attention and the projection to the hidden size (paper, equations 10 to 13)."""

    def __init__(self, config: RaScaNetConfig) -> None:
        super().__init__()
        features, hidden = config.features, config.hidden
        self.channel_att = nn.Sequential()
        if config.channel_attention:
            self.channel_att.extend(
                [
                    nn.Conv1d(features + hidden, config.attention, 1),
                    nn.ReLU() if config.attention_relu else nn.Identity(),
                    nn.Conv1d(config.attention, features, 1),
                ]
            )
        if config.projection == "1x1":
            self.projection = nn.Sequential(nn.Conv1d(features, hidden, 1))
        else:
            self.projection = nn.Sequential(
                nn.Conv1d(features, hidden, 3, padding=1, bias=False),
                nn.BatchNorm1d(hidden),
                nn.ReLU(),
                nn.Conv1d(hidden, hidden, 3, padding=1, bias=False),
                nn.BatchNorm1d(hidden),
                nn.ReLU(),
            )

    def forward(self, c: Tensor, hidden: Tensor, observe: Observer = _ignore) -> Tensor:
        """Features C ``[cM, B, n]`` and state ``[d, B, n]`` to F ``[d, B, n]``."""
        if len(self.channel_att):
            squeeze, relu, excite = self.channel_att
            squeezed = relu(conv1d(squeeze, torch.cat([c, hidden])))  # type: ignore[arg-type]
            observe("attention.squeeze", squeezed)
            gate = conv1d(excite, squeezed)  # type: ignore[arg-type]
            observe("attention.excite", gate)
            c = c * gate.sigmoid()
            observe("attention.scaled", c)
        x = conv1d(self.projection[0], c)  # type: ignore[arg-type]
        if len(self.projection) == 1:
            observe("projection.0", x)
            return x
        x = F.relu(batch_norm(self.projection[1], x))
        observe("projection.0", x)
        x = F.relu(batch_norm(self.projection[4], conv1d(self.projection[3], x)))  # type: ignore[arg-type]
        observe("projection.1", x)
        return x


class Attention(nn.Module):
    """Spatial attention of each head where there is any, then :class:`ChannelProjection`."""

    def __init__(self, config: RaScaNetConfig) -> None:
        super().__init__()
        self.spatial: list[SpatialAttention] = []
        if config.spatial_attention != "off":
            for i in range(config.heads):
                self.add_module(f"spatial_attention_{i}", SpatialAttention(config))
            self.spatial = [m for m in self.children() if isinstance(m, SpatialAttention)]
        self.channel_prj = ChannelProjection(config)

    def forward(self, c: Tensor, hidden: Tensor, observe: Observer = _ignore) -> Tensor:
        """Features C ``[cM, B, n]`` and state ``[d, B, n]`` to F ``[d, B, n]``."""
        if self.spatial:
            heads = c.chunk(len(self.spatial))
            c = torch.cat(
                [
                    attend(p, hidden, f"spatial{i}", observe)
                    for i, (attend, p) in enumerate(zip(self.spatial, heads, strict=True))
                ]
            )
        f: Tensor = self.channel_prj(c, hidden, observe)
        return f


class GRUCell(nn.Module):
    """ConvGRU (paper, equations 2 to 5); the reset gate is applied to H before the candidate's convolution."""

    def __init__(self, config: RaScaNetConfig) -> None:
        super().__init__()
        d = config.hidden
        self.conv_reset = nn.Conv1d(2 * d, d, 1)
        self.conv_update = nn.Conv1d(2 * d, d, 1)
        self.conv_h = nn.Conv1d(2 * d, d, 1)

    def forward(self, f: Tensor, hidden: Tensor, observe: Observer = _ignore) -> Tensor:
        """F and H ``[d, B, n]`` to the new H; ``observe`` sees the values before sigmoid and tanh."""
        fh = torch.cat([f, hidden])
        reset, update = conv1d(self.conv_reset, fh), conv1d(self.conv_update, fh)
        candidate = conv1d(self.conv_h, torch.cat([f, hidden * reset.sigmoid()]))
        for name, value in (("gru.reset", reset), ("gru.update", update), ("gru.candidate", candidate)):
            observe(name, value)
        new = candidate.tanh()
        return new + update.sigmoid() * (hidden - new)


class RaScaNet(nn.Module):
    """The whole network.

    Input is float ``[B, 3, h, w]`` holding the integers -127..127 that :func:`rasca_nn.data.normalise` gives;
    channels-last memory saves a copy.
    """

    def __init__(self, config: RaScaNetConfig) -> None:
        super().__init__()
        self.config = config
        for i in range(config.heads):
            self.add_module(f"raster_cnn_{i}", Head(config))
        self.heads: list[Head] = [m for m in self.children() if isinstance(m, Head)]
        self.raster_att = Attention(config)
        self.raster_rnn = nn.ModuleDict({"gru": nn.ModuleDict({"cell": GRUCell(config)})})
        self.raster_confidence = nn.ModuleDict(
            {"out_classifier": nn.Sequential(nn.Identity(), nn.Linear(config.hidden, 1))}
        )
        hidden, classes = config.classifier_hidden, config.classes
        self.out_classifier = nn.ModuleDict({"out_classifier": nn.Sequential(nn.Linear(config.hidden, classes))})
        if hidden:
            self.out_classifier["out_classifier"] = nn.Sequential(
                nn.Linear(config.hidden, hidden), nn.BatchNorm1d(hidden), nn.Hardswish(), nn.Linear(hidden, classes)
            )

    @property
    def state_unit(self) -> float:
        """Real value of one unit of the states."""
        return 1.0

    @property
    def cell(self) -> GRUCell:
        """The recurrent cell."""
        return self.raster_rnn["gru"]["cell"]  # type: ignore[index]

    @property
    def classifier(self) -> nn.Sequential:
        """The classifier's layers."""
        return self.out_classifier["out_classifier"]  # type: ignore[return-value]

    def features(self, x: Tensor, observe: Observer = _ignore) -> Tensor:
        """The heads over every row group: images ``[B, 3, h, w]`` to C ``[T, cM, B, n]``.

        ``w`` may differ from the configured width, and ``T`` follows ``h``: training at other sizes uses this.
        """
        groups = row_groups(x, self.config.rows)
        c = torch.cat([head(groups, f"head{i}", observe) for i, head in enumerate(self.heads)], 1)
        return c.view(len(x), -1, c.shape[1], c.shape[3]).permute(1, 2, 0, 3).contiguous()

    def scan(self, x: Tensor, observe: Observer = _ignore) -> Tensor:
        """The hidden state after every step: images ``[B, 3, h, w]`` to ``[T, d, B, n]``."""
        c = self.features(x, observe)
        hidden = c.new_zeros(self.config.hidden, *c.shape[2:])
        states = []
        for step in c:
            hidden = self.cell(self.raster_att(step, hidden, observe), hidden, observe)
            states.append(hidden)
        return torch.stack(states)

    def pool(self, hidden: Tensor) -> Tensor:
        """States ``[..., d, B, n]`` to ``[..., B, d]``: mean over columns, or mean + max."""
        p = hidden.mean(-1)
        if self.config.pool == "mean+max":
            p = p + hidden.amax(-1)
        return p.transpose(-1, -2)

    def classify(self, pooled: Tensor) -> Tensor:
        """Pooled states ``[..., d]`` to logits ``[..., classes]`` (paper, equation 14)."""
        logits: Tensor = self.classifier(pooled.reshape(-1, pooled.shape[-1]))
        return logits.view(*pooled.shape[:-1], -1)

    def confidence(self, pooled: Tensor) -> Tensor:
        """Pooled states ``[..., d]`` to confidences ``[...]`` in 0..1; the head exists for training alone."""
        score: Tensor = self.raster_confidence["out_classifier"](pooled)
        return score.squeeze(-1).sigmoid()

    def steps(self, x: Tensor) -> Steps:
        """Logits and confidences after every step."""
        pooled = self.pool(self.scan(x)).transpose(0, 1)
        return Steps(self.classify(pooled), self.confidence(pooled))

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[B, classes]`` after the last step; class 1 is "person" in the presets."""
        return self.classify(self.pool(self.scan(x)[-1]))
