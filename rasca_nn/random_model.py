"""Integer models with made-up weights, for tests of the hardware: ordinary ones and extreme ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rasca_nn.config import RaScaNetConfig
from rasca_nn.errors import RascaError
from rasca_nn.int8_file import (
    HARDSWISH_SCALE,
    MAX_SHIFT,
    SPATIAL_LIMITS,
    Int8Model,
    Layer,
    SpatialShifts,
    accumulator_bounds,
    input_ranges,
    layer_shapes,
    mixed,
)
from rasca_nn.tables import SIGMOID_STEP, TANH_STEP, exp_table, hardswish_table, sigmoid_table, tanh_table

Kind = Literal["zeros", "max", "min", "spikes", "uniform", "saturate", "biases"]
"""What the numbers are, the simplest first.

``zeros``: all zero; ``max`` and ``min``: every weight 127 or -127; ``spikes``: one weight of each output channel +-127,
the rest zero; ``uniform``: random weights and biases, shifts that keep outputs within their range; ``saturate``: the
same with shifts so small that many outputs are clamped; ``biases``: the same with every other bias, or so, as far out
as 32 bits allow, and any shift behind it.
"""

OUTPUT_SPREAD = {"attention.excite": 40, "gru.reset": 40, "gru.update": 40, "gru.candidate": 32}
"""Standard deviation aimed at in front of a table, which flattens out further away; 80 elsewhere."""


def _weights(rng: np.random.Generator, shape: tuple[int, ...], kind: Kind) -> NDArray[np.int8]:
    if kind == "zeros":
        return np.zeros(shape, np.int8)
    if kind in ("max", "min"):
        return np.full(shape, 127 if kind == "max" else -127, np.int8)
    if kind == "spikes":
        out, taps = shape[0], int(np.prod(shape[1:]))
        weight = np.zeros((out, taps), np.int8)
        weight[np.arange(out), rng.integers(taps, size=out)] = rng.choice([-127, 127], out)
        return weight.reshape(shape)
    return rng.integers(-127, 128, shape).astype(np.int8)


def _layer(rng: np.random.Generator, config: RaScaNetConfig, name: str, kind: Kind) -> Layer:
    """One layer; its shifts follow from how far its sums spread for inputs of about a third of their range."""
    weight = _weights(rng, layer_shapes(config)[name], kind)
    low, high = input_ranges(config, name)
    typical = np.maximum(-low, high) / np.where(low < 0, 2, 3)
    spread = np.sqrt(np.square(weight * typical[None, :, None, None]).sum((1, 2, 3)))
    bias = rng.normal(0, 1, len(weight)) * spread / 2
    shift = np.log2(np.maximum(spread, 1) / OUTPUT_SPREAD.get(name, 80)) + rng.uniform(-0.7, 0.7, len(weight))
    if kind == "saturate":
        shift -= 4
    if name == "classifier.output":
        shift = np.zeros(len(weight))
    layer = Layer(name, weight, bias.astype(np.int32), np.clip(np.round(shift), 0, MAX_SHIFT).astype(np.uint8))
    return _extreme(rng, config, layer) if kind == "biases" else layer


def _extreme(rng: np.random.Generator, config: RaScaNetConfig, layer: Layer) -> Layer:
    """The layer with some biases as low or as high as its sums allow within 32 bits."""
    choice = rng.integers(4, size=len(layer.bias))
    shift = np.where(choice < 2, rng.integers(MAX_SHIFT + 1, size=len(choice)), layer.shift).astype(np.uint8)
    if layer.name == "classifier.output":
        shift = layer.shift
    low, high = accumulator_bounds(config, replace(layer, bias=np.zeros_like(layer.bias), shift=shift))
    limits = np.iinfo(np.int32)
    lowest, highest = np.maximum(limits.min, limits.min - low), np.minimum(limits.max, limits.max - high)
    bias = np.choose(choice, [lowest, highest, layer.bias, layer.bias]).astype(np.int32)
    return replace(layer, bias=bias, shift=shift)


def _shifts(rng: np.random.Generator, config: RaScaNetConfig, kind: Kind) -> SpatialShifts:
    """Shifts that leave scores some hundred units apart and the sum within its range, more or less; for ``biases`` any
    that the format allows.
    """
    if kind == "biases":
        return SpatialShifts(**{name: int(rng.integers(0, limit + 1)) for name, limit in SPATIAL_LIMITS.items()})
    scores = np.log2(np.sqrt(config.hidden) * 60 * 60 / 150) + rng.uniform(-2, 2)
    return SpatialShifts(
        scores=int(np.clip(round(scores), 0, 31)),
        weights=int(rng.integers(0, 8)),
        mix=int(rng.integers(4, 10)),
        residual=int(rng.integers(0, 8)),
    )


def random_int8_model(config: RaScaNetConfig, seed: int, kind: Kind = "uniform") -> Int8Model:
    """A model of that configuration, the same for the same seed. Raises :class:`RascaError` for an unknown kind."""
    if kind not in get_args(Kind):
        raise RascaError(f"kind must be one of {', '.join(get_args(Kind))}, not {kind!r}")
    rng = np.random.default_rng(seed)
    layers = {name: _layer(rng, config, name, kind) for name in layer_shapes(config)}
    tables: dict[str, NDArray[np.uint8] | NDArray[np.int8]] = {"sigmoid": sigmoid_table(), "tanh": tanh_table()}
    scales = dict.fromkeys(layers, 1 / 64)
    scales |= dict.fromkeys([n for n in ("attention.excite", "gru.reset", "gru.update") if n in layers], SIGMOID_STEP)
    scales["gru.candidate"] = TANH_STEP
    # Probabilities of all kinds, so that early termination has something to decide on.
    last = layers["classifier.output"].weight.astype(np.float64)
    scales["classifier.output"] = 1 / max(1.0, 16 * float(np.sqrt(np.square(last).sum((1, 2, 3))).max()))
    spatial: tuple[SpatialShifts, ...] = ()
    if config.spatial_attention != "off":
        tables["exp"] = exp_table()
        scales |= {mixed(i): 1 / 64 for i in range(config.heads)}
        spatial = tuple(_shifts(rng, config, kind) for _ in range(config.heads))
    if config.classifier_hidden:
        scales |= {"classifier.hidden": 1 / 16, HARDSWISH_SCALE: 1 / 16}
        tables["hardswish"] = hardswish_table(1 / 16, 1 / 16)
    return Int8Model(config, layers, tables, scales, spatial)
