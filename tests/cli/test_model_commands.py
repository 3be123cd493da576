"""count, train, import, quantize and evaluate, from the command line, on the tiny preset and a few made-up photos."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from rasca_nn.config import preset
from rasca_nn.data import load_folder, normalise
from rasca_nn.float_file import load_float, save_float
from rasca_nn.int8_file import Int8Model, layer_shapes
from rasca_nn.model import RaScaNet
from rtl_gen import cli

KEYS = {"n", "accuracy", "balanced_accuracy", "tpr", "tnr"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with class folders."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    for label in ("person", "no_person"):
        (folder / label).mkdir()
        for number in range(20):
            pixels = rng.integers(0, 256, (24, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """An untrained network's file."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("model") / "tiny.float"
    save_float(RaScaNet(preset("tiny")).eval(), path)
    return path


def rasca(capsys, *arguments):
    """Run a command that must succeed; its output."""
    assert cli.main([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def error_line(capsys, *arguments) -> str:
    """Run a command that must fail as documented; its one line."""
    assert cli.main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("rasca: error: ")
    return err


def test_count(capsys):
    counts = json.loads(rasca(capsys, "count", "--json"))
    assert counts["released-210x240"]["weights"] == 47033
    assert "gru.candidate" in rasca(capsys, "count", "tiny")
    assert "nearest is 'tiny'" in error_line(capsys, "count", "tiney")


def test_quantize_report(capsys, data, network, tmp_path):
    out = tmp_path / "tiny.int8"
    command = ("quantize", network, "--data", data, "-o", out, "--split", "all")
    said = rasca(capsys, *command)
    for column in ("lowest", "highest", "scale", "clipped %", "weight error %", "error against float %"):
        assert column in said
    assert "gru.candidate" in said
    assert "40 photos; " in said
    report = json.loads(rasca(capsys, *command, "--json"))
    assert report["scales"] == "calibrated"
    for layer in report["layers"]:
        assert 0 <= layer["clipped"] < 0.5
        assert layer["low"] <= layer["high"]
        assert layer["error"] >= 0


def test_quantize_after_training_for_it(capsys, data, network, tmp_path):
    """The integers are those that were trained, unless new scales are asked for."""
    out, again = tmp_path / "run", tmp_path / "again.int8"
    options = ("--epochs", 1, "--draws", 16, "--batch", 8, "--learning-rate", "1e-3", "--device", "cpu")
    rasca(capsys, "train", "--preset", "tiny", "--data", data, "-o", out, "--init", network, "--qat", *options)
    command = ("quantize", out / "tiny.float", "--data", data, "-o", again, "--split", "all")
    assert "scales that it was trained with" in rasca(capsys, *command)
    assert again.read_bytes() == (out / "tiny.int8").read_bytes()
    assert json.loads(rasca(capsys, *command, "--recalibrate", "--json"))["scales"] == "calibrated"
    assert again.read_bytes() != (out / "tiny.int8").read_bytes()


@pytest.fixture(scope="module")
def integers(tmp_path_factory, data, network):
    """The untrained network's integer model."""
    path = tmp_path_factory.mktemp("int8") / "tiny.int8"
    assert cli.main(["quantize", str(network), "--data", str(data), "-o", str(path), "--split", "all"]) == 0
    return path


def test_thresholds(capsys, data, integers, tmp_path):
    picture = tmp_path / "steps.png"
    command = ("thresholds", integers, "--data", data, "--split", "all")
    said = rasca(capsys, *command, "-o", picture, "--tolerance", 1)
    assert "persons: mean step" in said
    assert "chosen: --threshold 0.5 --consecutive 1" in said
    assert picture.exists()
    results = tmp_path / "results.md"
    rules = ("--threshold", 0.3, 0.9, "--consecutive", 2)
    found = json.loads(rasca(capsys, *command, *rules, "--results", results, "--json"))
    text = results.read_text()
    assert "rasca thresholds tiny.int8 --data DIR --results results.md --split all --threshold 0.3 0.9" in text
    assert text.count("| 0.9 | 2 | ") == text.count("| never |") == 1
    assert str(tmp_path) not in text
    assert [(r["threshold"], r["consecutive"]) for r in found["rules"]] == [(0.3, 2), (0.9, 2)]
    assert found["without"]["n"] == 40
    assert "consecutive must be 1 to 255" in error_line(capsys, *command, "--consecutive", 0)
    assert "at most 4, the steps of tiny" in error_line(capsys, *command, "--consecutive", 5)
    assert "tolerance must be 0 to 1, not nan" in error_line(capsys, *command, "--tolerance", "nan")
    assert "ends in .png" in error_line(capsys, *command, "-o", tmp_path / "steps.pdf")
    assert "ends in .md" in error_line(capsys, *command, "--results", tmp_path / "results.txt")


def test_explain(capsys, data, network, integers, tmp_path):
    image, picture = data / "person" / "0.png", tmp_path / "why.png"
    for model in (network, integers):
        picture.unlink(missing_ok=True)
        said = rasca(capsys, "explain", model, image, "-o", picture)
        assert "not decided before step 4, the last" in said
        assert picture.exists()
        rule = ("--threshold", 0.1, "--consecutive", 2)
        found = json.loads(rasca(capsys, "explain", model, image, "-o", picture, *rule, "--json"))
        assert (found["step"], found["early"], len(found["confidence"])) == (2, True, 4)
    assert "integer model" in error_line(capsys, "explain", network, image, "-o", picture, *rule, "--lower", 0.05)
    assert "ends in .png" in error_line(capsys, "explain", network, image, "-o", tmp_path / "why.jpg")
    assert "no such image" in error_line(capsys, "explain", network, data / "x.png", "-o", picture)


def test_ablate(capsys, data, tmp_path):
    out, runs = tmp_path / "results.md", tmp_path / "runs"
    command = ("ablate", "--data", data, "-o", out, "--preset", "tiny", "--runs", runs)
    planned = rasca(capsys, *command, "--plan")
    assert planned.count("to do") == 14
    assert not out.exists()
    assert "base-seed2" in planned
    short = ("--seeds", 1, "--only", "base", "--epochs", 1, "--draws", 8, "--batch", 8, "--device", "cpu")
    said = rasca(capsys, *command, *short)
    assert "[1/1] base-seed1: balanced accuracy" in said
    text = out.read_text()
    made = "rasca ablate --data DIR -o results.md --preset tiny --seeds 1 --epochs 1 --draws 8 --batch 8"
    assert made in text
    assert str(tmp_path) not in text
    assert json.loads(rasca(capsys, *command, *short, "--json"))[0]["result"]["n"] > 0
    anew = ("--seeds", 3, *short[2:], "--json")
    assert json.loads(rasca(capsys, *command, *anew))[0]["run"] == "base-seed3"
    assert "ends in .md" in error_line(capsys, *command[:3], "-o", tmp_path / "results.txt")
    assert "no variant 'bass'" in error_line(capsys, *command, "--only", "bass")


def test_quantize_and_evaluate(capsys, data, network, tmp_path):
    out = tmp_path / "tiny.int8"
    report = json.loads(rasca(capsys, "quantize", network, "--data", data, "-o", out, "--split", "all", "--json"))
    assert report["photos"] == 40
    for engine, model in (("float", network), ("int8", out)):
        command = ("evaluate", model, "--data", data, "--engine", engine, "--split", "all")
        found = json.loads(rasca(capsys, *command, "--json"))
        assert found.keys() >= KEYS
        assert found["n"] == 40
        assert json.loads(rasca(capsys, *command, "--limit", 10, "--json"))["n"] == 10
        assert "balanced_accuracy" in rasca(capsys, *command)

    command = ("evaluate", out, "--data", data, "--engine", "rtl", "--target", "small", "--split", "all", "--limit", 6)
    found = json.loads(rasca(capsys, *command, "--json"))
    assert (found["n"], found["mismatches"]) == (6, 0)
    assert (found["model"], found["target"]) == (Int8Model.load(out).hash, "small")
    assert found["compared"] == 6 * (4 * 2 + 2 + 1 + 1 + 1 + 1)

    rule = ("--threshold", 0.3, "--consecutive", 2, "--lower", 0.2)
    rtl = json.loads(rasca(capsys, *command, *rule, "--json"))
    int8 = json.loads(rasca(capsys, *command[:5], "int8", *command[8:], *rule, "--json"))
    assert rtl["mismatches"] == 0
    assert rtl["compared"] > 0
    for key in ("n", "accuracy", "steps", "mean_step", "mean_groups", "saved"):
        assert rtl[key] == int8[key]
    assert "of the work saved" in rasca(capsys, *command[:5], "int8", *command[8:], *rule)


def test_import(capsys, network, tmp_path):
    state = RaScaNet(preset("tiny")).state_dict()
    checkpoint, out = tmp_path / "checkpoint.pt", tmp_path / "out.float"
    torch.save({"state_dict": state, "optimizer": {}}, checkpoint)
    rasca(capsys, "import", checkpoint, "--preset", "tiny", "-o", out)
    assert out.exists()
    torch.save({"state_dict": {**state, "surplus": torch.zeros(1)}}, checkpoint)
    assert "surplus" in error_line(capsys, "import", checkpoint, "--preset", "tiny", "-o", tmp_path / "no.float")
    assert not (tmp_path / "no.float").exists()


def test_an_imported_checkpoint_that_int8_cannot_follow(capsys, data, network, tmp_path):
    """Its logits differ by less than rounding, half of the photos either way; the report comes all the same."""
    model = load_float(network)
    photos = torch.from_numpy(normalise(load_folder(data, 20, 32).images)).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        output = model.classifier[-1]
        output.weight[1] = output.weight[0] + 1e-4 * torch.randn(output.weight.shape[1])
        logits = model(photos)
        output.bias[1] -= (logits[:, 1] - logits[:, 0]).median()
    torch.save({"state_dict": model.state_dict()}, tmp_path / "checkpoint.pt")
    rasca(capsys, "import", tmp_path / "checkpoint.pt", "--preset", "tiny", "-o", tmp_path / "it.float")
    command = ("quantize", tmp_path / "it.float", "--data", data, "-o", tmp_path / "it.int8", "--split", "all")
    assert cli.main([str(argument) for argument in command]) == 0
    said, warned = capsys.readouterr()
    assert re.fullmatch(r"rasca: warning: INT8 decides [1-9][0-9.]+% of the 40 photos otherwise than .+--qat\n", warned)
    layers = json.loads(rasca(capsys, *command, "--json"))["layers"]
    assert {layer["name"] for layer in layers} == set(layer_shapes(preset("tiny")))
    assert all(layer["name"] in said for layer in layers)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "{model}", "--data", "/nowhere", "--engine", "float"), "/nowhere"),
        (("evaluate", "{model}", "--data", "{data}", "--engine", "int8"), "is not a"),
        (("evaluate", "{text}", "--data", "{data}", "--engine", "int8"), "not a whole model file"),
        (("evaluate", "{model}", "--data", "{data}", "--engine", "flat"), "nearest is 'float'"),
        (("evaluate", "{model}", "--data", "{data}", "--engine", "float", "--split", "vale"), "split"),
        (("evaluate", "{model}", "--data", "{data}", "--engine", "float", "--threshold", "0.9"), "int8 or rtl"),
        (("evaluate", "{model}", "--data", "{data}", "--engine", "float", "--consecutive", "2"), "need --threshold"),
        (("evaluate", "{model}", "--data", "{data}", "--engine", "float", "--threshold", "1.5"), "above 0 and below 1"),
        (("train", "--preset", "tiny", "--data", "{data}", "-o", "x", "--init", "no.float"), "no.float"),
        (("train", "--preset", "tiny", "--data", "{data}", "-o", "x", "--qat"), "name it with --init"),
        (("train", "--preset", "tiny", "--data", "{data}", "-o", "x", "--device", "gpu"), "nearest is 'cpu'"),
        (
            ("train", "--preset", "tiny", "--data", "{data}", "-o", "x", "--confidence", "box"),
            "confidence must be one of",
        ),
        (
            ("train", "--preset", "tiny", "--data", ".", "-o", "x"),
            "no known layout (table: labels.csv and images/;",
        ),
        (("quantize", "missing.float", "--data", "{data}", "-o", "x.int8"), "missing.float"),
        (("import", "{text}", "--preset", "tiny", "-o", "x.float"), "not a torch.save file"),
        (("import", "{text}", "--preset", "tinny", "-o", "x.float"), "nearest is 'tiny'"),
        (("train", "--preset", "tinny", "--data", "{data}", "-o", "x"), "nearest is 'tiny'"),
        (("train", "--preset", "tiny", "--data", "{data}", "-o", "x", "--epochs", "0"), "epochs must be at least 1"),
        (("train", "--preset", "tiny", "--data", "{data}", "-o", "x", "--epochs", "many"), "invalid int value"),
        (("generate", "{text}", "-o", "x"), "not a whole model file"),
        (("generate", "{text}", "-o", "."), "is the folder this runs in"),
        (("sim", "{data}", "photo.png"), "is not a folder made by rasca generate"),
        (("sim", "{data}", "photo.png", "--simulator", "verilator"), "nearest is"),
        (("bitstream", "{text}", "-o", "x"), "not a whole model file"),
        (("bitstream", "{text}", "--board", "ecp6", "-o", "x"), "nearest is 'ecp5'"),
    ],
)
def test_bad_input(capsys, data, network, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    text = tmp_path / "notes.int8"
    text.write_text("not a model")
    line = error_line(capsys, *(a.format(model=network, data=data, text=text) for a in arguments))
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["notes.int8"]
