"""Pascal VOC 2007 and 2012 as the devkit unpacks them, person against not (paper, section 4.2).

Training is 2007-trainval and 2012-trainval, validation 2007-test.
"""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

from rasca_nn.rows import PERSON_AREA, Box, DataError, Row

SETS = (("VOC2007", "trainval", "train"), ("VOC2012", "trainval", "train"), ("VOC2007", "test", "val"))
"""Year, image set and the split it is; one whose list is not there is left out."""


def _devkit(folder: Path) -> Path:
    return folder / "VOCdevkit" if (folder / "VOCdevkit").is_dir() else folder


def is_voc(folder: Path) -> bool:
    """Whether a folder is VOCdevkit, or holds it."""
    return any((_devkit(folder) / year).is_dir() for year, _, _ in SETS)


def _number(node: ElementTree.Element, path: str, least: float = 0.0) -> float:
    text = node.findtext(path, "missing")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        raise ValueError(f"{path} must be a number from {least:g}, not {text!r}")
    return value


def _name(item: ElementTree.Element) -> str:
    name = item.findtext("name")
    if not name:
        raise ValueError("an object without a name")
    return name


def _persons(path: Path) -> tuple[Box, ...]:
    """The persons an annotation lists, as parts of the image; its pixels count from 1."""
    try:
        root = ElementTree.parse(path).getroot()
        width, height = _number(root, "size/width", 1), _number(root, "size/height", 1)
        return tuple(
            (
                (_number(item, "bndbox/xmin") - 1) / width,
                (_number(item, "bndbox/ymin") - 1) / height,
                _number(item, "bndbox/xmax") / width,
                _number(item, "bndbox/ymax") / height,
            )
            for item in root.iter("object")
            if _name(item) == "person"
        )
    except FileNotFoundError:
        raise DataError(f"{path}: no such annotation") from None
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{path}: is no annotation of Pascal VOC ({error})") from None


def _listed(path: Path) -> list[str]:
    """The images of a set, one a line."""
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise DataError(f"{path}: is no text; expected the name of an image in each line") from None
    if not lines:
        raise DataError(f"{path}: lists no image")
    for i, line in enumerate(lines, 1):
        if len(line) != 1 or Path(line[0]).name != line[0]:
            raise DataError(f"{path}:{i}: expected an image's name without folder and suffix, not {' '.join(line)!r}")
    return [line[0] for line in lines]


def read_voc(folder: Path) -> list[Row]:
    """Rows of all image sets that are there, with boxes; label 1 where a person's box exceeds 0.5 % of the image."""
    devkit, rows = _devkit(folder), []
    for year, name, split in SETS:
        listing = devkit / year / "ImageSets" / "Main" / f"{name}.txt"
        if not listing.is_file():
            continue
        for line in _listed(listing):
            boxes = _persons(devkit / year / "Annotations" / f"{line}.xml")
            label = int(any((x2 - x1) * (y2 - y1) > PERSON_AREA for x1, y1, x2, y2 in boxes))
            rows.append(Row(devkit / year / "JPEGImages", f"{line}.jpg", label, split, year.lower(), boxes))
    if not rows:
        wanted = ", ".join(f"{year}/ImageSets/Main/{name}.txt" for year, name, _ in SETS)
        raise DataError(f"{devkit}: lists no image; expected {wanted}")
    return rows
