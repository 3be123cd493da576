"""`rasca generate` and `rasca sim` on a tiny network: what users and scripts see, and that a fault is seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage

from rasca_nn.config import preset
from rasca_nn.data import load_image
from rasca_nn.random_model import random_int8_model
from rtl_gen import cli
from rtl_gen.build import Build
from rtl_gen.generate import load_generated
from sim.engine import RtlEngine

PHOTOS = [str(Path(skimage.__file__).parent / "data" / name) for name in ("astronaut.png", "chelsea.png")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated accelerator."""
    work = tmp_path_factory.mktemp("sim")
    random_int8_model(preset("tiny"), 1).save(work / "tiny.int8")
    assert cli.main(["generate", str(work / "tiny.int8"), "--target", "small", "-o", str(work / "made")]) == 0
    return work / "made"


def reports(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str, status: int = 0) -> list[dict]:
    """What `rasca sim --json` says of each photo."""
    capsys.readouterr()
    assert cli.main(["sim", str(folder), *arguments, "--json"]) == status
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("options", [(), ("--stream",)])
def test_photos(folder, tmp_path, capsys, options):
    """Alone and as a stream: nothing differs, and every cycle was expected."""
    pictures = tmp_path / "pictures"
    found = reports(capsys, folder, *PHOTOS, PHOTOS[0], "--pictures", str(pictures), *options)
    for report, image in zip(found, [*PHOTOS, PHOTOS[0]], strict=True):
        assert report["image"] == image
        assert report["label"] == ("no person", "person")[report["class"]]
        assert 0 <= report["probability"] <= 1
        assert len(report["confidence"]) == report["steps"] == preset("tiny").steps
        assert report["cycles"] == report["estimated_cycles"]
        assert report["latency_cycles"] == report["estimated_latency_cycles"]
        assert report["interval_cycles"] == report["estimated_interval_cycles"]
        assert 0 < report["busy"] < 1
        assert report["compared"] > 1000
        assert report["mismatches"] == 0
    assert [report["interval_cycles"] is not None for report in found] == [False, *[bool(options)] * 2]
    assert {path.name for path in pictures.iterdir()} == {"astronaut.png", "astronaut-2.png", "chelsea.png"}


def test_early_termination(folder, tmp_path, capsys):
    """Decided after two steps: the groups after them cost no cycle, and nothing differs."""
    rule = ("--threshold", "0.00015", "--consecutive", "2")
    whole = reports(capsys, folder, *PHOTOS, "--pictures", str(tmp_path))
    for options in (rule, (*rule, "--stream"), (*rule[:2], "--lower", "0.0001")):
        for report, full in zip(
            reports(capsys, folder, *PHOTOS, "--pictures", str(tmp_path), *options), whole, strict=True
        ):
            assert report["mismatches"] == 0
            assert report["cycles"] == report["estimated_cycles"]
            assert report["groups"] <= report["steps"] < full["steps"]
            assert report["cycles"] < full["cycles"]
            assert report["compared"] < full["compared"]
            assert report["confidence"].count(None) == full["steps"] - report["groups"] > 0
            assert report["saved"] == round(1 - report["groups"] / full["steps"], 4)
    assert cli.main(["sim", str(folder), PHOTOS[0], "--pictures", str(tmp_path), *rule]) == 0
    assert "decided after row group 2, 2 of 4 computed" in capsys.readouterr().out


def test_photos_are_not_overwritten(folder, tmp_path, capsys):
    """The pictures of photos would have the photos' names."""
    photo = tmp_path / "astronaut.png"
    photo.write_bytes(Path(PHOTOS[0]).read_bytes())
    assert cli.main(["sim", str(folder), str(photo), "--pictures", str(tmp_path)]) == 2
    assert "holds the photos themselves" in capsys.readouterr().err
    assert photo.read_bytes() == Path(PHOTOS[0]).read_bytes()


def test_trace(folder, tmp_path, capsys):
    """A waveform that viewers can read."""
    trace = tmp_path / "wave.vcd"
    assert reports(capsys, folder, PHOTOS[0], "--trace", str(trace))[0]["mismatches"] == 0
    assert "$enddefinitions" in trace.read_text()


def test_trace_that_cannot_be_written(folder, tmp_path, capsys):
    """One line, before anything is simulated."""
    assert cli.main(["sim", str(folder), PHOTOS[0], "--trace", str(tmp_path / "no" / "wave.vcd")]) == 2
    assert "no/wave.vcd" in capsys.readouterr().err


def wrong_weight(folder: Path) -> Build:
    """The hardware gets one weight that is not the model's."""
    build = load_generated(folder)
    heads, back = build.params.engines
    (first, *others), *groups = heads.weights
    broken = replace(heads, weights=((first ^ 1, *others), *groups))
    return replace(build, params=replace(build.params, engines=(broken, back)))


def test_a_wrong_weight_is_seen(folder, capsys, monkeypatch):
    """Exit status 1, and the place of the first difference."""
    monkeypatch.setattr("rtl_gen.generate.load_generated", wrong_weight)
    (report,) = reports(capsys, folder, PHOTOS[0], status=1)
    assert report["mismatches"] > 0
    assert report["first_mismatch"].startswith("head0.")


def test_wrong_biases_are_seen_in_evaluation(folder):
    """By the logits alone, whatever machine the photo went to."""
    config = preset("tiny")
    images = np.stack([load_image(Path(photo), config.height, config.width) for photo in PHOTOS] * 2)
    build = load_generated(folder)
    heads, back = build.params.engines
    wrong = replace(back, biases=(tuple((bias ^ 0x55, shift) for bias, shift in back.biases[0]),))
    fault = replace(build, params=replace(build.params, engines=(heads, wrong)))
    good, bad = RtlEngine(build, machines=2), RtlEngine(fault, machines=2)
    good(images)
    bad(images)
    assert good.mismatches == 0
    assert bad.mismatches > 0
    assert good.compared == bad.compared > 0
