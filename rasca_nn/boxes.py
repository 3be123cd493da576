"""Where the persons are: boxes of a data folder, and as a coarse grid of coverage.

Training uses them three times: a random crop is given the label that its own content has, the confidence of a row group
may be taught by them, and the hidden state is supervised place by place. A folder without boxes trains on labels alone.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rasca_nn.rows import Box, DataError, Row

GRID = (42, 48)
"""Cells (rows, columns) of the coverage grid over a photo."""

SMALLEST = 0.003
"""Part of a photo labelled 1 that a box must cover for its boxes to be believed complete."""


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _person_boxes(folder: Path) -> dict[str, list[Box]]:
    """Boxes of class person by file, as fractions of the photo."""
    boxes: dict[str, list[Box]] = {}
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


def _crop_windows(folder: Path) -> dict[str, tuple[str, Box]]:
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
    try:
        listed, windows = _person_boxes(folder), _crop_windows(folder)
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise DataError(f"{folder}: boxes.csv or crops_labels.csv cannot be read ({error})") from None
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
