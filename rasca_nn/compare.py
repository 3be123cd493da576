"""How far each layer of the integer model lies from the float network on the same photos."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rasca_nn.calibrate import batches
from rasca_nn.int8_file import HARDSWISH_SCALE, Int8Model, layer_shapes
from rasca_nn.integer import trace_steps, up
from rasca_nn.model import RaScaNet

BEHIND_TABLE = {
    "attention.excite": "attention.gate",
    "gru.reset": "gru.reset.gate",
    "gru.update": "gru.update",
    "gru.candidate": "gru.candidate.tanh",
}
"""Layers that are compared behind their table, and the integer model's name for that."""


def _float_outputs(model: RaScaNet, images: NDArray[np.uint8]) -> dict[str, Tensor]:
    """Every layer's output, ``[T, B, ...]``, behind sigmoid, tanh and hard-swish where there is one."""
    seen: dict[str, list[Tensor]] = {}
    (batch,) = batches(images, len(images))
    pooled = model.pool(model.scan(batch, lambda name, value: seen.setdefault(name, []).append(value)))
    found = {}
    for name, values in seen.items():
        if name.startswith("head"):
            found[name] = values[0].unflatten(0, (len(images), -1)).transpose(0, 1)
        else:
            found[name] = torch.stack(values).transpose(1, 2)
    for name in BEHIND_TABLE.keys() & found.keys():
        found[name] = found[name].tanh() if name == "gru.candidate" else found[name].sigmoid()
    if model.config.classifier_hidden:
        found["classifier.hidden"] = model.classifier[:3](pooled.flatten(0, 1)).unflatten(0, pooled.shape[:2])
    found["classifier.output"] = model.classify(pooled)
    return found


def _real(result: Int8Model, name: str, value: Tensor) -> Tensor:
    """The real numbers that a layer's integers stand for."""
    if name == "gru.candidate":
        return value / 127
    if name in BEHIND_TABLE:
        return up(value) / 256
    key = HARDSWISH_SCALE if name == "classifier.hidden" else name
    return value * result.scales[key]


def layer_errors(model: RaScaNet, result: Int8Model, images: NDArray[np.uint8]) -> dict[str, float]:
    """For each layer the norm of (integer - float) over the norm of float, all steps of uint8 ``[B, h, w, 3]``.

    Errors add up along the network and over the steps, as they do in use.
    """
    with torch.inference_mode():
        exact = _float_outputs(model.eval(), images)
        off = dict.fromkeys(layer_shapes(model.config), 0.0)
        for t, trace in enumerate(trace_steps(result, torch.from_numpy(images))):
            for name in off:
                got = _real(result, name, trace[BEHIND_TABLE.get(name, name)])
                off[name] += float((got - exact[name][t]).double().square().sum())
        size = {name: float(value.double().square().sum()) for name, value in exact.items()}
        return {name: (total / max(1e-30, size[name])) ** 0.5 for name, total in off.items()}
