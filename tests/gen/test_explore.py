"""The search: nothing better is missed, what it writes is a target, and the resources it goes by are near the truth."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fpga.points import load_points
from fpga.synthesis import synthesise
from rasca_hw.multiplier import LogicMultiplier
from rasca_nn.config import preset
from rasca_nn.errors import RascaError
from rasca_nn.random_model import random_int8_model
from rtl_gen import cli
from rtl_gen.build import build
from rtl_gen.estimate import estimate
from rtl_gen.explore import COLUMNS, _replay, _shapes, explore
from rtl_gen.resources import LUT_MULTIPLIER, errors, fit, known, predict
from rtl_gen.target import TooSmall, load_target, target_names, to_toml

MODEL = random_int8_model(preset("tiny"), seed=1)
DEVICE = replace(load_target("ecp5-25f"), multipliers=14)


def test_nothing_better_is_missed() -> None:
    """The front is that of all drafts, each replayed; none is faster than its bound."""
    shapes = [shape for columns in COLUMNS for shape in _shapes(MODEL, DEVICE, columns)]
    found = explore(MODEL, DEVICE)
    every = [(shape.takes["luts"], _replay(MODEL, shape.target).interval) for shape in shapes]
    assert all(interval >= shape.bound for shape, (_, interval) in zip(shapes, every, strict=True))
    best = {
        (luts, cycles)
        for luts, cycles in every
        if not any((a <= luts and b < cycles) or (a < luts and b <= cycles) for a, b in every)
    }
    assert {(design.takes["luts"], design.interval) for design in found.front} == best
    assert found.drafted == len(shapes) > found.replayed >= len(found.front) > 5
    assert {len(shape.target.engines) for shape in shapes} == {1, 2}
    assert {shape.target.line_rows for shape in shapes} == {7}


def test_every_choice_of_memories() -> None:
    """Those that fit are drafted, also where a larger one does; fewer words are fewer cells. A limit of words that is
    not reached is none.
    """
    model, device = random_int8_model(preset("released-210x240"), seed=1), replace(load_target("up5k"), block_rams=26)
    choices = {
        (s.target.line_rows, s.target.activation_words): s.takes["logic_cells"] for s in _shapes(model, device, 8)
    }
    assert set(choices) == {(5, 0), (7, 512), (6, 512), (5, 512)}
    assert choices[5, 512] < choices[5, 0]
    assert all(shape.target.activation_words == 0 for shape in _shapes(MODEL, DEVICE, 8))


def test_choice() -> None:
    """The fastest, or the smallest that is fast enough."""
    found = explore(MODEL, DEVICE)
    assert found.choose(None) is found.front[-1]
    wanted = found.front[2].frames_per_second
    assert found.choose(wanted) is found.front[2]
    assert found.choose(wanted * 1.0001) is found.front[3]
    assert found.choose(1e6) is None


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it writes is what `generate` takes, and means what it says."""
    model, out = tmp_path / "tiny.int8", tmp_path / "found"
    replace(MODEL, config=replace(MODEL.config, name="my net.v2")).save(model)
    assert cli.main(["explore", str(model), "--device", "ecp5-25f", "--clock", "50", "-o", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((out / "front.json").read_text())
    chosen = report["chosen"]
    assert chosen == report["front"][-1] and report["clock_mhz"] == 50
    target = load_target(str(out / "target.toml"))
    assert target.name == "ecp5-25f-my-net-v2"
    assert estimate(build(MODEL, target))[-1].interval == chosen["cycles"]["frame_in_stream"]
    assert chosen["frames_per_second"] == round(50e6 / chosen["cycles"]["frame_in_stream"], 2)
    assert (out / "front.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main(["explore", str(model), "--device", "up5k"]) == 0
    assert "chosen" in capsys.readouterr().out


def test_a_rate_that_none_reaches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The front is there, no target is, also not that of the run before; what others made stays."""
    model, out = tmp_path / "tiny.int8", tmp_path / "found"
    MODEL.save(model)
    arguments = ["explore", str(model), "--device", "up5k", "-o", str(out)]
    assert cli.main(arguments) == 0
    assert cli.main([*arguments, "--fps", "1e9"]) == 2
    said = capsys.readouterr().err
    assert "no design on iCE40UP5K makes 1e+09 frames a second at 24 MHz, the fastest" in said and str(out) in said
    assert sorted(path.name for path in out.iterdir()) == ["front.json", "front.png"]
    report = json.loads((out / "front.json").read_text())
    assert report["chosen"] is None and report["front"]
    (out / "notes").touch()
    assert cli.main(arguments) == 2
    assert "also holds notes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "ecp5-25"), "unknown target 'ecp5-25'; nearest is 'ecp5-25f'"),
        (("--device", "ecp5-25f", "--fps", "0"), "--fps must be more than 0, not 0"),
        (("--device", "ecp5-25f", "--clock", "0"), "--clock must be 1 to 1000 MHz, not 0"),
        (("--device", "ecp5-25f", "-o", "model"), "model is a file; give a folder"),
        (("--device", "ecp5-25f", "--fps", "1e9"), "no design on LFE5U-25F makes 1e+09 frames a second"),
        (("--device", "small"), "systolic array on 'none' are not predicted"),
    ],
)
def test_refused(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    MODEL.save(Path("model"))
    assert cli.main(["explore", "model", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_nothing_fits(tmp_path, capsys):
    """Devices that are too small, whatever else their targets say; a network with spatial attention on the small board
    is refused for itself.
    """
    for preset_name, name, limits, message in (
        (
            "tiny",
            "ecp5-85f-packed",
            {"multipliers": 2},
            r"2 columns and one row: .* takes \d multipliers, \d more than",
        ),
        (
            "tiny",
            "ecp5-85f-packed",
            {"multipliers": 8, "luts": 2000},
            r"2 columns and one row: it takes 2,\d+ of 2,000 luts",
        ),
        ("tiny", "ecp5-85f", {"multipliers": 8, "block_rams": 1}, "2 columns and one row: target .* has 1 block RAMs"),
        ("paper-105x120", "up5k", {}, "error: target up5k-paper-105x120: a broadcast array does not serve spatial"),
    ):
        path, device = tmp_path / "model.int8", tmp_path / "device.toml"
        random_int8_model(preset(preset_name), seed=1).save(path)
        device.write_text(to_toml(replace(load_target(name), **limits)))
        assert cli.main(["explore", str(path), "--device", str(device)]) == 2
        said = capsys.readouterr().err
        assert re.search(message, said) and said.count("\n") == 1
        assert ("nothing fits" in said) == (name != "up5k")


def test_too_small_crosses_processes() -> None:
    """With all it says."""
    found = pickle.loads(pickle.dumps(TooSmall("block_rams", 3, "three too many")))
    assert (found.resource, found.excess, str(found)) == ("block_rams", 3, "three too many")


@pytest.mark.parametrize(
    ("name", "device"), [("ecp5-25f", "iCE40UP5K"), ("ecp5-25f", "xc7a35t"), ("up5k", "LFE5U-25F")]
)
def test_other_families_are_not_predicted(name: str, device: str) -> None:
    made = build(MODEL, replace(load_target(name), device=device))
    with pytest.raises(
        RascaError, match=f"{made.target.array} array on '{device}' are not predicted: such arrays were"
    ):
        predict(made)


def test_a_point_has_its_devices_budgets() -> None:
    """What was measured is not taken for what the device has."""
    own = {(t.device, t.multipliers, t.block_rams, t.luts) for t in map(load_target, target_names())}
    for point in load_points():
        target = point.target
        assert (target.device, target.multipliers, target.block_rams, target.luts) in own


@pytest.mark.parametrize("array", ["systolic", "broadcast"])
def test_resources_are_near_what_was_synthesised(array: str) -> None:
    """Within 10 %, also where a point was left out of the fit; memories and multipliers exactly. Both kinds of array
    have 15 points together.
    """
    assert len(known(array)) >= 7
    for name, error in errors(array).items():
        assert error["worst"] <= error["left_out"] <= 0.1
        if name in ("block_rams", "sprams", "multipliers"):
            assert error["worst"] == 0, name


def test_a_multiplier_of_luts() -> None:
    """Synthesised alone, it takes what no fit is asked for."""
    found = synthesise(LogicMultiplier(10, 10), "LFE5U-85F")
    assert {name: found[name] for name in LUT_MULTIPLIER} == LUT_MULTIPLIER


def test_nothing_is_predicted_of_what_was_never_synthesised() -> None:
    with pytest.raises(RascaError, match="a design with wings are not predicted, since none"):
        fit([{"one": 1.0}], [10])({"one": 1, "wings": 2})


def test_fit() -> None:
    """Prices of made-up designs come out, and a point that does not follow them is seen where it was left out."""
    rows = [{"one": 1.0, "rows": float(i), "never": 0.0} for i in range(1, 6)]
    found = fit(rows, [100 + 30 * i for i in range(1, 6)])
    np.testing.assert_allclose(found.prices, [100, 30])
    assert found.names == ("one", "rows") and found({"one": 1, "rows": 10, "never": 0}) == 400
    np.testing.assert_allclose([*found.errors, *found.left_out], 0, atol=1e-9)
    spoiled = fit(rows, [130, 160, 190, 220, 500])
    assert abs(spoiled.left_out[-1]) > abs(spoiled.errors[-1]) > 0.05
    with pytest.raises(RascaError, match="1 synthesised points are too few for 2 prices"):
        fit(rows[:1], [130])


@pytest.mark.parametrize("name", target_names())
def test_a_target_as_a_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "target.toml"
    path.write_text(to_toml(load_target(name)))
    assert load_target(str(path)) == load_target(name)
