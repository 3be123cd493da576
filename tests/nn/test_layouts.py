"""Visual Wake Words, Pascal VOC and class folders, each on a small sample in the exact published layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rasca_nn.boxes import person_boxes
from rasca_nn.config import preset
from rasca_nn.data import load_folder
from rasca_nn.layouts import list_rows
from rasca_nn.options import Options
from rasca_nn.rows import DataError, Row
from rasca_nn.train import train

BOX = (40, 30, 80, 90)
"""Of the large person in each sample, x1 y1 x2 y2 of 160x120 pixels."""


def photo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (160, 120), (9, 99, 199)).save(path)


def annotation(number: int, image: int, category: int, box: list[float], area: float) -> dict[str, Any]:
    about = {"id": number, "image_id": image, "category_id": category, "area": area, "bbox": box, "iscrowd": 0}
    return about | {"segmentation": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]}


def vww(folder: Path, images: str = "all", names: tuple[str, str] = ("train", "val")) -> Path:
    """As create_visualwakewords_annotations.py writes it; image ids 10.. for training, 20.. for validation."""
    (folder / "annotations").mkdir(parents=True)
    licences = [{"url": "http://example.org", "id": 1, "name": "some licence"}]
    categories = [
        {"supercategory": "background", "id": 0, "name": "not-person"},
        {"supercategory": "person", "id": 1, "name": "person"},
    ]
    for name, first in zip(names, (10, 20), strict=True):
        entries, annotations = [], []
        for i in range(first, first + 4):
            file = f"COCO_{'train' if i % 2 else 'val'}2014_{i:012}.jpg"
            photo(folder / (images or f"{'train' if i % 2 else 'val'}2014") / file)
            entries.append({"license": 1, "file_name": file, "height": 120, "width": 160, "id": i})
        x1, y1, x2, y2 = BOX
        annotations.append(annotation(0, first, 1, [x1, y1, x2 - x1, y2 - y1], 2000.0))
        # 0.5 % of 160x120 pixels are 96: this one is not enough, whatever its box.
        annotations.append(annotation(1, first + 1, 1, [0, 0, 20, 20], 96.0))
        found = {"info": {"description": "Visual Wake Words Dataset", "version": "1.0", "year": 2019}}
        found |= {"licenses": licences, "images": entries, "annotations": annotations, "categories": categories}
        (folder / "annotations" / f"instances_{name}.json").write_text(json.dumps(found))
    return folder


def voc(folder: Path) -> Path:
    """As the devkit unpacks: VOC2007 with trainval and test, VOC2012 with trainval."""
    for year, name, ids in (
        ("VOC2007", "trainval", ("000005", "000007")),
        ("VOC2007", "test", ("000001", "000002")),
        ("VOC2012", "trainval", ("2008_000002", "2008_000003")),
    ):
        root = folder / "VOCdevkit" / year
        for i, number in enumerate(ids):
            photo(root / "JPEGImages" / f"{number}.jpg")
            person = ("person", BOX) if i == 0 else ("person", (1, 1, 12, 8))
            objects = "".join(
                f"<object><name>{kind}</name><pose>Left</pose><truncated>1</truncated><difficult>0</difficult>"
                f"<bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin><xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox></object>"
                for kind, b in (person, ("dog", (1, 1, 160, 120)))
            )
            text = (
                f"<annotation><folder>{year}</folder><filename>{number}.jpg</filename>"
                "<size><width>160</width><height>120</height><depth>3</depth></size><segmented>0</segmented>"
                f"{objects}</annotation>"
            )
            (root / "Annotations").mkdir(exist_ok=True)
            (root / "Annotations" / f"{number}.xml").write_text(text)
        (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text("".join(f"{number}\n" for number in ids))
    return folder


def summary(rows: list[Row]) -> list[tuple[str, int, str]]:
    return [(row.file, row.label, row.split) for row in rows]


@pytest.mark.parametrize("images", ["all", "images", "", "."])
@pytest.mark.parametrize("names", [("train", "val"), ("maxitrain", "minival")])
def test_visual_wake_words(tmp_path: Path, images: str, names: tuple[str, str]) -> None:
    rows = list_rows(vww(tmp_path / "vww", images, names))
    files = [f"COCO_{'train' if i % 2 else 'val'}2014_{i:012}.jpg" for i in (*range(10, 14), *range(20, 24))]
    wanted = [(file, int(i % 4 == 0), "train" if i < 4 else "val") for i, file in enumerate(files)]
    assert sorted(summary(rows)) == sorted(wanted)
    assert all(row.path.is_file() for row in rows)
    boxes, known = person_boxes(tmp_path / "vww", rows)
    assert known.all()
    large = boxes[[row.label == 1 for row in rows]]
    np.testing.assert_allclose(large[:, 0], [[40 / 160, 30 / 120, 80 / 160, 90 / 120]] * 2)
    assert len(load_folder(tmp_path / "vww", 20, 32, split="val")) == 4


def test_pascal_voc(tmp_path: Path) -> None:
    voc(tmp_path)
    wanted = [("000005.jpg", 1, "train"), ("000007.jpg", 0, "train"), ("2008_000002.jpg", 1, "train")]
    wanted += [("2008_000003.jpg", 0, "train"), ("000001.jpg", 1, "val"), ("000002.jpg", 0, "val")]
    for folder in (tmp_path, tmp_path / "VOCdevkit"):
        rows = list_rows(folder)
        assert summary(rows) == wanted
        assert rows[0].boxes == ((39 / 160, 29 / 120, 80 / 160, 90 / 120),)
        assert [row.source for row in rows][::2] == ["voc2007", "voc2012", "voc2007"]
    assert len(load_folder(tmp_path, 20, 32, split="train")) == 4
    # Without the test set there is nothing to validate on.
    (tmp_path / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / "test.txt").unlink()
    assert len(list_rows(tmp_path)) == 4
    with pytest.raises(DataError, match="no row of split val"):
        load_folder(tmp_path, 20, 32, split="val")


def test_class_folders_of_both_kinds(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("person", "no_person"):
            photo(tmp_path / "split" / split / name / "a.jpg")
    assert summary(list_rows(tmp_path / "split")) == [
        ("a.jpg", 1, "train"),
        ("a.jpg", 0, "train"),
        ("a.jpg", 1, "val"),
        ("a.jpg", 0, "val"),
    ]
    for name in ("person", "non_person"):
        photo(tmp_path / "vw_coco2014_96" / name / f"COCO_{name}.jpg")
    assert [row.label for row in list_rows(tmp_path / "vw_coco2014_96")] == [1, 0]


def test_training_on_voc(tmp_path: Path) -> None:
    options = Options(epochs=1, draws=8, batch=4)
    out = train(config=preset("tiny"), data=voc(tmp_path / "voc"), out=tmp_path / "out", options=options)
    assert out.is_file()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "instances_val.json",
            None,
            "instances_val.json: no such file; Visual Wake Words has one json file for training",
        ),
        ("instances_val.json", "{", "instances_val.json: is no JSON"),
        ("instances_val.json", "[]", "holds no list 'images'; expected COCO's format"),
        ("instances_val.json", '{"images": []}', "holds no list 'annotations'"),
        ("instances_val.json", '{"images": [{"id": 1}], "annotations": []}', "image 0 needs id, file_name, width and"),
        ("instances_val.json", '{"images": [], "annotations": [{"category_id": 1}]}', "annotation 0 needs image_id"),
        (
            "instances_val.json",
            '{"images": [], "annotations": [], "categories": ["person"]}',
            "needs id and name",
        ),
        ("instances_val.json", "[" * 100_000, "instances_val.json: is no JSON"),
        (
            "instances_val.json",
            '{"images": [{"id": 1, "file_name": "x.jpg", "width": -1, "height": -1}], "annotations": []}',
            "image 0 needs id, file_name, width and height",
        ),
        (
            "instances_val.json",
            '{"images": [{"id": 1, "file_name": "x.jpg", "width": 1, "height": 1}], "annotations": []}',
            "image x.jpg lies in none of all/, .* or the data folder itself",
        ),
    ],
)
def test_bad_visual_wake_words(tmp_path: Path, file: str, content: str | None, message: str) -> None:
    vww(tmp_path)
    path = tmp_path / "annotations" / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        list_rows(tmp_path)
    assert "\n" not in str(caught.value)


def test_bad_pascal_voc(tmp_path: Path) -> None:
    voc(tmp_path)
    path = tmp_path / "VOCdevkit" / "VOC2007" / "Annotations" / "000005.xml"
    whole = path.read_text()
    for content, message in (
        ("<annotation>", "000005.xml: is no annotation of Pascal VOC"),
        (whole.replace("<width>160</width>", ""), "is no annotation of Pascal VOC"),
        (whole.replace("<xmin>40</xmin>", "<xmin>left</xmin>"), "bndbox/xmin must be a number from 0, not .left."),
        (whole.replace("<width>160<", "<width>-160<"), "size/width must be a number from 1, not '-160'"),
        (whole.replace("<name>person</name>", ""), "an object without a name"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=message):
            list_rows(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"000005\.xml: no such annotation"):
        list_rows(tmp_path)
    listing = tmp_path / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / "trainval.txt"
    for content, message in (
        ("", r"trainval\.txt: lists no image"),
        ("000005  1\n", r"trainval\.txt:1: expected an image's name without folder and suffix, not '000005 1'"),
        ("\udcff\n", r"trainval\.txt: is no text"),
    ):
        listing.write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(DataError, match=message):
            list_rows(tmp_path)
    for listing in tmp_path.rglob("*.txt"):
        listing.unlink()
    with pytest.raises(DataError, match=r"lists no image; expected VOC2007/ImageSets/Main/trainval\.txt, "):
        list_rows(tmp_path)
