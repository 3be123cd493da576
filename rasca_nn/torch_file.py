"""Reading ``torch.save`` files without running anything from them."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from rasca_nn.errors import RascaError


class TorchFileError(RascaError):
    """A file that is missing, broken, or holds more than tensors and plain values."""


def load_plain(path: Path) -> Any:
    """Content of a ``torch.save`` file of tensors and plain values (``weights_only``), on the CPU."""
    if not Path(path).is_file():
        what = "is a folder, not a file" if Path(path).is_dir() else "no such file"
        raise TorchFileError(f"{path}: {what}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        # Which of torch's many words were said does not help: a checkpoint is a file of tensors or it is not.
        found = re.search(r"GLOBAL (\S+)", str(error))
        more = f"; it names {found[1]}, which is never loaded" if found else ""
        raise TorchFileError(f"{path}: not a torch.save file of tensors alone, such as a state_dict{more}") from None
