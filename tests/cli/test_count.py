"""rasca count: what it prints, its JSON, and its errors."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from rasca_nn.config import PRESETS
from rtl_gen import cli

LITTLE = """
[little]
device = "none"
multipliers = 1
block_rams = 64
luts = 20000
clock_mhz = 80
columns = 5
line_rows = 7
engines = [{ name = "all", runs = "all", rows = 2 }]
"""


def rasca(capsys, *arguments) -> str:
    """Run a command that must succeed; its output."""
    assert cli.main([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_presets(capsys):
    found = json.loads(rasca(capsys, "count", "--json"))
    assert list(found) == list(PRESETS)
    one = found["released-210x240"]
    assert one.keys() >= {"layers", "steps", "weights", "peak", "macs", "ops"}
    assert (one["weights"], one["peak"], one["macs"]) == (47033, 7920, 55273680)
    assert one["layers"][0].items() >= {"name": "head0.conv1", "weights": 174, "activations": 7920}.items()
    out = rasca(capsys, "count", "released-210x240")
    assert "gru.candidate" in out
    assert all(figure in out for figure in ("47.03", "7.92", "56.34"))


def test_hardware(capsys):
    about = json.loads(rasca(capsys, "count", "tiny", "--target", "small", "--json"))["tiny"]
    hardware, counted = about["hardware"], about
    assert hardware["products"] == counted["macs"]
    assert hardware["memory"]["all"]["bits"] == sum(
        kind["bits"] for name, kind in hardware["memory"].items() if name != "all"
    )
    assert hardware["memory"]["weights"]["bits"] == 8 * sum(layer["stored_bytes"] for layer in hardware["layers"])
    steps = counted["steps"]
    assert hardware["products"] == steps * sum(layer["products"] for layer in hardware["layers"])
    for layer in hardware["layers"]:
        assert layer["products"] <= layer["issued"]
        assert layer["weight_bytes"] <= layer["stored_bytes"]
    # Every weight of the network in use but biases and batch norms, which are folded.
    matrices = sum(layer["macs"] // (layer["outputs"][1] * layer["outputs"][2]) for layer in counted["layers"])
    assert sum(layer["weight_bytes"] for layer in hardware["layers"]) == matrices
    out = rasca(capsys, "count", "tiny", "--target", "small")
    assert "generated hardware" in out
    assert "state.clear, once a frame" in out


def test_table_1(capsys):
    out = rasca(capsys, "count", "--table1")
    assert "Squeeze-Conv1d" in out
    assert "47.6" in out
    rows = json.loads(rasca(capsys, "count", "released-105x120", "--table1", "--json"))["released-105x120"]["table1"]
    assert (rows[0]["layer"], rows[0]["one_head"], rows[0]["printed"]) == ("Conv2d-1", 3.6, None)


def test_peers(capsys):
    found = json.loads(rasca(capsys, "count", "--peers", "--json"))
    assert [row["printed"] for row in found["table2"]] == [702.46, 752.64, 175.62]
    mobilenet, missing = found["peers"]["MobileNetV2 0.35"], found["peers"]["63 KB network, ImageNet"]
    assert (mobilenet["peak"], mobilenet["peak_split"]) == (752640, 250880)
    assert mobilenet["at"]["peak"] == "block2.depthwise"
    assert (missing["peak"], missing["layers"]) == (None, [])
    assert missing["missing"]
    out = rasca(capsys, "count", "--peers")
    assert "752.64" in out
    assert all(f"{name}\n  source: " in out for name in found["peers"])
    assert "  missing: its layers" in out


def test_figure(capsys, tmp_path):
    picture = tmp_path / "new" / "memory.png"
    out = rasca(capsys, "count", "--figure", picture)
    assert "4,608.00" in out
    with Image.open(picture) as image:
        assert image.format == "PNG"
    first = picture.read_bytes()
    found = json.loads(rasca(capsys, "count", "--figure", picture, "--json"))
    assert [p["width"] for p in found["figure1"]] == [160, 240, 320, 400, 480, 560, 640]
    assert picture.read_bytes() == first
    assert list(picture.parent.iterdir()) == [picture]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tiney",), "nearest is 'tiny'"),
        (("tiny", "--target", "smal"), "nearest is 'small'"),
        (("tiny", "--target", "none.toml"), "none.toml"),
        (("tiny", "--target", "little.toml"), "more than the device's 1;"),
        (("--target", "small"), "takes one preset"),
        (("tiny", "--peers"), "takes no preset"),
        (("tiny", "--figure", "x.png"), "takes no preset"),
        (("--peers", "--table1"), "not allowed with"),
        (("--figure", "x.jpg"), "ends in .png"),
        (("--figure", "folder.png"), "is a folder"),
        (("--figure", "file/x.png"), "cannot be written"),
    ],
)
def test_errors(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("a file")
    (tmp_path / "little.toml").write_text(LITTLE)
    assert cli.main(["count", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("rasca: error: ")
    assert message in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png", "little.toml"]


@pytest.mark.parametrize(
    ("name", "target"),
    [
        (name, target)
        for name in ("released-210x240", "released-105x120")
        for target in ("ecp5-85f", "ecp5-25f", "up5k")
    ],
)
def test_data_in_memory(name: str, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At most 1.25 times the bits of the paper's weights and activations; each memory says why it is there."""
    assert cli.main(["count", name, "--target", target, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)[name]
    hardware = found["hardware"]
    assert hardware["data_bits"] <= 1.25 * 8 * (found["weights"] + found["peak"])
    assert sum(memory["bits"] for memory in hardware["memories"]) == hardware["memory"]["all"]["bits"]
    assert all(memory["why"] for memory in hardware["memories"])
