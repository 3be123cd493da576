"""The integer model as data and as a file, ``NAME.int8``. Needs numpy alone, so that the generator can read it.

docs/numerics.md says what the numbers mean.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rasca_nn import container
from rasca_nn.config import CONVS, ConfigError, RaScaNetConfig
from rasca_nn.container import ModelFileError

FORMAT, VERSION = "rasca-int8", 1
MAX_SHIFT = 31
HARDSWISH_SCALE = "classifier.hidden.table"
"""Key of the scale behind the hard-swish table; other keys are layers' names and mean their outputs."""

PIXEL, U8, S8 = (-127, 127), (0, 255), (-128, 127)
"""Ranges of the number formats."""


@dataclass(frozen=True)
class Layer:
    """One convolution or linear layer.

    ``weight`` int8 ``[out, in, kh, kw]`` within -127..127 (1-D convolutions have kh = 1, linear layers kw = 1 too),
    ``bias`` int32 ``[out]``, ``shift`` uint8 ``[out]`` 0..31.
    """

    name: str
    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    shift: NDArray[np.uint8]

    @property
    def half(self) -> NDArray[np.int64]:
        """The rounding constant: 2^(shift - 1), or 0 where shift is 0; int64 ``[out]``."""
        return (np.int64(1) << self.shift.astype(np.int64)) >> 1


@dataclass(frozen=True)
class SpatialShifts:
    """The shifts of a head's spatial attention, which has two products without weights (docs/numerics.md).

    ``scores`` and ``mix`` requantise H^T K and V A; ``weights`` + 7 fraction bits has A; P counts ``2^-residual`` units
    of the sum P + V A.
    """

    scores: int
    weights: int
    mix: int
    residual: int


SPATIAL_LIMITS = {"scores": MAX_SHIFT, "weights": 7, "mix": MAX_SHIFT, "residual": 7}
"""The largest shift of each kind; the least is 0."""


def mixed(head: int) -> str:
    """Name of P + V A of a head, and key of its scale."""
    return f"spatial{head}.mix"


def layer_shapes(config: RaScaNetConfig) -> dict[str, tuple[int, int, int, int]]:
    """Weight shape ``(out, in, kh, kw)`` of every layer, in execution order; absent layers are absent."""
    shapes: dict[str, tuple[int, int, int, int]] = {}
    channels = (3, *config.channels)
    for i in range(config.heads):
        for j in range(CONVS):
            shapes[f"head{i}.conv{j + 1}"] = (channels[j + 1], channels[j], config.kernel_heights[j], 3)
    features, hidden, last = config.features, config.hidden, config.classifier_hidden
    if config.spatial_attention != "off":
        for i in range(config.heads):
            shapes[f"spatial{i}.key"] = (hidden, channels[-1], 1, 1)
            shapes[f"spatial{i}.value"] = (channels[-1], channels[-1], 1, 1)
    if config.channel_attention:
        shapes["attention.squeeze"] = (config.attention, features + hidden, 1, 1)
        shapes["attention.excite"] = (features, config.attention, 1, 1)
    if config.projection == "1x1":
        shapes["projection.0"] = (hidden, features, 1, 1)
    else:
        shapes["projection.0"] = (hidden, features, 1, 3)
        shapes["projection.1"] = (hidden, hidden, 1, 3)
    for name in ("gru.reset", "gru.update", "gru.candidate"):
        shapes[name] = (hidden, 2 * hidden, 1, 1)
    if last:
        shapes["classifier.hidden"] = (last, hidden, 1, 1)
    shapes["classifier.output"] = (config.classes, last or hidden, 1, 1)
    return shapes


