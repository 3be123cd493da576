"""Quantisation after training: float network and photos to :class:`Int8Model` (docs/numerics.md, last section).

Ranges come from the photos, each the one that loses least squared error. A channel's weight scale is a power of two
times what the common input and output scales ask for, so that requantisation is a shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rasca_nn import integer
from rasca_nn.calibrate import Samples, batches, best_scale, observe
from rasca_nn.compare import layer_errors
from rasca_nn.fold import FloatLayer, fold
from rasca_nn.int8_file import HARDSWISH_SCALE, Int8Model, Layer, SpatialShifts, layer_shapes, mixed
from rasca_nn.model import RaScaNet
from rasca_nn.quantize_spatial import HIDDEN_SCALE, QuantizeError, choose
from rasca_nn.tables import SIGMOID_STEP, TANH_STEP, exp_table, hardswish_table, sigmoid_table, tanh_table

LARGEST_SHIFT = 15
"""The most the quantiser uses; the format allows more."""
DISAGREEMENT_LIMIT = 0.03
"""Part of the calibration photos with another decision than float's from which on the report warns."""
COMPARED = 16
"""Photos on which layers are compared with float."""
FIXED = {"attention.excite": SIGMOID_STEP, "gru.reset": SIGMOID_STEP, "gru.update": SIGMOID_STEP}
FIXED |= {"gru.candidate": TANH_STEP}
"""Scales that the tables set."""


@dataclass(frozen=True)
class LayerReport:
    """What quantisation did to one layer.

    ``low``, ``high``: range of its output on the photos; ``scale``: real value of one unit; ``clipped``: part of the
    values outside the 8-bit range; ``weight_error``: norm of what rounding the weights lost, relative to their norm;
    ``error``: the same of the layer's output against float (:mod:`rasca_nn.compare`).
    """

    name: str
    low: float
    high: float
    scale: float
    clipped: float
    weight_error: float
    error: float


@dataclass(frozen=True)
class Report:
    """All layers, and how far decisions and probabilities moved on the photos.

    ``disagreement``: part of the photos decided otherwise than in float; ``probability_error``: mean absolute
    difference of the last class's probability; ``warning``: one line, or "".
    """

    layers: tuple[LayerReport, ...]
    photos: int
    disagreement: float
    probability_error: float
    warning: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def quantize_layer(layer: FloatLayer, s_in: NDArray[np.float64], s_out: float, *, shifted: bool = True) -> Layer:
    """One layer in integers.

    Parameters
    ----------
    s_in : scale of each input channel.
    s_out : scale of the output.
    shifted : whether each channel may have a shift; the logits have none.

    Raises :class:`QuantizeError` where the weights do not fit even without a shift.
    """
    v = layer.weight.numpy() * s_in[None, :, None, None] / s_out
    largest = np.abs(v).max((1, 2, 3))
    if largest.max() > 127.49:
        raise QuantizeError(f"{layer.name}: a weight of {largest.max():.1f} output units does not fit 8 bits")
    room = np.floor(np.log2(127.49 / np.maximum(largest, 1e-12)))
    shift = np.clip(room, 0, LARGEST_SHIFT if shifted else 0)
    weight = np.clip(np.round(v * 2.0 ** shift[:, None, None, None]), -127, 127)
    bias = np.round(layer.bias.numpy() / s_out * 2.0**shift)
    if np.abs(bias).max() >= 1 << 30:
        raise QuantizeError(f"{layer.name}: a bias of {np.abs(bias).max():.3g} does not fit 32 bits")
    return Layer(layer.name, weight.astype(np.int8), bias.astype(np.int32), shift.astype(np.uint8))


def _formats(model: RaScaNet) -> dict[str, tuple[int, int]]:
    """Range of each layer's 8-bit output."""
    config = model.config
    formats = dict.fromkeys(layer_shapes(config), (-128, 127))
    for name in formats:
        if name.startswith(("head", "projection")):
            formats[name] = (0, 255)
    if config.projection == "1x1":
        formats["projection.0"] = (-128, 127)
    if config.channel_attention and config.attention_relu:
        formats["attention.squeeze"] = (0, 255)
    return formats


def _input_scales(model: RaScaNet, scales: dict[str, float]) -> dict[str, NDArray[np.float64]]:
    """Scale of every input channel of every layer, from the scales of the outputs in front of it."""
    config = model.config
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


