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
PERSON_AREA = 0.005
"""A photo shows a person when one's area exceeds this part of it (Visual Wake Words; paper, section 4.2)."""

Box = tuple[float, float, float, float]


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


def hash_split(file: str) -> str:
    """``val`` for one file name in five, by its hash, else ``train``."""
    return "val" if hashlib.sha256(file.encode()).digest()[0] % 5 == 0 else "train"