def input_ranges(config: RaScaNetConfig, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lowest and highest value each input channel of a layer can take, int64 ``[in]`` each.

    Follows from the number formats alone; zero padding lies within every range.
    """
    features, hidden = config.features, config.hidden
    projected = S8 if config.projection == "1x1" else U8
    attended = U8 if config.spatial_attention == "off" else S8
    spans: list[tuple[tuple[int, int], int]]
    if name.startswith("head"):
        spans = [(PIXEL, 3)] if name.endswith("conv1") else [(U8, config.channels[int(name[-1]) - 2])]
    elif name.startswith("spatial"):
        spans = [(U8, config.channels[-1])]
    else:
        spans = {
            "attention.squeeze": [(attended, features), (S8, hidden)],
            "attention.excite": [(U8 if config.attention_relu else S8, config.attention)],
            "projection.0": [(attended, features)],
            "projection.1": [(U8, hidden)],
            "gru.reset": [(projected, hidden), (S8, hidden)],
            "gru.update": [(projected, hidden), (S8, hidden)],
            "gru.candidate": [(projected, hidden), (S8, hidden)],
            "classifier.hidden": [(S8, hidden)],
            "classifier.output": [(S8, config.classifier_hidden or hidden)],
        }[name]
    low, high = (np.concatenate([np.full(n, span[k], np.int64) for span, n in spans]) for k in (0, 1))
    return low, high


def accumulator_bounds(config: RaScaNetConfig, layer: Layer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lowest and highest ``acc + bias + half`` of each output channel over every possible input, int64 ``[out]``."""
    low, high = input_ranges(config, layer.name)
    weight = layer.weight.astype(np.int64)
    ends = weight * low[None, :, None, None], weight * high[None, :, None, None]
    offset = layer.bias.astype(np.int64) + layer.half
    return np.minimum(*ends).sum((1, 2, 3)) + offset, np.maximum(*ends).sum((1, 2, 3)) + offset


def table_types(config: RaScaNetConfig) -> dict[str, type[np.generic]]:
    """The tables a model of this configuration has, and the type of their 256 entries."""
    types: dict[str, type[np.generic]] = {"sigmoid": np.uint8, "tanh": np.int8}
    if config.spatial_attention != "off":
        types["exp"] = np.uint8
    if config.classifier_hidden:
        types["hardswish"] = np.int8
    return types


@dataclass(frozen=True)
class Int8Model:
    """A whole integer model.

    ``layers`` in execution order (:func:`layer_shapes`), ``tables`` of 256 entries, ``scales`` by layer name: the real
    value of one unit of the layer's output; ``spatial``: the shifts of each head's spatial attention, where there is
    any. Raises :class:`ModelFileError` where the parts do not fit the configuration, or an accumulator could leave 32
    bits.
    """

    config: RaScaNetConfig
    layers: Mapping[str, Layer]
    tables: Mapping[str, NDArray[Any]]
    scales: Mapping[str, float]
    spatial: tuple[SpatialShifts, ...] = ()

    def __post_init__(self) -> None:
        faults = _faults(self)
        if faults:
            raise ModelFileError("; ".join(faults[:3]))

    @cached_property
    def hash(self) -> str:
        """SHA-256 over configuration, scales and every tensor, as 64 hex digits."""
        digest = hashlib.sha256()
        about = {"config": self.config.to_dict(), "scales": dict(self.scales)}
        digest.update(json.dumps(about, sort_keys=True, separators=(",", ":")).encode())
        for name, value in sorted(_tensors(self).items()):
            little = value.astype(value.dtype.newbyteorder("<"))
            digest.update(f"\n{name} {value.dtype.name} {list(value.shape)}\n".encode())
            digest.update(little.tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write the file, atomically; the same model always gives the same bytes."""
        header = {
            "format": FORMAT,
            "version": VERSION,
            "preset": self.config.name,
            "config": self.config.to_dict(),
            "scales": dict(self.scales),
            "hash": self.hash,
        }
        container.write(path, _tensors(self), header)

    @classmethod
    def load(cls, path: Path) -> Int8Model:
        """Read a file and check all of it. Raises :class:`ModelFileError` with one line that names the file."""
        header, tensors = container.read(path, FORMAT, VERSION)
        try:
            config = RaScaNetConfig.from_dict(header["config"])
            scales = {str(k): float(v) for k, v in header["scales"].items()}
            stated = header["hash"]
        except (KeyError, AttributeError, TypeError, ValueError, ConfigError) as error:
            raise ModelFileError(f"{path}: its header cannot be read ({error})") from None
        parts = ("weight", "bias", "shift")
        heads = range(config.heads if config.spatial_attention != "off" else 0)
        names = {f"{n}.{p}" for n in layer_shapes(config) for p in parts} | {f"table.{t}" for t in table_types(config)}
        names |= {f"spatial{i}.shifts" for i in heads}
        for verb, keys in (("misses", names - tensors.keys()), ("has unexpected", tensors.keys() - names)):
            if keys:
                raise ModelFileError(f"{path}: {verb} {', '.join(sorted(keys)[:3])}")
        layers = {n: Layer(n, *(tensors[f"{n}.{p}"] for p in parts)) for n in layer_shapes(config)}
        try:
            spatial = tuple(_shifts(i, tensors[f"spatial{i}.shifts"]) for i in heads)
            model = cls(config, layers, {t: tensors[f"table.{t}"] for t in table_types(config)}, scales, spatial)
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from None
        if model.hash != stated:
            raise ModelFileError(f"{path}: its contents do not have the hash in its header; the file was changed")
        return model


def _tensors(model: Int8Model) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {f"table.{name}": table for name, table in model.tables.items()}
    for name, layer in model.layers.items():
        found |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias, f"{name}.shift": layer.shift}
    for i, shifts in enumerate(model.spatial):
        found[f"spatial{i}.shifts"] = np.array(astuple(shifts), np.uint8)
    return found


def _shifts(head: int, value: NDArray[Any]) -> SpatialShifts:
    fault = _is(value, (len(SPATIAL_LIMITS),), np.uint8)
    if fault:
        raise ModelFileError(f"spatial{head}.shifts {fault}")
    return SpatialShifts(*value.tolist())


def _is(value: NDArray[Any], shape: tuple[int, ...], kind: type[np.generic]) -> str:
    """What is wrong with an array, or ""."""
    if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype != kind:
        found = f"{value.dtype.name} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
        return f"is {found} and should be {np.dtype(kind).name} {list(shape)}"
    return ""


def _layer_faults(config: RaScaNetConfig, layer: Layer, shape: tuple[int, int, int, int]) -> list[str]:
    wanted = (("weight", shape, np.int8), ("bias", shape[:1], np.int32), ("shift", shape[:1], np.uint8))
    faults = [
        f"{layer.name}.{part} {fault}"
        for part, size, kind in wanted
        if (fault := _is(getattr(layer, part), size, kind))
    ]
    if faults:
        return faults
    if (layer.weight == -128).any():
        faults.append(f"{layer.name}.weight holds -128; weights lie within -127..127")
    limit = 0 if layer.name == "classifier.output" else MAX_SHIFT
    if (layer.shift > limit).any():
        faults.append(f"{layer.name}.shift holds {int(layer.shift.max())}; the largest allowed is {limit}")
        return faults
    low, high = accumulator_bounds(config, layer)
    if low.min() < -(1 << 31) or high.max() >= 1 << 31:
        faults.append(f"{layer.name}: the sums can reach {int(low.min())} .. {int(high.max())}, more than 32 bits hold")
    return faults


def _faults(model: Int8Model) -> list[str]:
    shapes, types = layer_shapes(model.config), table_types(model.config)
    heads = model.config.heads if model.config.spatial_attention != "off" else 0
    scales = {*shapes, *([HARDSWISH_SCALE] if model.config.classifier_hidden else []), *map(mixed, range(heads))}
    for what, found, wanted in (
        ("layers", list(model.layers), list(shapes)),
        ("tables", sorted(model.tables), sorted(types)),
        ("scales", sorted(model.scales), sorted(scales)),
    ):
        if found != wanted:
            return [f"{what} are {', '.join(found)} and should be {', '.join(wanted)}"]
    if len(model.spatial) != heads:
        return [f"there are shifts for {len(model.spatial)} spatial attentions and should be for {heads}"]
    faults = [
        fault for name, shape in shapes.items() for fault in _layer_faults(model.config, model.layers[name], shape)
    ]
    for name, kind in types.items():
        fault = _is(model.tables[name], (256,), kind)
        faults += [f"table {name} {fault}"] if fault else []
    if not faults and "exp" in types and model.tables["exp"][0] != 255:
        faults.append(f"table exp begins with {model.tables['exp'][0]} and should with 255")
    for i, shifts in enumerate(model.spatial):
        for name, limit in SPATIAL_LIMITS.items():
            value = getattr(shifts, name)
            faults += (
                [f"spatial{i}: shift {name} is {value}; allowed is 0 to {limit}"] if not 0 <= value <= limit else []
            )
    faults += [f"scale of {k} is {v!r}" for k, v in model.scales.items() if not (math.isfinite(v) and v > 0)]
    return faults
