"""Where the persons are: boxes of a data folder, and as a coarse grid of coverage.

Training uses them three times: a random crop is given the label that its own content has, the confidence of a row group
may be taught by them, and the hidden state is supervised place by place. A folder without boxes trains on labels alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rasca_nn.csv_file import read_csv
from rasca_nn.rows import Box, DataError, Row

EDGES = ("x1", "y1", "x2", "y2")
WINDOW = "crop_x;y;w;h"
"""Columns of boxes.csv and of crops_labels.csv."""
GRID = (42, 48)
"""Cells (rows, columns) of the coverage grid over a photo."""

SMALLEST = 0.003
"""Part of a photo labelled 1 that a box must cover for its boxes to be believed complete."""


def _size(path: Path) -> tuple[int, int]:
    """Width and height of an image, from its header alone."""
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError:
        raise DataError(f"{path}: no such image") from None
    except OSError as error:
        raise DataError(f"{path}: broken image ({error})") from None


def _person_boxes(path: Path) -> dict[str, list[Box]]:
    """Boxes of class person by file, as fractions of the photo."""
    boxes: dict[str, list[Box]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for line, item in read_csv(path, ("file", *EDGES, "class")) if path.is_file() else ():
        file = item["file"]
        try:
            x1, y1, x2, y2 = edges = [float(item[key]) for key in EDGES]
        except ValueError:
            edges = []
        if not file or not edges or not all(map(math.isfinite, edges)):
            raise DataError(f"{path}:{line}: needs file and the numbers {', '.join(EDGES)}")
        if item["class"] == "person":
            if file not in sizes:
                sizes[file] = _size(path.parent / "images" / file)
            width, height = sizes[file]
            boxes.setdefault(file, []).append((x1 / width, y1 / height, x2 / width, y2 / height))
    return boxes


def _crop_windows(folder: Path) -> dict[str, tuple[str, Box]]:
    """For each crop: the photo it was cut from and its window as fractions of that photo."""
    table, crops, windows = folder / "labels.csv", folder / "crops_labels.csv", {}
    if not (table.is_file() and crops.is_file()):
        return {}
    photos = {item.get("original_id"): item for _, item in read_csv(table, ("file",))}
    for line, item in read_csv(crops, ("file",)):
        photo, window = photos.get(item.get("original_id")), item.get(WINDOW)
        if photo is not None and window and photo.get("original_size"):
            try:
                width, height = (int(v) for v in photo["original_size"].split("x"))
                x, y, w, h = (int(v) for v in window.split(";"))
                part = (x / width, y / height, (x + w) / width, (y + h) / height)
            except (ValueError, ZeroDivisionError):
                found = f"{window!r} of {photo['original_size']!r}"
                raise DataError(f"{crops}:{line}: needs {WINDOW} in pixels of a photo of WxH, not {found}") from None
            windows[item["file"]] = (photo["file"], part)
    return windows


def _within(boxes: Sequence[Box], window: Box) -> list[Box]:
    """Boxes of a photo as fractions of a window of it; those outside are left out."""
    left, top, right, bottom = window
    wide, high = right - left, bottom - top
    moved = [((x1 - left) / wide, (y1 - top) / high, (x2 - left) / wide, (y2 - top) / high) for x1, y1, x2, y2 in boxes]
    cut = [(max(0.0, x1), max(0.0, y1), min(1.0, x2), min(1.0, y2)) for x1, y1, x2, y2 in moved]
    return [box for box in cut if box[2] > box[0] and box[3] > box[1]]


def person_boxes(folder: Path, rows: Sequence[Row]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The persons in each row, float32 ``[N, K, 4]`` (left, top, right, bottom in 0..1), and whether they are known.

    Rows with fewer than K persons are filled up with empty boxes. Boxes are those of the layout (:class:`Row`), else
    of boxes.csv (file, x1, y1, x2, y2, class), which counts pixels of the files in images/. Rows labelled 0 are known;
    rows labelled 1 are known where a box of sensible size is listed in them or, for a crop, in its photo. Raises
    :class:`DataError` for a table that cannot be read.
    """
    listed, windows = _person_boxes(folder / "boxes.csv"), _crop_windows(folder)
    found: list[list[Box]] = []
    known = np.zeros(len(rows), np.bool_)
    for i, row in enumerate(rows):
        file, window = windows.get(row.file, (row.file, (0.0, 0.0, 1.0, 1.0)))
        boxes = listed.get(file, []) if row.boxes is None else row.boxes
        # A row labelled 0 that came without boxes shows nobody, whatever else bears its name.
        found.append([] if row.boxes is None and row.label == 0 else _within(boxes, window))
        largest = max(((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in found[-1]), default=0.0)
        known[i] = row.label == 0 or largest > SMALLEST
    most = max(1, *map(len, found), 1)
    packed = np.zeros((len(rows), most, 4), np.float32)
    for i, boxes in enumerate(found):
        if known[i] and boxes:
            packed[i, : len(boxes)] = boxes
    return packed, known


def _overlap(low: NDArray[np.float32], high: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    """How much of each of ``cells`` equal parts of 0..1 lies in low..high: ``[N, K]`` each to ``[N, K, cells]``."""
    edges = np.arange(cells + 1) / cells
    inside = np.minimum(edges[1:], high[..., None]) - np.maximum(edges[:-1], low[..., None])
    return (np.clip(inside, 0, None) * cells).astype(np.float32)


def coverage(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of each cell of a photo persons cover: boxes ``[N, K, 4]`` to float32 ``[N, *GRID]`` in 0..1."""
    along = _overlap(boxes[..., 1], boxes[..., 3], GRID[0])
    across = _overlap(boxes[..., 0], boxes[..., 2], GRID[1])
    cover = np.zeros((len(boxes), *GRID), np.float32)
    for k in range(boxes.shape[1]):
        np.maximum(cover, along[:, k, :, None] * across[:, k, None, :], out=cover)
    return cover
