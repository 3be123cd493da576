"""Visual Wake Words, as the community's scripts derive it from COCO: two json files and folders of images.

``create_visualwakewords_annotations.py`` writes ``annotations/instances_train.json`` and ``instances_val.json`` in
COCO's format, with the person annotations that exceed 0.5 % of their image; ``create_coco_train_minival_split.py``
before it writes ``instances_maxitrain.json`` and ``instances_minival.json`` with all annotations. Either is read, and
the rule is applied to both.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from rasca_nn.rows import PERSON_AREA, Box, DataError, Row

FILES = (("instances_train.json", "instances_val.json"), ("instances_maxitrain.json", "instances_minival.json"))
"""Annotations for training and for validation."""
IMAGES = ("all", "all2014", "all2017", "images", "train2014", "val2014", "train2017", "val2017", ".")
"""Where the images may be, below the data folder."""


def _places(folder: Path) -> list[tuple[Path, Path]]:
    return [(root / train, root / val) for train, val in FILES for root in (folder / "annotations", folder)]


def is_vww(folder: Path) -> bool:
    """Whether a folder has one of the json files, so that a missing partner is an error about it."""
    return any(path.is_file() for pair in _places(folder) for path in pair)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; Visual Wake Words has one json file for training and one for validation"
        )
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({error})") from None
    for key in ("images", "annotations"):
        if not isinstance(found, dict) or not isinstance(found.get(key), list):
            raise DataError(f"{path}: holds no list {key!r}; expected COCO's format")
    return found


def _persons(path: Path, found: dict[str, Any]) -> dict[int, list[tuple[float, list[float]]]]:
    """Area and bbox of every person by image."""
    persons: dict[int, list[tuple[float, list[float]]]] = {}
    try:
        wanted = {c["id"] for c in found.get("categories", []) if c["name"] == "person"} or {1}
    except (KeyError, TypeError):
        raise DataError(f"{path}: every one of its categories needs id and name") from None
    for i, item in enumerate(found["annotations"]):
        try:
            if item["category_id"] in wanted:
                x, y, wide, high = map(float, item["bbox"])
                area = float(item.get("area", wide * high))
                if not all(map(math.isfinite, (x, y, wide, high, area))):
                    raise ValueError
                persons.setdefault(item["image_id"], []).append((area, [x, y, x + wide, y + high]))
        except (KeyError, TypeError, ValueError):
            raise DataError(
                f"{path}: annotation {i} needs image_id, category_id and bbox [x, y, width, height]"
            ) from None
    return persons


def _rows(path: Path, split: str, where: dict[str, Path]) -> list[Row]:
    found = _read(path)
    persons = _persons(path, found)
    rows = []
    for i, item in enumerate(found["images"]):
        try:
            number, file, width, height = (
                item["id"],
                str(item["file_name"]),
                float(item["width"]),
                float(item["height"]),
            )
            if not 0 < width * height < math.inf or width < 0:
                raise ValueError
            sizes = [(area / (width * height), box) for area, box in persons.get(number, [])]
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{path}: image {i} needs id, file_name, width and height") from None
        if file not in where:
            places = ", ".join(f"{name}/" for name in IMAGES[:-1])
            raise DataError(f"{path}: image {file} lies in none of {places} or the data folder itself")
        boxes: list[Box] = [(x1 / width, y1 / height, x2 / width, y2 / height) for _, (x1, y1, x2, y2) in sizes]
        label = int(any(size > PERSON_AREA for size, _ in sizes))
        rows.append(Row(where[file], file, label, split, "coco_vww", tuple(boxes)))
    return sorted(rows, key=lambda row: row.file)


def read_vww(folder: Path) -> list[Row]:
    """Rows of both json files, with boxes; label 1 where a person exceeds 0.5 % of the image."""
    where = {
        path.name: path.parent
        for name in reversed(IMAGES)
        if (folder / name).is_dir()
        for path in (folder / name).iterdir()
    }
    train, val = next(pair for pair in _places(folder) if any(path.is_file() for path in pair))
    return _rows(train, "train", where) + _rows(val, "val", where)
