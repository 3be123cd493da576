"""The integer model: docs/numerics.md in PyTorch, every tensor of every step.

Written to be read beside that page, and independent of the hardware. All values are int32 tensors, batch first. Sums of
products are taken by float64 convolutions: the integers stay far below 2^53 (each sum fits 32 bits, which
:class:`Int8Model` has proven), so every partial sum is exact and no order of summation matters.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from rasca_nn.config import BAND, CONVS
from rasca_nn.int8_file import Int8Model, Layer

Trace = dict[str, Tensor]
"""Every intermediate tensor of one step, by name."""


def normalise(images: Tensor) -> Tensor:
    """Pixel bytes to -127..127: ``x - 127 - (x >= 128)``; uint8 of any shape to int32."""
    x = images.to(torch.int32)
    return x - 127 - (x >= 128).to(torch.int32)


def accumulate(layer: Layer, x: Tensor) -> Tensor:
    """``acc + bias``: int32 ``[B, in, h, w]`` to int64 ``[B, out, h - kh + 1, w]``.

    3-wide kernels see one column of zeros on the left and on the right.
    """
    weight = torch.from_numpy(layer.weight).double()
    pad = (0, weight.shape[3] // 2)
    acc = F.conv2d(x.double(), weight, padding=pad).to(torch.int64)
    return acc + torch.from_numpy(layer.bias)[:, None, None]


def requantise(layer: Layer, acc: Tensor, low: int, high: int) -> Tensor:
    """``clamp((acc + half) >> shift, low, high)``; rounds to nearest, ties towards plus infinity."""
    shift = torch.from_numpy(layer.shift).to(torch.int64)[:, None, None]
    half = torch.from_numpy(layer.half)[:, None, None]
    return ((acc + half) >> shift).clamp(low, high).to(torch.int32)


def unsigned(layer: Layer, x: Tensor) -> Tensor:
    """A layer with 8-bit unsigned output, which is its ReLU."""
    return requantise(layer, accumulate(layer, x), 0, 255)


def signed(layer: Layer, x: Tensor) -> Tensor:
    """A layer with 8-bit signed output."""
    return requantise(layer, accumulate(layer, x), -128, 127)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Batched matrix product of integers, exact: ``[B, l, m]`` and ``[B, m, n]`` to int64 ``[B, l, n]``."""
    return (a.double() @ b.double()).to(torch.int64)


def shifted(x: Tensor, shift: int) -> Tensor:
    """``(x + half) >> shift``: rounds to nearest, ties towards plus infinity."""
    return (x + (1 << shift >> 1)) >> shift


