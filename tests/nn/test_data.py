"""Data folders, bad images, boxes and augmentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rasca_nn.augment import LabelRule, choose_views, colours, placement, recolour, sample
from rasca_nn.boxes import GRID, coverage, person_boxes
from rasca_nn.data import load_folder, load_image
from rasca_nn.layouts import list_rows
from rasca_nn.metrics import ranking, rates, report
from rasca_nn.rows import DataError, hash_split


def test_table_folder(folder: Path, tmp_path: Path) -> None:
    photos = load_folder(folder, 105, 120, split="train")
    assert photos.images.shape == (24, 105, 120, 3)
    assert photos.labels.tolist() == [0, 1] * 12
    assert {row.split for row in photos.rows} == {"train"}
    assert photos.sources()[:3] == ["other", "coco_val2017", "coco_val2017"]
    assert not any(row.is_crop for row in photos.rows)
    crops = load_folder(folder, 105, 120, split="train", crops=True)
    assert [row.is_crop for row in crops.rows].count(True) == 4
    seen = []
    cached = load_folder(folder, 105, 120, cache=tmp_path / "cache", progress=lambda *at: seen.append(at))
    assert seen[-1] == (48, 48)
    again = load_folder(folder, 105, 120, cache=tmp_path / "cache", progress=lambda *at: seen.append(at))
    assert len(seen) == 48
    assert np.array_equal(cached.images, again.images)
    # A changed photo is decoded anew.
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "images" / "00.png")
    assert load_folder(folder, 105, 120, cache=tmp_path / "cache").images[0].max() == 0


def test_class_folders(tmp_path: Path) -> None:
    for name in ("person", "no_person"):
        (tmp_path / name).mkdir()
        for i in range(10):
            Image.new("L", (30, 40), i).save(tmp_path / name / f"{name}{i}.jpg")
    (tmp_path / "person" / "notes.txt").write_text("no photo")
    photos = load_folder(tmp_path, 20, 32)
    assert photos.labels.tolist() == [1] * 10 + [0] * 10
    assert [row.split for row in photos.rows] == [hash_split(row.file) for row in photos.rows]
    assert {row.split for row in photos.rows} == {"train", "val"}


def test_limit_takes_rows_spread_evenly(folder: Path) -> None:
    photos = load_folder(folder, 20, 32, limit=6)
    assert [row.file for row in photos.rows] == [f"{i:02}.png" for i in range(0, 48, 8)]
    assert len(load_folder(folder, 20, 32, limit=1000)) == 48


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na,1\n", "no column file"),
        ("file,label\na.png,2\n", "labels.csv:2: label must be 0 or 1, not '2'"),
        ("file,label\n../a.png,1\n", r"file must be a path below images/, not '\.\./a\.png'"),
        ("file,label,split\na.png,1,test\n", "split must be train or val, not 'test'"),
        ("file,label\n", "no labelled images"),
        ("file,label\nlost.png,1\n", "lost.png: no such image"),
        ("file,label\na.png\n", "labels.csv:2: label must be 0 or 1, not ''"),
        ("file,label\na\0.png,1\n", "labels.csv:2: holds a byte 0"),
        ("file,label\n\udcff.png,1\n", "labels.csv: is no table in UTF-8"),
        (f"file,label\n{'a' * 200_000},1\n", "labels.csv: is no table in UTF-8"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=message):
        load_folder(tmp_path, 20, 32)
    with pytest.raises(DataError, match=message):
        load_folder(tmp_path, 20, 32, cache=tmp_path / "cache")


def test_bad_folders(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match="no such data folder"):
        list_rows(tmp_path / "absent")
    with pytest.raises(
        DataError, match=r"has no known layout \(table: labels.csv and images/; Visual Wake Words: .*; class folders: "
    ):
        list_rows(tmp_path)
    (folder / "crops_labels.csv").unlink()
    with pytest.raises(DataError, match="there are no crops"):
        list_rows(folder, crops=True)
    with pytest.raises(DataError, match="split must be train, val or all, not 'test'"):
        load_folder(folder, 20, 32, split="test")
    with pytest.raises(DataError, match="limit must be at least 1, not 0"):
        load_folder(folder, 20, 32, limit=0)


def test_bad_images(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    for content, message in ((b"", "not an image"), (b"hello", "not an image"), (None, "no such image")):
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            load_image(path, 20, 32)
    Image.effect_noise((100, 100), 50).save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="broken image"):
        load_image(path, 20, 32)
    with pytest.raises(DataError, match="is a folder"):
        load_image(tmp_path, 20, 32)


def test_colour_modes_become_rgb(tmp_path: Path) -> None:
    for mode in ("L", "RGBA", "P", "CMYK", "1"):
        path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
        Image.new(mode, (32, 20)).save(path)
        assert load_image(path, 20, 32).shape == (20, 32, 3)


def test_photos_are_turned_upright(tmp_path: Path) -> None:
    """As a phone stores a portrait: lying, with an EXIF tag that says so."""
    picture = np.zeros((40, 30, 3), np.uint8)
    picture[:10] = 200, 100, 50
    upright = Image.fromarray(picture)
    upright.save(tmp_path / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "lying.png", exif=exif)
    np.testing.assert_array_equal(load_image(tmp_path / "lying.png", 40, 30), picture)
    np.testing.assert_array_equal(load_image(tmp_path / "upright.png", 40, 30), picture)


def test_deep_grey_images(tmp_path: Path) -> None:
    """16 bits become 8 by scale, not by clipping; floating-point numbers have none."""
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(load_image(tmp_path / "deep.png", 16, 16), np.repeat(grey[..., None], 3, 2))
    Image.fromarray(grey.astype(np.float32)).save(tmp_path / "real.tiff")
    with pytest.raises(DataError, match="floating-point"):
        load_image(tmp_path / "real.tiff", 16, 16)


def test_persons_and_where_they_cover(folder: Path) -> None:
    rows = list_rows(folder, crops=True)
    boxes, known = person_boxes(folder, rows)
    cover = coverage(boxes)
    by_file = {row.file: (cover[i], known[i]) for i, row in enumerate(rows)}
    # A box of 80..160 x 60..150 of 240 x 210, and a chair that does not count.
    photo, sure = by_file["01.png"]
    assert sure
    wanted = np.zeros(GRID)
    wanted[12:30, 16:32] = 1
    np.testing.assert_allclose(photo, wanted, atol=1e-5)
    assert not by_file["03.png"][1]
    assert by_file["00.png"][1]
    assert by_file["00.png"][0].max() == 0
    # The crop is a quarter of the photo: 60..180 x 30..135 of it.
    crop, _ = by_file["c1_1.png"]
    assert crop.mean() == pytest.approx(80 * 75 / (120 * 105), abs=1e-3)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "boxes.csv",
            "file,x1,y1,x2,y2,class\n01.png,a,b,c,d,person\n",
            r"boxes.csv:2: needs file and the numbers",
        ),
        ("boxes.csv", "file,x1,y1,x2,y2,class\n01.png,1,2,nan,4,person\n", r"boxes.csv:2: needs file and the numbers"),
        ("boxes.csv", "file,x1,y1,x2,y2,class\n01.png,1,2\n", r"boxes.csv:2: needs file and the numbers"),
        ("boxes.csv", "file,x1,y1\n01.png,1,2\n", r"boxes.csv: no column x2, y2, class"),
        ("boxes.csv", "file,x1,y1,x2,y2,class\nzz.png,1,2,3,4,person\n", r"images/zz.png: no such image"),
        (
            "crops_labels.csv",
            f"file,original_id,crop_x;y;w;h\nc.png,{1:012},1;2\n",
            "crops_labels.csv:2: needs crop",
        ),
    ],
)
def test_unreadable_boxes(folder: Path, file: str, text: str, message: str) -> None:
    rows = list_rows(folder)
    (folder / file).write_text(text)
    with pytest.raises(DataError, match=message):
        person_boxes(folder, rows)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**31),
    top=st.floats(0, 0.7),
    left=st.floats(0, 0.7),
    size=st.sampled_from([0.05, 0.3]),
    rule=st.sampled_from([LabelRule(), LabelRule(0.02, 1e-4)]),
)
def test_views_show_what_their_label_says(seed: int, top: float, left: float, size: float, rule: LabelRule) -> None:
    """The label of a crop is that of a box of at least 0.5 % of the crop, unless the whole photo is taken."""
    rng = np.random.default_rng(seed)
    boxes = np.zeros((4, 2, 4), np.float32)
    boxes[:3, 0] = left, top, left + size, top + size
    labels, known = np.array([1, 1, 1, 0]), np.array([True, True, False, True])
    boxes[2] = 0
    views = choose_views(rng, boxes, known, labels, np.array([1, 0, 0, 0]), rule=rule)
    for i, (y0, x0, y1, x1) in enumerate(views.window.tolist()):
        assert 0 <= y0 < y1 <= 1 + 1e-6
        assert 0 <= x0 < x1 <= 1 + 1e-6
        x, y, right, bottom = boxes[i, 0].tolist()
        inside = max(0, min(bottom, y1) - max(y, y0)) * max(0, min(right, x1) - max(x, x0))
        part = inside / ((y1 - y0) * (x1 - x0))
        if (y0, x0, y1, x1) == (0, 0, 1, 1):
            assert views.labels[i] == labels[i]
        elif known[i]:
            assert part >= rule.present - 1e-5 if views.labels[i] else part < rule.absent + 1e-5
    # Without boxes a photo of a person stays one.
    assert views.labels[2] == 1
    assert views.labels[3] == 0


def test_placement_of_the_whole_photo_is_the_photo() -> None:
    class Fixed:
        """A generator that draws no flip and no rotation."""

        def choice(self, values: list, size: int) -> np.ndarray:
            return np.ones(size)

        def normal(self, *args: float) -> np.ndarray:
            return np.zeros(args[-1])  # type: ignore[arg-type]

    maps = torch.rand(2, 3, 20, 32)
    whole = placement(Fixed(), np.array([[0, 0, 1, 1]] * 2, np.float32))  # type: ignore[arg-type]
    torch.testing.assert_close(sample(maps, whole, 20, 32), maps)
    corner = placement(Fixed(), np.array([[0.5, 0, 1, 0.5]] * 2, np.float32))  # type: ignore[arg-type]
    torch.testing.assert_close(sample(maps, corner, 10, 16), maps[:, :, 10:, :16])


def test_jitter_stays_within_bytes_and_keeps_grey_grey() -> None:
    rng = np.random.default_rng(1)
    images = torch.rand(8, 3, 5, 6) * 255
    torch.testing.assert_close(recolour(images, *colours(rng, 8, 0.0)), images, rtol=0, atol=1e-3)
    strong = recolour(images, *colours(rng, 8))
    assert strong.shape == images.shape
    assert strong.min() >= 0
    assert strong.max() <= 255
    grey = recolour(images[:, :1].expand(-1, 3, -1, -1), *colours(rng, 8))
    assert (grey.amax(1) - grey.amin(1)).max() < 1.5


def test_rates() -> None:
    labels, decisions = np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 0, 1])
    found = rates(labels, decisions)
    assert found == {"n": 5, "accuracy": 0.6, "balanced_accuracy": (2 / 3 + 1 / 2) / 2, "tpr": 2 / 3, "tnr": 0.5}
    one = rates(labels[:3], decisions[:3])
    assert one["tnr"] is None
    assert one["balanced_accuracy"] is None
    sources = ["coco_val2017", "other", "crop_of_coco", "coco_x", ""]
    groups = report(labels, decisions, sources)["groups"]
    assert {name: part["n"] for name, part in groups.items()} == {"photos": 4, "coco": 2, "crops": 1}


def test_ranking() -> None:
    labels = np.array([1, 1, 0, 0])
    assert ranking(labels, np.array([3.0, 2.0, 1.0, 0.0])) == 1
    assert ranking(labels, np.array([3.0, 0.0, 1.0, 0.0])) == (1 + 1 + 0 + 0.5) / 4
    assert ranking(labels[:2], np.zeros(2)) is None


def test_rows_are_values(folder: Path) -> None:
    row = list_rows(folder)[0]
    assert replace(row, label=1) != row
    assert row.path == folder / "images" / "00.png"
