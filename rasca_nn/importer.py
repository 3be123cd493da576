"""Reading a checkpoint of the released format: ``torch.save({"state_dict": ..., ...})``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from rasca_nn.config import RaScaNetConfig
from rasca_nn.errors import RascaError
from rasca_nn.float_file import state_faults
from rasca_nn.model import RaScaNet
from rasca_nn.torch_file import load_plain

WRAPPER = "module."
"""What a data-parallel wrapper puts in front of every key."""


class ImportFileError(RascaError):
    """A checkpoint that cannot be read or does not fit; the message names the keys."""


def _read(path: Path) -> dict[str, Tensor]:
    """The state dict in a file; nothing in the file is run (``weights_only``)."""
    content = load_plain(path)
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise ImportFileError(f"{path}: holds no 'state_dict'")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ImportFileError(f"{path}: state_dict entry {key!r} is no tensor")
    return state


def import_checkpoint(path: Path, config: RaScaNetConfig, *, note: Callable[[str], None] = print) -> RaScaNet:
    """The network of ``config`` with the weights of a checkpoint, in evaluation mode.

    A prefix ``module.`` that every key has is removed, and ``note`` is told. Raises :class:`ImportFileError`, one line
    that names missing keys, unexpected keys and other shapes, or ``TorchFileError`` for a file that cannot be read.
    """
    state = _read(path)
    if state and all(key.startswith(WRAPPER) for key in state):
        state = {key.removeprefix(WRAPPER): value for key, value in state.items()}
        note(f"{path}: the prefix {WRAPPER!r} of every key is left out")
    model = RaScaNet(config)
    faults = state_faults(state, model)
    if faults:
        hint = ""
        if config.spatial_attention == "off" and any("spatial_attention" in key for key in state):
            hint = "; it was trained with spatial attention, which this configuration has not"
        more = f"; and {len(faults) - 4} more faults" if len(faults) > 4 else ""
        raise ImportFileError(f"{path}: does not fit {config.name}: {'; '.join(faults[:4])}{more}{hint}")
    model.load_state_dict(state)
    return model.eval()