def softmax(table: Tensor, scores: Tensor, fraction: int) -> Tensor:
    """Softmax over the last axis by a table of exponentials: scores int32 to weights 0..127, ``7 + fraction`` bits."""
    below = (scores.amax(-1, keepdim=True) - scores).clamp(max=255)
    exp = table[below.long()].to(torch.int64)
    return shifted(exp * (2**24 // exp.sum(-1, keepdim=True)), 17 - fraction).clamp(max=127).to(torch.int32)


def up(gate: Tensor) -> Tensor:
    """A gate 0..255 in units of 1/256: 255 means exactly one."""
    return gate + (gate >> 7)


def _columns(x: Tensor) -> Tensor:
    """``[B, ch, n]`` as a map of height 1."""
    return x.unsqueeze(2)


class IntegerNet:
    """The integer network of one model, working on row groups."""

    def __init__(self, model: Int8Model) -> None:
        self.model = model
        self.config = model.config
        self.layers = model.layers
        self.tables = {name: torch.from_numpy(table.astype("int32")) for name, table in model.tables.items()}

    def look_up(self, table: str, index: Tensor) -> Tensor:
        """Table entries for indices -128..127."""
        return self.tables[table][(index + 128).long()]

    def groups(self, images: Tensor) -> Tensor:
        """Bytes ``[B, h, w, 3]`` to row groups, int32 ``[B, T, 3, rows, w]``; left-over bottom rows are dropped."""
        config = self.config
        if images.dtype != torch.uint8 or images.shape[1:] != (config.height, config.width, 3):
            wanted = f"uint8 [B, {config.height}, {config.width}, 3]"
            raise ValueError(f"images must be {wanted}, not {images.dtype} {list(images.shape)}")
        rows = normalise(images)[:, : config.steps * config.rows]
        return rows.unflatten(1, (config.steps, config.rows)).permute(0, 1, 4, 2, 3)

    def heads(self, group: Tensor, trace: Trace) -> Tensor:
        """Row groups ``[B, 3, rows, w]`` to the features C of all heads, u8 ``[B, cM, n]``."""
        features = []
        for i in range(self.config.heads):
            x = group
            for j in range(1, CONVS + 1):
                x = unsigned(self.layers[f"head{i}.conv{j}"], x)
                trace[f"head{i}.conv{j}"] = x
                even = x.shape[3] // 2 * 2
                x = torch.maximum(x[..., 0:even:2], x[..., 1:even:2])
                trace[f"head{i}.pool{j}"] = x
            features.append(x.squeeze(2))
        return torch.cat(features, 1)

    def attend(self, c: Tensor, hidden: Tensor, trace: Trace) -> Tensor:
        """Spatial attention, P + V softmax(H^T K) of each head: C u8 ``[B, cM, n]`` and H to C, s8 then."""
        if not self.model.spatial:
            return c
        column = torch.arange(self.config.columns)
        far = (column[:, None] - column[None, :]).abs() > BAND
        mixed = []
        for i, (p, shifts) in enumerate(zip(c.chunk(self.config.heads, 1), self.model.spatial, strict=True)):
            key = signed(self.layers[f"spatial{i}.key"], _columns(p)).squeeze(2)
            value = signed(self.layers[f"spatial{i}.value"], _columns(p)).squeeze(2)
            scores = shifted(product(hidden.transpose(1, 2), key), shifts.scores).clamp(-2048, 2047).to(torch.int32)
            if self.config.spatial_attention == "banded":
                scores = scores.masked_fill(far, 0)
            weights = softmax(self.tables["exp"], scores, shifts.weights)
            change = shifted(product(value, weights), shifts.mix).clamp(-128, 127)
            mixed.append((change + shifted(p, shifts.residual)).clamp(-128, 127).to(torch.int32))
            trace |= {f"spatial{i}.key": key, f"spatial{i}.value": value, f"spatial{i}.scores": scores}
            trace |= {f"spatial{i}.weights": weights, f"spatial{i}.mix": mixed[-1]}
        return torch.cat(mixed, 1)

    def project(self, c: Tensor, hidden: Tensor, trace: Trace) -> Tensor:
        """C ``[B, cM, n]`` and H ``[B, d, n]`` to F ``[B, d, n]``: both attentions, then the projection."""
        c = self.attend(c, hidden, trace)
        if self.config.channel_attention:
            squeeze = unsigned if self.config.attention_relu else signed
            squeezed = squeeze(self.layers["attention.squeeze"], _columns(torch.cat([c, hidden], 1)))
            gate = self.look_up("sigmoid", signed(self.layers["attention.excite"], squeezed).squeeze(2))
            c = (c * up(gate) + 128) >> 8
            trace |= {"attention.squeeze": squeezed.squeeze(2), "attention.gate": gate, "attention.scaled": c}
        if self.config.projection == "1x1":
            f = signed(self.layers["projection.0"], _columns(c))
        else:
            f = unsigned(self.layers["projection.0"], _columns(c))
            trace["projection.0"] = f.squeeze(2)
            f = unsigned(self.layers["projection.1"], f)
        f = f.squeeze(2)
        trace["projection.0" if self.config.projection == "1x1" else "projection.1"] = f
        return f

    def recur(self, f: Tensor, hidden: Tensor, trace: Trace) -> Tensor:
        """F and H to the new H, s8 ``[B, d, n]`` each."""
        fh = _columns(torch.cat([f, hidden], 1))
        reset = self.look_up("sigmoid", signed(self.layers["gru.reset"], fh).squeeze(2))
        update = self.look_up("sigmoid", signed(self.layers["gru.update"], fh).squeeze(2))
        kept = (hidden * up(reset) + 128) >> 8
        fr = _columns(torch.cat([f, kept], 1))
        new = self.look_up("tanh", signed(self.layers["gru.candidate"], fr).squeeze(2))
        state = new + ((up(update) * (hidden - new) + 128) >> 8)
        trace |= {"gru.reset.gate": reset, "gru.reset": kept, "gru.update": update}
        trace |= {"gru.candidate.tanh": new, "gru.candidate": state}
        return state

    def pool(self, hidden: Tensor) -> Tensor:
        """H ``[B, d, n]`` to p, s8 ``[B, d]``."""
        n = hidden.shape[2]
        m = (2**15 // n + 1) // 2  # floor(2^14 / n + 0.5)
        p = hidden.to(torch.int64).sum(2) * m
        if self.config.pool == "mean":
            return ((p + 2**13) >> 14).clamp(-128, 127).to(torch.int32)
        p += hidden.amax(2) * 2**14
        return ((p + 2**14) >> 15).clamp(-128, 127).to(torch.int32)

    def classify(self, hidden: Tensor, trace: Trace) -> Tensor:
        """H ``[B, d, n]`` to logits, int32 ``[B, classes]``."""
        p = self.pool(hidden)
        trace["pool"] = p
        if self.config.classifier_hidden:
            index = signed(self.layers["classifier.hidden"], p[:, :, None, None])[:, :, 0, 0]
            p = self.look_up("hardswish", index)
            trace["classifier.hidden"] = p
        logits = accumulate(self.layers["classifier.output"], p[:, :, None, None])[:, :, 0, 0].to(torch.int32)
        trace["classifier.output"] = logits
        return logits

    def start(self, batch: int) -> Tensor:
        """The state before the first step: zeros ``[B, d, n]``."""
        return torch.zeros(batch, self.config.hidden, self.config.columns, dtype=torch.int32)


def trace_steps(model: Int8Model, images: Tensor) -> Iterator[Trace]:
    """The steps of :func:`run` one after the other, so that a caller need not hold them all."""
    net = IntegerNet(model)
    groups = net.groups(images)
    hidden = net.start(len(images))
    for t in range(net.config.steps):
        trace: Trace = {}
        features = net.heads(groups[:, t], trace)
        hidden = net.recur(net.project(features, hidden, trace), hidden, trace)
        net.classify(hidden, trace)
        yield trace


def run(model: Int8Model, images: Tensor) -> list[Trace]:
    """Every intermediate tensor of every step.

    Parameters
    ----------
    images : uint8 ``[B, h, w, 3]``, RGB bytes.

    Returns
    -------
    One dict a step. ``head{i}.conv{j}`` (before the pool) and ``head{i}.pool{j}``: ``[B, channels, height, width]``;
    ``spatial{i}.key``, ``.value``, ``.scores`` (after the mask), ``.weights`` (A, ``[B, n, n]``), ``.mix`` (P + V A);
    ``attention.squeeze``, ``attention.gate`` (A), ``attention.scaled`` (CA), ``projection.0``, ``projection.1``,
    ``gru.reset.gate`` (R), ``gru.reset`` (HR), ``gru.update`` (U), ``gru.candidate.tanh`` (N), ``gru.candidate``
    (the new H): ``[B, channels, n]``; ``pool`` (p), ``classifier.hidden`` (behind its table): ``[B, channels]``;
    ``classifier.output``: logits ``[B, classes]``. All int32; what the configuration has not is absent.
    """
    return list(trace_steps(model, images))


def step_logits(model: Int8Model, images: Tensor) -> Tensor:
    """Logits after every step, int32 ``[B, T, classes]``: the same numbers as :func:`run`, several times faster.

    The heads do not depend on the state, so all steps of an image go through them together.
    """
    net = IntegerNet(model)
    groups = net.groups(images)
    features = net.heads(groups.flatten(0, 1), {}).unflatten(0, groups.shape[:2])
    hidden = net.start(len(images))
    states = []
    for t in range(net.config.steps):
        hidden = net.recur(net.project(features[:, t], hidden, {}), hidden, {})
        states.append(hidden)
    return net.classify(torch.stack(states, 1).flatten(0, 1), {}).unflatten(0, groups.shape[:2])


def logits(model: Int8Model, images: Tensor) -> Tensor:
    """Logits after the last step, int32 ``[B, classes]``; uint8 images ``[B, h, w, 3]``."""
    return step_logits(model, images)[:, -1]
