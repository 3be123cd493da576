"""The layouts a data folder may have, and which one it has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rasca_nn.folders import is_classes, is_table, read_classes, read_crops, read_labels
from rasca_nn.rows import DataError, Row
from rasca_nn.voc import is_voc, read_voc
from rasca_nn.vww import is_vww, read_vww


class Layout(NamedTuple):
    """What it is called, what to look for, how to see that a folder has it, and how to read it."""

    name: str
    wanted: str
    found: Callable[[Path], bool]
    read: Callable[[Path], list[Row]]


LAYOUTS = (
    Layout("table", "labels.csv and images/", is_table, read_labels),
    Layout("Visual Wake Words", "annotations/instances_train.json and instances_val.json", is_vww, read_vww),
    Layout("Pascal VOC", "VOCdevkit/VOC2007 and VOC2012", is_voc, read_voc),
    Layout(
        "class folders", "person/ and no_person/ (or non_person/), or both in train/ and val/", is_classes, read_classes
    ),
)
"""In the order in which they are looked for."""

ACCEPTED = "; ".join(f"{layout.name}: {layout.wanted}" for layout in LAYOUTS)


def list_rows(folder: Path, *, crops: bool = False) -> list[Row]:
    """Every labelled image of a data folder, in a fixed order; with ``crops`` those of crops_labels.csv too.

    Raises :class:`DataError` where the folder has no known layout or a file of it is missing or malformed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such data folder")
    layout = next((layout for layout in LAYOUTS if layout.found(folder)), None)
    if layout is None:
        raise DataError(f"{folder}: has no known layout ({ACCEPTED})")
    rows = layout.read(folder)
    if crops:
        rows = rows + read_crops(folder)
    if not rows:
        raise DataError(f"{folder}: no labelled images")
    return rows
