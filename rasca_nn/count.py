"""Weights, activations and operations of a configuration, counted as the paper does.

Weights are all trainable parameters, batch norms and the confidence head too, one byte each. Peak memory is the largest
input + output of one layer, one byte a value (supplement, equations 1 and 2). Operations are the multiply-accumulates
of convolutions and linear layers, one for each bias added and one for each batch-norm output; the products of two
activations (gates, spatial attention) are not counted. The excitation's bias is left out: only so do the figures of
both released networks come out (56.34 M and 9.71 M).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rasca_nn.config import CONVS, RaScaNetConfig


@dataclass(frozen=True)
class LayerCount:
    """One layer in one step; ``activations`` is its input plus its output, in values."""

    name: str
    weights: int
    activations: int
    macs: int
    ops: int


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


def _conv(name: str, inputs: int, outputs: int, taps: int, size: tuple[int, int], extra: str = "") -> LayerCount:
    """A convolution over ``size`` (values a channel, before and after); ``extra`` is ``bias``, ``norm`` or nothing."""
    before, after = size
    weights = inputs * outputs * taps + {"": 0, "bias": outputs, "norm": 2 * outputs}[extra]
    macs = inputs * outputs * taps * after
    ops = macs + (outputs * after if extra else 0)
    return LayerCount(name, weights, inputs * before + outputs * after, macs, ops)


def _layers(config: RaScaNetConfig) -> list[LayerCount]:
    found = []
    channels, heights, widths = (3, *config.channels), config.heights, config.widths
    for i in range(config.heads):
        for j in range(CONVS):
            size = (heights[j] * widths[j], heights[j + 1] * widths[j])
            taps = 3 * config.kernel_heights[j]
            found.append(_conv(f"head{i}.conv{j + 1}", channels[j], channels[j + 1], taps, size, "norm"))
    c, d, n = config.channels[-1], config.hidden, (config.columns, config.columns)
    if config.spatial_attention != "off":
        for i in range(config.heads):
            found += [_conv(f"spatial{i}.key", c, d, 1, n), _conv(f"spatial{i}.value", c, c, 1, n)]
    if config.channel_attention:
        found.append(_conv("attention.squeeze", config.features + d, config.attention, 1, n, "bias"))
        excite = _conv("attention.excite", config.attention, config.features, 1, n, "bias")
        found.append(LayerCount(excite.name, excite.weights, excite.activations, excite.macs, excite.macs))
    if config.projection == "1x1":
        found.append(_conv("projection.0", config.features, d, 1, n, "bias"))
    else:
        found.append(_conv("projection.0", config.features, d, 3, n, "norm"))
        found.append(_conv("projection.1", d, d, 3, n, "norm"))
    found += [_conv(name, 2 * d, d, 1, n, "bias") for name in ("gru.reset", "gru.update", "gru.candidate")]
    last, one = config.classifier_hidden, (1, 1)
    if last:
        hidden = _conv("classifier.hidden", d, last, 1, one, "bias")
        found.append(
            LayerCount(hidden.name, hidden.weights + 2 * last, hidden.activations, hidden.macs, hidden.ops + last)
        )
    found.append(_conv("classifier.output", last or d, config.classes, 1, one, "bias"))
    # In training alone: parameters, but no operations of the network in use.
    found.append(LayerCount("confidence", d + 1, d + 1, 0, 0))
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
