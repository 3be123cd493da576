"""Which real value one unit of each 8-bit tensor stands for: the scales of an integer model, chosen on photos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rasca_nn.calibrate import Samples, best_scale
from rasca_nn.config import RaScaNetConfig
from rasca_nn.fold import FloatLayer
from rasca_nn.int8_file import HARDSWISH_SCALE, SpatialShifts, layer_shapes, mixed
from rasca_nn.quantize_spatial import HIDDEN_SCALE, QuantizeError, choose
from rasca_nn.tables import SIGMOID_STEP, TANH_STEP

FIXED = {"attention.excite": SIGMOID_STEP, "gru.reset": SIGMOID_STEP, "gru.update": SIGMOID_STEP}
FIXED |= {"gru.candidate": TANH_STEP}
"""Scales that the tables set."""


@dataclass(frozen=True)
class Scheme:
    """``scales`` and ``spatial`` of an :class:`~rasca_nn.int8_file.Int8Model`, without its weights."""

    scales: Mapping[str, float]
    spatial: tuple[SpatialShifts, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"scales": dict(self.scales), "spatial": [list(astuple(shifts)) for shifts in self.spatial]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Scheme:
        """The inverse of :meth:`to_dict`; raises KeyError, TypeError or ValueError for other values."""
        scales = {str(name): float(scale) for name, scale in data["scales"].items()}
        return cls(scales, tuple(SpatialShifts(*map(int, shifts)) for shifts in data["spatial"]))


def formats(config: RaScaNetConfig) -> dict[str, tuple[int, int]]:
    """Range of each layer's 8-bit output."""
    found = dict.fromkeys(layer_shapes(config), (-128, 127))
    for name in found:
        if name.startswith(("head", "projection")):
            found[name] = (0, 255)
    if config.projection == "1x1":
        found["projection.0"] = (-128, 127)
    if config.channel_attention and config.attention_relu:
        found["attention.squeeze"] = (0, 255)
    return found


def input_scales(config: RaScaNetConfig, scales: Mapping[str, float]) -> dict[str, NDArray[np.float64]]:
    """Scale of every input channel of every layer, from the scales of the outputs in front of it."""
    d = config.hidden
    spatial = config.spatial_attention != "off"
    heads = [f"head{i}.conv4" for i in range(config.heads)]
    attended = [mixed(i) for i in range(config.heads)] if spatial else heads
    features = np.repeat([scales[name] for name in attended], config.channels[-1])
    hidden = np.full(d, HIDDEN_SCALE)
    f = np.full(d, scales["projection.0" if config.projection == "1x1" else "projection.1"])
    pooled = np.full(d, HIDDEN_SCALE * (2 if config.pool == "mean+max" else 1))
    found = {"attention.squeeze": np.concatenate([features, hidden]), "projection.0": features}
    found |= dict.fromkeys(("gru.reset", "gru.update", "gru.candidate"), np.concatenate([f, hidden]))
    found |= {"classifier.hidden": pooled, "classifier.output": pooled}
    if config.classifier_hidden:
        found["classifier.output"] = np.full(config.classifier_hidden, scales[HARDSWISH_SCALE])
    for name, shape in layer_shapes(config).items():
        before = {"attention.excite": "attention.squeeze", "projection.1": "projection.0"}.get(name, "")
        if name.startswith("head"):
            before = f"{name[:-1]}{int(name[-1]) - 1}"
        if name.startswith("spatial"):
            before = heads[int(name.split(".")[0][len("spatial") :])]
        if before:
            found[name] = np.full(shape[1], 1.0 if before.endswith("conv0") else scales[before])
    return found


def logit_scale(config: RaScaNetConfig, scales: Mapping[str, float], weight: NDArray[np.float64]) -> float:
    """The scale of the logits, which follows from the last layer's weights: the largest becomes 127."""
    inputs = input_scales(config, scales)["classifier.output"]
    return float(np.abs(weight * inputs[None, :, None, None]).max()) / 127 or 1.0


def choose_scheme(config: RaScaNetConfig, samples: Samples, folded: dict[str, FloatLayer]) -> Scheme:
    """The scales that lose least squared error on what :func:`rasca_nn.calibrate.observe` saw.

    Raises :class:`QuantizeError` for weights that fit no 8-bit format.
    """
    heads = range(config.heads if config.spatial_attention != "off" else 0)
    scales: dict[str, float] = {mixed(i): 1.0 for i in heads}
    for name, (low, high) in formats(config).items():
        if name != "classifier.output":
            scales[name] = FIXED.get(name) or best_scale(samples[name], low, high)
    if config.classifier_hidden:
        x = samples["classifier.hidden"]
        scales[HARDSWISH_SCALE] = best_scale(x * np.clip(x + 3, 0, 6) / 6, -128, 127)

    def needed_by(name: str) -> float:
        """The least scale of a layer's output with which its weights fit 8 bits without a shift."""
        s_in = input_scales(config, scales)[name][None, :, None, None]
        return float(np.abs(folded[name].weight.numpy() * s_in).max()) / 127

    spatial: list[SpatialShifts] = []
    # Where weights do not fit without a shift, the output's unit grows until they do.
    for name in folded:
        needed = needed_by(name)
        if name == "classifier.output":
            scales[name] = logit_scale(config, scales, folded[name].weight.numpy())
        elif name.endswith(".key"):
            i = len(spatial)
            spatial.append(choose(config, i, samples, scales, (needed, needed_by(f"spatial{i}.value"))))
        elif name.endswith(".value"):
            continue
        elif name in FIXED and needed > scales[name]:
            raise QuantizeError(f"{name}: its weights need a unit of {needed:.3g}; the table's is {scales[name]:.3g}")
        else:
            scales[name] = max(scales[name], needed)
    return Scheme(scales, tuple(spatial))
