"""Weights, activations and operations of a configuration, counted as the paper does.

Weights are all trainable parameters, batch norms and the confidence head too, one byte each. Peak memory is the largest
input + output of one layer, one byte a value (supplement, equations 1 and 2). Operations are the multiply-accumulates
of convolutions and linear layers, one for each bias added and one for each batch-norm output; the products of two
activations (gates, spatial attention) are not counted. The excitation's bias is left out: only so do the figures of
both released networks come out (56.34 M and 9.71 M).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any

from rasca_nn.config import CONVS, RaScaNetConfig

Shape = tuple[int, int, int]
"""Channels, height and width of a tensor."""


@dataclass(frozen=True)
class LayerCount:
    """One layer in one step.

    ``activations`` is its input plus its output, in values; ``inputs`` and ``outputs`` are their shapes, ``kernel`` is
    height and width, (0, 0) for a pool. ``weights`` also holds bias and batch norm.
    """

    name: str
    weights: int
    activations: int
    macs: int
    ops: int
    inputs: Shape
    outputs: Shape
    kernel: tuple[int, int]


@dataclass(frozen=True)
class Count:
    """A whole network; ``macs`` and ``ops`` are those of a frame, ``weights`` and ``peak`` are bytes of 8 bits."""

    layers: tuple[LayerCount, ...]
    steps: int
    weights: int
    peak: int
    macs: int
    ops: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def _conv(name: str, inputs: Shape, outputs: Shape, kernel: tuple[int, int] = (1, 1), extra: str = "") -> LayerCount:
    """A convolution, or a linear layer where a channel is one value; ``extra`` is ``bias``, ``norm`` or nothing."""
    channels, size = outputs[0], prod(outputs)
    matrix = inputs[0] * channels * prod(kernel)
    macs = matrix * size // channels
    weights = matrix + {"": 0, "bias": channels, "norm": 2 * channels}[extra]
    ops = macs + (size if extra else 0)
    return LayerCount(name, weights, prod(inputs) + size, macs, ops, inputs, outputs, kernel)


def _pool(name: str, inputs: Shape, outputs: Shape) -> LayerCount:
    """A max-pool: memory, but nothing the paper counts as an operation."""
    return LayerCount(name, 0, prod(inputs) + prod(outputs), 0, 0, inputs, outputs, (0, 0))


def _head(config: RaScaNetConfig, head: int) -> list[LayerCount]:
    found = []
    channels, heights, widths = (3, *config.channels), config.heights, config.widths
    for j in range(CONVS):
        before = (channels[j], heights[j], widths[j])
        wide = (channels[j + 1], heights[j + 1], widths[j])
        after = (channels[j + 1], heights[j + 1], widths[j + 1])
        kernel = (config.kernel_heights[j], 3)
        found += [
            _conv(f"head{head}.conv{j + 1}", before, wide, kernel, "norm"),
            _pool(f"head{head}.pool{j + 1}", wide, after),
        ]
    return found


def _layers(config: RaScaNetConfig) -> list[LayerCount]:
    found = [layer for i in range(config.heads) for layer in _head(config, i)]

    def row(channels: int) -> Shape:
        return (channels, 1, config.columns)

    c, d = config.channels[-1], config.hidden
    if config.spatial_attention != "off":
        for i in range(config.heads):
            found += [_conv(f"spatial{i}.key", row(c), row(d)), _conv(f"spatial{i}.value", row(c), row(c))]
    if config.channel_attention:
        found.append(_conv("attention.squeeze", row(config.features + d), row(config.attention), extra="bias"))
        excite = _conv("attention.excite", row(config.attention), row(config.features), extra="bias")
        found.append(replace(excite, ops=excite.macs))
    if config.projection == "1x1":
        found.append(_conv("projection.0", row(config.features), row(d), extra="bias"))
    else:
        found.append(_conv("projection.0", row(config.features), row(d), (1, 3), "norm"))
        found.append(_conv("projection.1", row(d), row(d), (1, 3), "norm"))
    found += [_conv(f"gru.{gate}", row(2 * d), row(d), extra="bias") for gate in ("reset", "update", "candidate")]
    last = config.classifier_hidden
    if last:
        hidden = _conv("classifier.hidden", (d, 1, 1), (last, 1, 1), extra="bias")
        # Bias and batch norm.
        found.append(replace(hidden, weights=hidden.weights + 2 * last, ops=hidden.ops + last))
    found.append(_conv("classifier.output", (last or d, 1, 1), (config.classes, 1, 1), extra="bias"))
    # In training alone: parameters, but no operations of the network in use.
    confidence = _conv("confidence", (d, 1, 1), (1, 1, 1), extra="bias")
    found.append(replace(confidence, macs=0, ops=0))
    return found


def count(config: RaScaNetConfig) -> Count:
    """Count a configuration, layer by layer and whole."""
    layers = tuple(_layers(config))
    return Count(
        layers,
        config.steps,
        sum(layer.weights for layer in layers),
        max(layer.activations for layer in layers),
        config.steps * sum(layer.macs for layer in layers),
        config.steps * sum(layer.ops for layer in layers),
    )
