"""The file both model formats share: safetensors with one JSON header under the key ``rasca``.

One metadata key, because safetensors keeps several in no fixed order and the same model must give the same bytes.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from rasca_nn.errors import RascaError

KEY = "rasca"


class ModelFileError(RascaError):
    """A model file that is missing, foreign, truncated or does not fit its own configuration; one line."""


def write(path: Path, tensors: dict[str, NDArray[Any]], header: dict[str, Any]) -> None:
    """Write tensors and header; an interrupted write leaves nothing under the final name."""
    path = Path(path)
    text = json.dumps(header, sort_keys=True, separators=(",", ":"))
    # safetensors writes an array's memory as it lies there.
    solid = {name: np.ascontiguousarray(value).reshape(value.shape) for name, value in tensors.items()}
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(save(solid, metadata={KEY: text}))
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise ModelFileError(f"{path}: cannot be written ({error.strerror or error})") from None


def read(path: Path, kind: str, version: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and tensors of a file of format ``kind``; anything else is a :class:`ModelFileError`."""
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(KEY)
            header = json.loads(text) if text is not None else None
            if not isinstance(header, dict) or header.get("format") != kind:
                found = header.get("format") if isinstance(header, dict) else None
                raise ModelFileError(f"{path}: is not a {kind} file (its format is {found!r})")
            if header.get("version") != version:
                raise ModelFileError(
                    f"{path}: {kind} version {header.get('version')!r} is not the one read here, {version}"
                )
            # What safe_open gives is no mapping and cannot be iterated over.
            return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise ModelFileError(f"{path}: not a whole model file ({str(error).splitlines()[0]})") from None
