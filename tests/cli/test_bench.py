"""`rasca bench`: the figures are there, as table and as JSON, and those that are counted are the manifest's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rasca_nn.errors import RascaError
from rtl_gen import cli
from rtl_gen.generate import describe
from rtl_gen.memory import memories
from rtl_gen.resources import predict
from sim import bench


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without simulations; what they give is tested elsewhere."""

    def simulator(name: str, target: str, kind: str) -> dict[str, Any]:
        made: dict[str, Any] = {"simulator": kind, "preset": name, "target": target, "cycles": 10, "seconds": 0.1}
        return made | {"making_seconds": None if kind == "icarus" else 1.5, "cycles_per_second": 100}

    def evaluation(name: str, target: str, photos: int) -> dict[str, Any]:
        made: dict[str, Any] = {"preset": name, "target": target, "photos": photos, "compared": 7, "cores": 2}
        return made | {"photos_per_second": 1.5, "photos_per_processor_second": 1.0}

    def placed(model: Path, board: str, target: str) -> dict[str, Any]:
        if "paper" in model.stem:
            raise RascaError("timing not met")
        used = {"luts": 1, "ffs": 2, "block_rams": 3, "multipliers": 4}
        return {
            "preset": model.stem,
            "board": board,
            "target": target,
            "mhz": 80.0,
            "fmax_mhz": 80.7,
            **used,
            "seconds": {},
        }

    monkeypatch.setattr(bench, "simulator", simulator)
    monkeypatch.setattr(bench, "evaluation", evaluation)
    monkeypatch.setattr(bench, "placed", placed)


def test_figures(quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "figures.md"
    options = (
        "--preset",
        "tiny",
        "--target",
        "small",
        "--target",
        "ecp5-25f",
        "--board",
        "ecp5:ecp5-85f-packed",
        "--board",
        "icebreaker",
    )
    assert cli.main(["bench", *options, "--json", "-o", str(page)]) == 0
    found = json.loads(capsys.readouterr().out)
    first = found["hardware"][0]
    made = bench.made_up("tiny", "small")
    manifest = describe(made, memories(made.params, made.target))
    assert first["cycles_in_stream"] == manifest["cycles"]["frame_in_stream"]
    assert first["busy"] == manifest["busy"]["frame_in_stream"]
    assert 0 < first["bound_cycles"] <= first["cycles_in_stream"] and first["generation_seconds"] > 0
    assert [row["simulator"] for row in found["simulators"]] == ["compiled", "cxxrtl", "icarus"]
    assert {"failed" in row for row in found["placed"]} == {True, False}
    places = {("ulx3s-85f", "ecp5-85f-packed"), ("icebreaker", "up5k")}
    assert {(row["board"], row["target"]) for row in found["placed"]} == places
    assert "are not predicted" in first["unpredicted"] and "predicted" not in first
    second = found["hardware"][1]
    assert second["predicted"] == predict(bench.made_up("tiny", "ecp5-25f"))
    text = page.read_text()
    assert "| tiny | small |" in text and "timing not met" in text and "photos a second on 2 cores" in text
    assert cli.main(["bench", "--preset", "tiny", "--target", "small"]) == 0
    assert "frames/s" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [
        ("--preset", "tinny"),
        ("--target", "smal"),
        ("--photos", "0"),
        ("--board", "none"),
        ("--board", "ecp5:none"),
        ("--model", "none.int8"),
    ],
)
def test_errors(wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", *wrong]) == 2
    assert capsys.readouterr().err.count("\n") == 1
