"""Float weights on disk: safetensors with a header that says what they belong to (``NAME.float``)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rasca_nn.config import ConfigError, RaScaNetConfig
from rasca_nn.errors import RascaError
from rasca_nn.model import RaScaNet

FORMAT, VERSION = "rasca-float", 1


class FloatFileError(RascaError):
    """A float model file that is missing, foreign, truncated or does not fit its own configuration."""


def check_state(state: dict[str, Tensor], model: RaScaNet) -> list[str]:
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


def save_float(model: RaScaNet, path: Path) -> None:
    """Write a model; an interrupted write leaves nothing behind under the final name."""
    header = {"format": FORMAT, "version": str(VERSION), "config": json.dumps(model.config.to_dict(), sort_keys=True)}
    partial = Path(path).with_name(Path(path).name + ".partial")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, partial, metadata=header)
    os.replace(partial, path)


def load_float(path: Path) -> RaScaNet:
    """Read and check a model; it is in evaluation mode. Raises :class:`FloatFileError` with one line."""
    if not Path(path).is_file():
        raise FloatFileError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FloatFileError(f"{path}: not a whole safetensors file ({str(error).splitlines()[0]})") from None
    if header.get("format") != FORMAT:
        raise FloatFileError(f"{path}: format is {header.get('format')!r}, not {FORMAT!r}")
    if header.get("version") != str(VERSION):
        raise FloatFileError(f"{path}: version {header.get('version')!r} is not the one read here, {VERSION}")
    try:
        config = RaScaNetConfig.from_dict(json.loads(header.get("config", "")))
    except (ValueError, AttributeError, ConfigError) as error:
        raise FloatFileError(f"{path}: the configuration cannot be read ({error})") from None
    model = RaScaNet(config)
    faults = check_state(state, model)
    if faults:
        raise FloatFileError(f"{path}: {'; '.join(faults[:3])}")
    model.load_state_dict(state)
    return model.eval()
