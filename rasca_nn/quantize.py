"""Quantisation after training: float network and photos to :class:`Int8Model` (docs/numerics.md, last section).

Ranges come from the photos, each the one that loses least squared error. A channel's weight scale is a power of two
times what the common input and output scales ask for, so that requantisation is a shift.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rasca_nn import integer
from rasca_nn.calibrate import Samples, batches, observe
from rasca_nn.compare import layer_errors
from rasca_nn.config import RaScaNetConfig
from rasca_nn.fold import FloatLayer, fold
from rasca_nn.int8_file import HARDSWISH_SCALE, Int8Model, Layer
from rasca_nn.model import RaScaNet
from rasca_nn.quantize_spatial import QuantizeError
from rasca_nn.scheme import Scheme, choose_scheme, formats, input_scales, logit_scale
from rasca_nn.tables import exp_table, hardswish_table, sigmoid_table, tanh_table

LARGEST_SHIFT = 15
"""The most the quantiser uses; the format allows more."""
DISAGREEMENT_LIMIT = 0.03
"""Part of the calibration photos with another decision than float's from which on the report warns."""
COMPARED = 16
"""Photos on which layers are compared with float."""


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


def quantize_layer(
    layer: FloatLayer, s_in: NDArray[np.float64], s_out: float, *, shifted: bool = True, clip: bool = False
) -> Layer:
    """One layer in integers.

    Parameters
    ----------
    s_in : scale of each input channel.
    s_out : scale of the output.
    shifted : whether each channel may have a shift; the logits have none.
    clip : clip weights that do not fit even without a shift, in place of raising :class:`QuantizeError`.
    """
    v = layer.weight.numpy() * s_in[None, :, None, None] / s_out
    largest = np.abs(v).max((1, 2, 3))
    if largest.max() > 127.49 and not clip:
        raise QuantizeError(f"{layer.name}: a weight of {largest.max():.1f} output units does not fit 8 bits")
    room = np.floor(np.log2(127.49 / np.maximum(largest, 1e-12)))
    shift = np.clip(room, 0, LARGEST_SHIFT if shifted else 0)
    weight = np.clip(np.round(v * 2.0 ** shift[:, None, None, None]), -127, 127)
    bias = np.round(layer.bias.numpy() / s_out * 2.0**shift)
    if np.abs(bias).max() >= 1 << 30:
        raise QuantizeError(f"{layer.name}: a bias of {np.abs(bias).max():.3g} does not fit 32 bits")
    return Layer(layer.name, weight.astype(np.int8), bias.astype(np.int32), shift.astype(np.uint8))


def assemble(config: RaScaNetConfig, folded: dict[str, FloatLayer], scheme: Scheme, *, clip: bool = False) -> Int8Model:
    """The integer model of a folded network at given scales; ``clip`` as in :func:`quantize_layer`."""
    scales = scheme.scales
    inputs = input_scales(config, scales)
    layers = {
        name: quantize_layer(layer, inputs[name], scales[name], shifted=name != "classifier.output", clip=clip)
        for name, layer in folded.items()
    }
    tables: dict[str, NDArray[Any]] = {"sigmoid": sigmoid_table(), "tanh": tanh_table()}
    if scheme.spatial:
        tables["exp"] = exp_table()
    if config.classifier_hidden:
        tables["hardswish"] = hardswish_table(scales["classifier.hidden"], scales[HARDSWISH_SCALE])
    return Int8Model(config, layers, tables, scales, scheme.spatial)


def trained_scheme(config: RaScaNetConfig, folded: dict[str, FloatLayer], scheme: Scheme) -> Scheme:
    """A scheme for weights trained with it: the logits' scale follows the weights.

    Raises :class:`QuantizeError` where it is another network's.
    """
    missing = folded.keys() - scheme.scales.keys()
    if missing:
        raise QuantizeError(f"the scales it was trained with do not fit: {min(missing)} has no scale")
    last = folded["classifier.output"].weight.numpy()
    return replace(scheme, scales={**scheme.scales, "classifier.output": logit_scale(config, scheme.scales, last)})


def quantize(
    model: RaScaNet,
    photos: NDArray[np.uint8],
    *,
    scheme: Scheme | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Int8Model, Report]:
    """Quantise a trained network.

    Parameters
    ----------
    photos : calibration photos, uint8 ``[N, h, w, 3]`` at the network's size; some 100 to 300 are enough.
    scheme : the scales that the network was trained with (:mod:`rasca_nn.fake_quant`); None to choose them here.
    progress : called with (done, total) photos of the calibration.

    Returns
    -------
    The integer model and what it cost. Raises :class:`QuantizeError` for weights that fit no 8-bit format.
    """
    config = model.config
    model.eval()
    samples, folded = observe(model, photos, progress), fold(model)
    if scheme is None:
        result = assemble(config, folded, choose_scheme(config, samples, folded))
    else:
        result = assemble(config, folded, trained_scheme(config, folded, scheme), clip=True)
    return result, _report(model, result, folded, samples, photos)


def _report(
    model: RaScaNet,
    result: Int8Model,
    folded: dict[str, FloatLayer],
    samples: Samples,
    photos: NDArray[np.uint8],
) -> Report:
    inputs = input_scales(model.config, result.scales)
    errors = layer_errors(model, result, photos[:COMPARED])
    lines = []
    for name, (low, high) in formats(model.config).items():
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
            f"INT8 decides {apart:.1%} of the {len(photos)} photos otherwise than float; "
            "calibrate with more photos, or fine-tune it with rasca train --qat"
        )
    return Report(tuple(lines), len(photos), apart, moved, warning)
