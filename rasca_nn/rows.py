"""One labelled image file, as every layout of a data folder gives it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from rasca_nn.errors import RascaError

SPLITS = ("train", "val")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
CROP_PREFIX = "crop_of_"
"""What the source of a crop starts with."""
FOLDS = 4
PERSON_AREA = 0.005
"""A photo shows a person when one's area exceeds this part of it (Visual Wake Words; paper, section 4.2)."""

Box = tuple[float, float, float, float]


class DataError(RascaError):
    """A data folder or an image that cannot be used; the message names the file."""


@dataclass(frozen=True)
class Row:
    """One labelled image file; ``folder`` and ``file`` are kept apart because other tables name ``file``.

    ``boxes``: the persons in it as (left, top, right, bottom) in 0..1; None where the layout does not say. ``fold``:
    the part of the training rows it belongs to, 1 to :data:`FOLDS`; None for by a hash of the file name. ``divided``:
    whether the layout gives the split; else it is by a hash of the file name.
    """

    folder: Path
    file: str
    label: int
    split: str
    source: str
    boxes: tuple[Box, ...] | None = None
    fold: int | None = None
    divided: bool = True

    @property
    def path(self) -> Path:
        """Where the image is."""
        return self.folder / self.file

    @property
    def part(self) -> int:
        """The fold, given or by the file name."""
        return hash_fold(self.file) if self.fold is None else self.fold

    @property
    def is_crop(self) -> bool:
        """Whether it is a derived crop and no whole photo."""
        return self.source.startswith(CROP_PREFIX)


def hash_split(file: str) -> str:
    """``val`` for one file name in five, by its hash, else ``train``."""
    return "val" if hashlib.sha256(file.encode()).digest()[0] % 5 == 0 else "train"


def hash_fold(file: str) -> int:
    """A fold for a file name, 1 to :data:`FOLDS`, by its hash."""
    return 1 + hashlib.sha256(file.encode()).digest()[1] % FOLDS
