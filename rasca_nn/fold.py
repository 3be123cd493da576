"""Batch norms folded into the convolutions in front of them: the float network as plain layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rasca_nn.config import CONVS
from rasca_nn.int8_file import layer_shapes
from rasca_nn.model import RaScaNet

BN_EPS = 1e-5


@dataclass(frozen=True)
class FloatLayer:
    """One layer, named as in the integer model: ``weight`` ``[out, in, kh, kw]`` and ``bias`` ``[out]``, float64."""

    name: str
    weight: Tensor
    bias: Tensor


def _keys(model: RaScaNet) -> dict[str, tuple[str, str]]:
    """For each layer the state-dict prefixes of its convolution and of the batch norm that may follow it."""
    keys = {}
    for i in range(model.config.heads):
        for j in range(1, CONVS + 1):
            block = f"raster_cnn_{i}.conv_block{j}"
            keys[f"head{i}.conv{j}"] = (f"{block}.conv", f"{block}.bn")
        for part in ("key", "value"):
            keys[f"spatial{i}.{part}"] = (f"raster_att.spatial_attention_{i}.{part}_conv", "")
    prj, cell, last = "raster_att.channel_prj", "raster_rnn.gru.cell", "out_classifier.out_classifier"
    keys["attention.squeeze"] = (f"{prj}.channel_att.0", "")
    keys["attention.excite"] = (f"{prj}.channel_att.2", "")
    keys["projection.0"] = (f"{prj}.projection.0", f"{prj}.projection.1")
    keys["projection.1"] = (f"{prj}.projection.3", f"{prj}.projection.4")
    for name, conv in (("reset", "conv_reset"), ("update", "conv_update"), ("candidate", "conv_h")):
        keys[f"gru.{name}"] = (f"{cell}.{conv}", "")
    keys["classifier.hidden"] = (f"{last}.0", f"{last}.1")
    keys["classifier.output"] = (f"{last}.3" if model.config.classifier_hidden else f"{last}.0", "")
    return keys


def fold(model: RaScaNet) -> dict[str, FloatLayer]:
    """Every layer of the network with its batch norm folded in, in execution order, detached and on the CPU."""
    with torch.no_grad():
        found = fold_with_gradient(model)
    return {name: FloatLayer(name, layer.weight.cpu(), layer.bias.cpu()) for name, layer in found.items()}


def fold_with_gradient(model: RaScaNet) -> dict[str, FloatLayer]:
    """:func:`fold`, through which gradients reach the parameters; running statistics are constants."""
    state = {key: value.double() for key, value in [*model.named_parameters(), *model.named_buffers()]}
    layers = {}
    for name, shape in layer_shapes(model.config).items():
        conv, norm = _keys(model)[name]
        weight = state[f"{conv}.weight"].reshape(shape)
        bias = state.get(f"{conv}.bias", torch.zeros(shape[0], dtype=torch.float64, device=weight.device))
        if f"{norm}.running_var" in state:
            gain = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + BN_EPS).sqrt()
            weight = weight * gain[:, None, None, None]
            bias = (bias - state[f"{norm}.running_mean"]) * gain + state[f"{norm}.bias"]
        layers[name] = FloatLayer(name, weight, bias)
    return layers