def _choose_scales(
    model: RaScaNet, samples: Samples, folded: dict[str, FloatLayer]
) -> tuple[dict[str, float], tuple[SpatialShifts, ...]]:
    config = model.config
    heads = range(config.heads if config.spatial_attention != "off" else 0)
    scales: dict[str, float] = {mixed(i): 1.0 for i in heads}
    for name, (low, high) in _formats(model).items():
        if name != "classifier.output":
            scales[name] = FIXED.get(name) or best_scale(samples[name], low, high)
    if config.classifier_hidden:
        x = samples["classifier.hidden"]
        scales[HARDSWISH_SCALE] = best_scale(x * np.clip(x + 3, 0, 6) / 6, -128, 127)

    def needed_by(name: str) -> float:
        """The least scale of a layer's output with which its weights fit 8 bits without a shift."""
        s_in = _input_scales(model, scales)[name][None, :, None, None]
        return float(np.abs(folded[name].weight.numpy() * s_in).max()) / 127

    spatial: list[SpatialShifts] = []
    # Where weights do not fit without a shift, the output's unit grows until they do.
    for name in folded:
        needed = needed_by(name)
        if name == "classifier.output":
            scales[name] = needed or 1.0
        elif name.endswith(".key"):
            i = len(spatial)
            spatial.append(choose(config, i, samples, scales, (needed, needed_by(f"spatial{i}.value"))))
        elif name.endswith(".value"):
            continue
        elif name in FIXED and needed > scales[name]:
            raise QuantizeError(f"{name}: its weights need a unit of {needed:.3g}; the table's is {scales[name]:.3g}")
        else:
            scales[name] = max(scales[name], needed)
    return scales, tuple(spatial)


def quantize(
    model: RaScaNet, photos: NDArray[np.uint8], *, progress: Callable[[int, int], None] | None = None
) -> tuple[Int8Model, Report]:
    """Quantise a trained network.

    Parameters
    ----------
    photos : calibration photos, uint8 ``[N, h, w, 3]`` at the network's size; some 100 to 300 are enough.
    progress : called with (done, total) photos of the calibration.

    Returns
    -------
    The integer model and what it cost. Raises :class:`QuantizeError` for weights that fit no 8-bit format.
    """
    config = model.config
    model.eval()
    samples, folded = observe(model, photos, progress), fold(model)
    scales, spatial = _choose_scales(model, samples, folded)
    inputs = _input_scales(model, scales)
    layers = {
        name: quantize_layer(layer, inputs[name], scales[name], shifted=name != "classifier.output")
        for name, layer in folded.items()
    }
    tables: dict[str, NDArray[Any]] = {"sigmoid": sigmoid_table(), "tanh": tanh_table()}
    if spatial:
        tables["exp"] = exp_table()
    if config.classifier_hidden:
        tables["hardswish"] = hardswish_table(scales["classifier.hidden"], scales[HARDSWISH_SCALE])
    result = Int8Model(config, layers, tables, scales, spatial)
    return result, _report(model, result, folded, inputs, samples, photos)


def _report(
    model: RaScaNet,
    result: Int8Model,
    folded: dict[str, FloatLayer],
    inputs: dict[str, NDArray[np.float64]],
    samples: Samples,
    photos: NDArray[np.uint8],
) -> Report:
    errors = layer_errors(model, result, photos[:COMPARED])
    lines = []
    for name, (low, high) in _formats(model).items():
        x, scale, layer = samples[name], result.scales[name], result.layers[name]
        outside = (np.floor(x / scale + 0.5) < low) | (np.floor(x / scale + 0.5) > high)
        unit = scale / 2.0 ** layer.shift.astype(float)[:, None, None, None] / inputs[name][None, :, None, None]
        exact = folded[name].weight.numpy()
        error = np.sqrt(np.square(layer.weight * unit - exact).sum() / max(np.square(exact).sum(), 1e-30))
        clipped = 0.0 if name == "classifier.output" else float(outside.mean())
        lines.append(LayerReport(name, float(x.min()), float(x.max()), scale, clipped, float(error), errors[name]))
    with torch.inference_mode():
        exact_logits = torch.cat([model(batch) for batch in batches(photos)]).double()
        images = torch.from_numpy(photos)
        parts = [integer.logits(result, images[i : i + 16]) for i in range(0, len(images), 16)]
    whole = torch.cat(parts)
    apart = float((whole.argmax(1) != exact_logits.argmax(1)).double().mean())
    probability = (whole * result.scales["classifier.output"]).softmax(1)[:, -1]
    moved = float((probability - exact_logits.softmax(1)[:, -1]).abs().mean())
    warning = ""
    if apart > DISAGREEMENT_LIMIT:
        warning = (
            f"INT8 decides {apart:.1%} of the {len(photos)} photos otherwise than float; calibrate with more photos"
        )
    return Report(tuple(lines), len(photos), apart, moved, warning)
