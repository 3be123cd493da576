"""The report of where the cycles go adds up, to the cycles that the RTL counts (tests hold those to the estimate)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rasca_nn.config import preset
from rasca_nn.random_model import random_int8_model
from rtl_gen import cli
from rtl_gen.build import build
from rtl_gen.estimate import estimate
from rtl_gen.generate import describe
from rtl_gen.occupancy import FRAMES, KINDS, occupancy
from rtl_gen.target import load_target


@pytest.mark.parametrize(
    ("network", "target"),
    [
        ("tiny", "small"),
        ("released-105x120", "ecp5-85f"),
        ("released-105x120", "ecp5-85f-packed"),
        ("released-105x120", "ecp5-25f"),
        ("banded-105x120", "ecp5-85f"),
    ],
)
def test_every_multiplier_in_every_cycle(network: str, target: str) -> None:
    made = build(random_int8_model(preset(network), seed=1), load_target(target))
    found = occupancy(made)
    interval = estimate(made, FRAMES)[-1].interval
    for engine, built in zip(found.engines, made.engines, strict=True):
        assert engine.cycles == interval
        assert sum(engine.uses.values()) == engine.array * interval
        for layer in engine.layers:
            assert layer.uses.keys() == KINDS.keys()
            assert sum(layer.uses.values()) == engine.array * layer.cycles
        assert engine.uses["products"] == made.params.steps * built.products
        assert [run.plan for run in engine.step] == list(built.plans[built.params.loop :])
    assert round(found.busy, 4) == describe(made, [])["busy"]["frame_in_stream"]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, picture = tmp_path / "tiny.int8", tmp_path / "step.png"
    random_int8_model(preset("tiny"), seed=1).save(model)
    assert cli.main(["schedule", str(model), "--target", "small", "-o", str(picture), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert picture.read_bytes().startswith(b"\x89PNG")
    for engine in found["engines"]:
        assert sum(engine["places"].values()) == engine["array_products"] * found["frame_in_stream"]
    assert cli.main(["schedule", str(model), "--target", "small"]) == 0
    assert "gru.candidate" in capsys.readouterr().out
    assert cli.main(["schedule", str(model), "-o", "step.svg"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
