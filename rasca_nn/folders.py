"""The two plain layouts: a table of labels beside its images, and a folder for each class."""

from __future__ import annotations

from pathlib import Path

from rasca_nn.csv_file import read_csv
from rasca_nn.rows import CROP_PREFIX, SPLITS, SUFFIXES, DataError, Row, hash_split

CLASSES = (("person", 1), ("no_person", 0), ("non_person", 0))
"""Class folders and their labels; the last is the name in vw_coco2014_96 of MLPerf Tiny."""


def read_table(table: Path, images: Path, default_source: str = "") -> list[Row]:
    """Rows of a csv file: ``file`` (below ``images``), ``label``, optionally ``split``, ``source_dataset``, ``fold``.

    Rows without a split are given one by a hash of their file name.
    """
    rows = []
    for line, item in read_csv(table, ("file", "label")):
        file, label = item["file"], item["label"]
        if label not in ("0", "1"):
            raise DataError(f"{table}:{line}: label must be 0 or 1, not {label!r}")
        if not file or Path(file).is_absolute() or ".." in Path(file).parts:
            raise DataError(f"{table}:{line}: file must be a path below {images.name}/, not {file!r}")
        given = item.get("split")
        split = given or hash_split(file)
        if split not in SPLITS:
            raise DataError(f"{table}:{line}: split must be train or val, not {split!r}")
        fold = item.get("fold") or None
        if fold is not None and not fold.isdecimal():
            raise DataError(f"{table}:{line}: fold must be a whole number, not {fold!r}")
        source = item.get("source_dataset") or default_source
        place = None if fold is None else int(fold)
        rows.append(Row(images, file, int(label), split, source, fold=place, divided=bool(given)))
    return rows


def is_table(folder: Path) -> bool:
    """Whether a folder has labels.csv."""
    return (folder / "labels.csv").is_file()


def read_labels(folder: Path) -> list[Row]:
    """Rows of labels.csv beside images/."""
    return read_table(folder / "labels.csv", folder / "images")


def is_classes(folder: Path) -> bool:
    """Whether a folder holds a folder for each class, itself or in train/ and val/."""
    roots = (folder, *(folder / split for split in SPLITS))
    return any((root / "person").is_dir() and _negatives(root) for root in roots)


def _negatives(root: Path) -> list[str]:
    return [name for name, label in CLASSES if label == 0 and (root / name).is_dir()]


def read_classes(folder: Path) -> list[Row]:
    """Rows of class folders; the split is the folder they are in, else a hash of the file name."""
    rows = []
    for split in ("", *SPLITS):
        for name, label in CLASSES:
            place = folder / split / name
            for path in sorted(place.iterdir()) if place.is_dir() else ():
                if path.suffix.lower() in SUFFIXES:
                    where = split or hash_split(path.name)
                    rows.append(Row(place, path.name, label, where, "", divided=bool(split)))
    return rows


def read_crops(folder: Path) -> list[Row]:
    """Rows of crops_labels.csv beside crops/."""
    if not (folder / "crops_labels.csv").is_file():
        raise DataError(f"{folder}: no crops_labels.csv, so there are no crops to read")
    return read_table(folder / "crops_labels.csv", folder / "crops", CROP_PREFIX + "unknown")
