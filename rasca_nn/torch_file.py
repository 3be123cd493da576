"""Reading ``torch.save`` files without running anything from them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from rasca_nn.errors import RascaError


class TorchFileError(RascaError):
    """A file that is missing, broken, or holds more than tensors and plain values."""


def load_plain(path: Path) -> Any:
    """Content of a ``torch.save`` file of tensors and plain values (``weights_only``), on the CPU."""
    if not Path(path).is_file():
        raise TorchFileError(f"{path}: no such file")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        text = str(error).strip() or type(error).__name__
        first = text.splitlines()[0][:100]
        raise TorchFileError(f"{path}: not a checkpoint that holds tensors alone ({first})") from None
