"""Labelled photos from a folder, decoded once into one array.

A data folder is either ``labels.csv`` (columns ``file``, ``label``, optionally ``split`` and ``source_dataset``) beside
``images/``, or the class folders ``person/`` and ``no_person/``. A folder that also holds ``crops_labels.csv`` and
``crops/`` offers those as further rows. Rows without a split are given one by a hash of their file name.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from rasca_nn.errors import RascaError

SPLITS = ("train", "val")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
CROP_PREFIX = "crop_of_"
"""What the source of a crop starts with."""

Box = tuple[float, float, float, float]

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


class DataError(RascaError):
    """A data folder or an image that cannot be used; the message names the file."""


@dataclass(frozen=True)
class Row:
    """One labelled image file; ``folder`` and ``file`` are kept apart because other tables name ``file``.

    ``boxes``: the persons in it as (left, top, right, bottom) in 0..1; None where the layout does not say.
    """

    folder: Path
    file: str
    label: int
    split: str
    source: str
    boxes: tuple[Box, ...] | None = None

    @property
    def path(self) -> Path:
        """Where the image is."""
        return self.folder / self.file

    @property
    def is_crop(self) -> bool:
        """Whether it is a derived crop and no whole photo."""
        return self.source.startswith(CROP_PREFIX)


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


def hash_split(file: str) -> str:
    """``val`` for one file name in five, by its hash, else ``train``."""
    return "val" if hashlib.sha256(file.encode()).digest()[0] % 5 == 0 else "train"


def _table(table: Path, images: Path, default_source: str) -> list[Row]:
    rows = []
    with table.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = {"file", "label"} - set(reader.fieldnames or ())
        if missing:
            raise DataError(f"{table}: no column {', '.join(sorted(missing))}")
        for line, item in enumerate(reader, 2):
            file, label = item["file"] or "", item["label"] or ""
            if label not in ("0", "1"):
                raise DataError(f"{table}:{line}: label must be 0 or 1, not {label!r}")
            if not file or Path(file).is_absolute() or ".." in Path(file).parts:
                raise DataError(f"{table}:{line}: file must be a path below {images.name}/, not {file!r}")
            split = item.get("split") or hash_split(file)
            if split not in SPLITS:
                raise DataError(f"{table}:{line}: split must be train or val, not {split!r}")
            rows.append(Row(images, file, int(label), split, item.get("source_dataset") or default_source))
    return rows


def list_rows(folder: Path, *, crops: bool = False) -> list[Row]:
    """Every labelled image of a data folder, the crops too where asked, in a fixed order.

    Raises :class:`DataError` where the folder has no such layout, or ``crops`` is asked for and there are none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such data folder")
    if (folder / "labels.csv").is_file():
        rows = _table(folder / "labels.csv", folder / "images", "")
    elif (folder / "person").is_dir() and (folder / "no_person").is_dir():
        rows = [
            Row(folder / name, path.name, label, hash_split(path.name), "")
            for label, name in ((1, "person"), (0, "no_person"))
            for path in sorted((folder / name).iterdir())
            if path.suffix.lower() in SUFFIXES
        ]
    else:
        raise DataError(f"{folder}: holds neither labels.csv nor the folders person/ and no_person/")
    if crops:
        if not (folder / "crops_labels.csv").is_file():
            raise DataError(f"{folder}: no crops_labels.csv, so there are no crops to read")
        rows += _table(folder / "crops_labels.csv", folder / "crops", CROP_PREFIX + "unknown")
    if not rows:
        raise DataError(f"{folder}: no labelled images")
    return rows


def load_rows(
    rows: list[Row], height: int, width: int, *, cache: Path | None = None, progress: Progress | None = None
) -> Photos:
    """Decode ``rows`` at one size.

    With ``cache`` (a folder) the pixels are kept there in one .npy file named by a hash of the file names, their sizes
    and times, and the image size; a changed photo is therefore decoded anew.
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
    if file is not None and file.is_file():
        images = np.load(file)
    else:
        images = np.empty((len(rows), height, width, 3), np.uint8)
        for i, row in enumerate(rows):
            images[i] = load_image(row.path, height, width)
            if progress is not None:
                progress(i + 1, len(rows))
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = file.with_suffix(".partial.npy")
            np.save(partial, images)
            partial.replace(file)
    return Photos(tuple(rows), images, np.array([row.label for row in rows], np.int64))


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

    A limit takes rows spread evenly over the split, so that both classes and all sources are in it.
    """
    rows = list_rows(folder, crops=crops)
    if split is not None:
        if split not in SPLITS:
            raise DataError(f"split must be train or val, not {split!r}")
        rows = [row for row in rows if row.split == split]
        if not rows:
            raise DataError(f"{folder}: no row of split {split}")
    if limit is not None:
        if limit < 1:
            raise DataError(f"limit must be at least 1, not {limit}")
        rows = [rows[i * len(rows) // limit] for i in range(limit)] if limit < len(rows) else rows
    return load_rows(rows, height, width, cache=cache, progress=progress)
