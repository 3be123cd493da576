"""Float weights on disk, ``NAME.float``: the network's state dict, its configuration and, where it was trained for
them (:mod:`rasca_nn.qat`), the scales of its integer model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rasca_nn import container
from rasca_nn.config import ConfigError, RaScaNetConfig
from rasca_nn.container import ModelFileError
from rasca_nn.model import RaScaNet
from rasca_nn.scheme import Scheme

FORMAT, VERSION = "rasca-float", 1


def state_faults(state: Mapping[str, Tensor], model: RaScaNet) -> list[str]:
    """What is wrong with ``state`` for ``model``: missing and unexpected keys, other shapes; empty where it fits."""
    wanted = model.state_dict()
    faults = []
    for verb, keys in (("misses", wanted.keys() - state.keys()), ("has unexpected", state.keys() - wanted.keys())):
        if keys:
            names = sorted(keys)
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            faults.append(f"{verb} {', '.join(names[:3])}{more}")
    for key in sorted(wanted.keys() & state.keys()):
        if state[key].shape != wanted[key].shape:
            faults.append(f"{key} is {tuple(state[key].shape)} and should be {tuple(wanted[key].shape)}")
        elif not torch.isfinite(state[key]).all():
            faults.append(f"{key} holds values that are not finite")
    return faults


def save_float(model: RaScaNet, path: Path, scheme: Scheme | None = None) -> None:
    """Write a model, atomically."""
    header: dict[str, Any] = {"format": FORMAT, "version": VERSION, "config": model.config.to_dict()}
    if scheme is not None:
        header["scheme"] = scheme.to_dict()
    container.write(path, {key: value.detach().numpy() for key, value in model.state_dict().items()}, header)


def load_float(path: Path) -> RaScaNet:
    """Read and check a model; it is in evaluation mode. Raises :class:`ModelFileError` with one line."""
    header, tensors = container.read(path, FORMAT, VERSION)
    try:
        model = RaScaNet(RaScaNetConfig.from_dict(header["config"]))
    except (KeyError, AttributeError, TypeError, ConfigError) as error:
        raise ModelFileError(f"{path}: its configuration cannot be read ({error})") from None
    state = {key: torch.tensor(value) for key, value in tensors.items()}
    faults = state_faults(state, model)
    if faults:
        raise ModelFileError(f"{path}: {'; '.join(faults[:3])}")
    model.load_state_dict(state)
    return model.eval()


def load_scheme(path: Path) -> Scheme | None:
    """The scales a model was trained with; None where it was trained in floating point."""
    header, _ = container.read(path, FORMAT, VERSION)
    if header.get("scheme") is None:
        return None
    try:
        return Scheme.from_dict(header["scheme"])
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: its scales cannot be read ({error})") from None
