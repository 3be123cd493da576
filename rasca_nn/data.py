"""Labelled photos from a folder of any layout (:mod:`rasca_nn.layouts`), decoded once into one array."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from rasca_nn.layouts import list_rows
from rasca_nn.rows import SPLITS, DataError, Row

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


@dataclass(frozen=True)
class Photos:
    """Rows and their pixels: ``images`` uint8 ``[N, h, w, 3]`` (RGB), ``labels`` int64 ``[N]``."""

    rows: tuple[Row, ...]
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def sources(self) -> list[str]:
        """The source of each row, "" where the folder does not say."""
        return [row.source for row in self.rows]


def normalise(images: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Pixel bytes to the network's integers: ``x - 127 - (x >= 128)``, -127..127 (docs/numerics.md)."""
    wide = images.astype(np.int16)
    return (wide - 127 - (wide >= 128)).astype(np.int8)


def load_image(path: Path, height: int, width: int) -> NDArray[np.uint8]:
    """Decode an image, turn it upright (EXIF), resize it (Pillow, bilinear) to uint8 ``[height, width, 3]``, RGB.

    Grey images of 16 bits are scaled to 8. Raises :class:`DataError` where the file is missing, empty or no image, or
    holds floating-point numbers.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "F":
                raise DataError(f"{path}: floating-point image; save it with 8 or 16 bits")
            if upright.mode.startswith("I"):
                deep = np.asarray(upright).astype(np.int64).clip(0, 65535)
                upright = Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))
            rgb = upright.convert("RGB")
            if rgb.size != (width, height):
                rgb = rgb.resize((width, height), Image.Resampling.BILINEAR)
            return np.array(rgb)
    except FileNotFoundError:
        raise DataError(f"{path}: no such image") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder, not an image") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: not an image that Pillow knows") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: broken image ({str(error).splitlines()[0]})") from None


def _decode(rows: list[Row], images: NDArray[np.uint8], progress: Progress | None) -> None:
    """Fill ``images`` ``[N, h, w, 3]``."""
    for i, row in enumerate(rows):
        images[i] = load_image(row.path, *images.shape[1:3])
        if progress is not None:
            progress(i + 1, len(rows))


def load_rows(
    rows: list[Row], height: int, width: int, *, cache: Path | None = None, progress: Progress | None = None
) -> Photos:
    """Decode ``rows`` at one size.

    With ``cache`` (a folder) the pixels are kept there in one .npy file named by a hash of the file names, their sizes
    and times, and the image size; a changed photo is therefore decoded anew. They are then read from the file as they
    are used, so that a data set may exceed the memory.
    """
    file = None
    if cache is not None:
        digest = hashlib.sha256(f"{height}x{width}".encode())
        for row in rows:
            if not row.path.is_file():
                raise DataError(f"{row.path}: no such image")
            stat = row.path.stat()
            digest.update(f"{row.path}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
        file = Path(cache) / f"photos-{digest.hexdigest()[:24]}.npy"
    if file is None:
        images = np.empty((len(rows), height, width, 3), np.uint8)
        _decode(rows, images, progress)
    else:
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            # Runs that share a cache may fill it at the same time.
            partial = file.with_suffix(f".{os.getpid()}.partial.npy")
            try:
                _decode(rows, open_memmap(partial, "w+", np.uint8, (len(rows), height, width, 3)), progress)
                partial.replace(file)
            finally:
                partial.unlink(missing_ok=True)
        # Copy-on-write: torch refuses arrays that cannot be written to.
        images = np.load(file, mmap_mode="c")
    return Photos(tuple(rows), images, np.array([row.label for row in rows], np.int64))


AUTO = "auto"
"""The split to measure on: val, or everything where the folder gives no split."""


def load_folder(
    folder: Path,
    height: int,
    width: int,
    *,
    split: str | None = None,
    crops: bool = False,
    limit: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Photos:
    """The photos of a data folder; of one split, with crops, or only the first ``limit``, where asked.

    ``split``: ``train``, ``val``, ``auto`` (val, or all where the folder gives no split) or None for all. A limit takes
    rows spread evenly over the split, so that both classes and all sources are in it.
    """
    rows = list_rows(folder, crops=crops)
    if split == AUTO:
        split = "val" if any(row.divided for row in rows) else None
    if split is not None:
        if split not in SPLITS:
            raise DataError(f"split must be train, val or all, not {split!r}")
        rows = [row for row in rows if row.split == split]
        if not rows:
            raise DataError(f"{folder}: no row of split {split}; see --split")
    if limit is not None:
        if limit < 1:
            raise DataError(f"limit must be at least 1, not {limit}")
        rows = [rows[i * len(rows) // limit] for i in range(limit)] if limit < len(rows) else rows
    return load_rows(rows, height, width, cache=cache, progress=progress)
