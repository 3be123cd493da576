"""Where the persons are: boxes.csv of a data folder as a coarse grid of coverage.

Training uses it twice: a random crop is given the label that its own content has, and the hidden state is supervised
place by place. Both are optional; a folder without boxes.csv trains on labels alone.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rasca_nn.data import DataError, Row

GRID = (42, 48)
"""Cells (rows, columns) of the coverage grid over a photo."""

_Box = tuple[float, float, float, float]


def _overlap(low: float, high: float, cells: int) -> NDArray[np.float32]:
    """How much of each of ``cells`` equal parts of 0..1 lies in low..high."""
    edges = np.arange(cells + 1) / cells
    inside = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
    return (np.clip(inside, 0, None) * cells).astype(np.float32)


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _person_boxes(folder: Path) -> dict[str, list[_Box]]:
    """Boxes of class person by file, as fractions of the photo."""
    boxes: dict[str, list[_Box]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for item in _read(folder / "boxes.csv"):
        file = item["file"]
        if item["class"] == "person":
            if file not in sizes:
                with Image.open(folder / "images" / file) as image:  # reads its header alone
                    sizes[file] = image.size
            width, height = sizes[file]
            x1, y1, x2, y2 = (float(item[key]) for key in ("x1", "y1", "x2", "y2"))
            boxes.setdefault(file, []).append((x1 / width, y1 / height, x2 / width, y2 / height))
    return boxes


def _crop_windows(folder: Path) -> dict[str, tuple[str, _Box]]:
    """For each crop: the photo it was cut from and its window as fractions of that photo."""
    photos = {item.get("original_id"): item for item in _read(folder / "labels.csv")}
    windows = {}
    for item in _read(folder / "crops_labels.csv"):
        photo, window = photos.get(item.get("original_id")), item.get("crop_x;y;w;h")
        if photo is not None and window and photo.get("original_size"):
            width, height = (int(v) for v in photo["original_size"].split("x"))
            x, y, w, h = (int(v) for v in window.split(";"))
            windows[item["file"]] = (photo["file"], (x / width, y / height, (x + w) / width, (y + h) / height))
    return windows


def person_cover(folder: Path, rows: Sequence[Row]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Coverage by person boxes, float32 ``[N, *GRID]`` in 0..1, and whether it is known, bool ``[N]``.

    boxes.csv (file, x1, y1, x2, y2, class) counts pixels of the files in images/. Rows labelled 0 are known to be
    empty; rows labelled 1 are known where boxes.csv lists a person in them or, for a crop, in its photo.
    Raises :class:`DataError` for a table that cannot be read.
    """
    try:
        boxes, windows = _person_boxes(folder), _crop_windows(folder)
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise DataError(f"{folder}: boxes.csv or crops_labels.csv cannot be read ({error})") from None
    cover = np.zeros((len(rows), *GRID), np.float32)
    known = np.zeros(len(rows), np.bool_)
    for i, row in enumerate(rows):
        if row.label == 0:
            known[i] = True
            continue
        file, (left, top, right, bottom) = windows.get(row.file, (row.file, (0.0, 0.0, 1.0, 1.0)))
        for x1, y1, x2, y2 in boxes.get(file, []):
            along = _overlap((y1 - top) / (bottom - top), (y2 - top) / (bottom - top), GRID[0])
            across = _overlap((x1 - left) / (right - left), (x2 - left) / (right - left), GRID[1])
            np.maximum(cover[i], along[:, None] * across[None, :], out=cover[i])
        known[i] = cover[i].mean() > 0.003
    cover[~known] = 0
    return cover, known
