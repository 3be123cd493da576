"""The figures of a card: both networks, the hardware's report where there is one, and the card's other text kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rasca_nn.config import RaScaNetConfig, preset
from rasca_nn.float_file import save_float
from rasca_nn.quantize import quantize
from rasca_nn.rows import CROP_PREFIX
from rtl_gen import cli

from .conftest import photo_bytes, trained


@pytest.fixture
def model(tiny: RaScaNetConfig, tmp_path: Path) -> Path:
    """An integer model beside its float network."""
    network = trained(tiny)
    save_float(network, tmp_path / "tiny.float")
    quantize(network, photo_bytes(tiny, 16))[0].save(tmp_path / "tiny.int8")
    return tmp_path / "tiny.int8"


def add_crop(folder: Path) -> None:
    """A crop in the validation split."""
    Image.fromarray(np.full((210, 240, 3), 99, np.uint8)).save(folder / "crops" / "v.png")
    with (folder / "crops_labels.csv").open("a", encoding="utf-8") as stream:
        stream.write(f"v.png,1,{CROP_PREFIX}coco_val2017,{2:012},0;0;120;105,val\n")


def rasca(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


def test_card(model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_crop(folder)
    card = tmp_path / "tiny.md"
    card.write_text("# tiny\n\n<!-- rasca card: begin -->\nold\n<!-- rasca card: end -->\nbehind\n")
    assert rasca("card", model, "--data", folder, "-o", card) == 0
    text = card.read_text()
    assert text.startswith("# tiny\n\n<!-- rasca card: begin -->\n") and text.endswith("end -->\nbehind\n")
    assert "old" not in text and "RTL" not in text
    assert "the 25 images" in text
    for engine, suffix in (("float", ".float"), ("INT8", ".int8")):
        capsys.readouterr()
        command = ("evaluate", model.with_suffix(suffix), "--data", folder, "--engine", engine.lower())
        assert rasca(*command, "--split", "val", "--crops", "--json") == 0
        found = json.loads(capsys.readouterr().out)
        part = found["groups"]["photos"]
        rates = " | ".join(f"{part[key]:.3f}" for key in ("balanced_accuracy", "tpr", "tnr", "accuracy"))
        assert f"| photos | 24 | {engine} | {rates} |" in text
        assert f"| crops | 1 | {engine} | - | {found['groups']['crops']['tpr']:.3f} | - |" in text
        assert f"| all of these | 25 | {engine} |" in text
    # `found` is the integer model's; hardware that equals it is a third line of every group.
    report = tmp_path / "rtl.json"
    report.write_text(json.dumps(found | {"target": "small", "compared": 1234, "mismatches": 0}))
    assert rasca("card", model, "--data", folder, "-o", card, "--rtl", report) == 0
    text = card.read_text()
    assert f"| photos | 24 | RTL, small | {rates} |" in text
    assert "--engine rtl --target small --crops --json > rtl.json" in text
    assert "RTL, small, 25 images: 1,234 values compared with the integer model, 0 mismatches." in text


def test_what_a_card_refuses(model: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "rtl.json"
    whole = {"model": "0", "target": "small", "compared": 1, "mismatches": 0, "groups": {}}
    for content, message in (
        ("{", "rtl.json: is no report of rasca evaluate --engine rtl --json"),
        (json.dumps(whole | {"model": "1"}), "is about the model 1, not "),
    ):
        report.write_text(content)
        assert rasca("card", model, "--data", folder, "-o", tmp_path / "x.md", "--rtl", report) == 2
        assert message in capsys.readouterr().err
    assert rasca("card", model, "--data", folder, "-o", tmp_path / "x.txt") == 2
    assert "ends in .md" in capsys.readouterr().err
    save_float(trained(preset("banded-105x120")), model.with_suffix(".float"))
    assert rasca("card", model, "--data", folder, "-o", tmp_path / "x.md") == 2
    assert "they differ in configuration" in capsys.readouterr().err
    model.with_suffix(".float").unlink()
    assert rasca("card", model, "--data", folder, "-o", tmp_path / "x.md") == 2
    assert "tiny.float" in capsys.readouterr().err
    assert not (tmp_path / "x.md").exists()
