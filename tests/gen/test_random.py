"""Random networks on random targets through the RTL, what happens to a failing one, and files of cases."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from rasca_nn.config import RaScaNetConfig
from rasca_nn.int8_file import Int8Model
from rasca_nn.random_model import Kind
from rtl_gen import cli
from rtl_gen.build import Build, build
from rtl_gen.target import ARRAYS, Target
from sim.fuzz import kernels, random_case, shrink
from sim.random_case import Case, CaseError, Pictures, run_case

QUICK, ALL = 20, 320
SEED = 0


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=() if n < QUICK else pytest.mark.slow, id=f"case-{n}") for n in range(ALL)]
)
def test_rtl_equals_the_integer_model(number: int) -> None:
    """Every value of every layer, every result, every cycle. One in four compiled, the others as Verilog."""
    case = random_case(SEED, number)
    outcome = run_case(case, "icarus" if number % 4 else "compiled")
    assert outcome.fault is None, f"{outcome.fault}\n{json.dumps(case.to_dict())}"
    assert outcome.compared > 0 and outcome.mismatches == 0
    assert len(outcome.measured) == len(outcome.estimated) == case.frames


@pytest.mark.parametrize("number", [15, 5], ids=["broadcast", "systolic"])
def test_features_whose_place_was_lent_are_written_again(number: int) -> None:
    case = random_case(SEED, number)
    words = build(case.model(), case.target).params.engines[0].depth + 1
    case = replace(case, target=replace(case.target, activation_words=words - 1))
    (engine,) = build(case.model(), case.target).engines
    assert engine.params.depth + 1 < words
    assert "features.restore" in {plan.op.name for plan in engine.plans}
    outcome = run_case(case, "icarus")
    assert outcome.fault is None and outcome.compared > 0


def test_the_whole_family_is_drawn() -> None:
    """Each choice there is, among the cases that are run, and sizes from one end of what is drawn to the other."""
    cases = [random_case(SEED, n) for n in range(ALL)]
    configs, targets = [c.config for c in cases], [c.target for c in cases]
    assert {c.weights for c in cases} == set(get_args(Kind))
    assert {c.target.array for c in cases} == {c.target.array for c in cases[:QUICK]} == set(ARRAYS)
    assert {(t.products_per_multiplier, len(t.engines), t.lut_multipliers > 0) for t in targets} == set(
        product((1, 2), (1, 2), (False, True))
    )
    assert {t.products_per_multiplier for t in targets[:QUICK]} == {1, 2}
    assert {c.images for c in cases} == set(get_args(Pictures))
    assert {c.frames for c in cases} == {1, 2, 3}
    assert {c.rows for c in configs} == {1, 3, 5, 7, 9}
    assert {c.heads for c in configs} == {1, 2, 3, 4}
    assert {c.kernel_heights[0] for c in configs} == {1, 3, 5}
    assert len({c.kernel_heights for c in configs}) > 30
    assert len({(c.projection, c.pool) for c in configs}) == 4
    assert len({(c.channel_attention, c.attention_relu) for c in configs}) == 4
    assert {(c.spatial_attention, len(t.engines)) for c, t in zip(configs, targets, strict=True)} == {
        (attention, engines) for attention in ("off", "full", "banded") for engines in (1, 2)
    }
    assert {c.steps for c in configs} == {1, 2, 3, 5}
    assert {(bool(c.rule), bool(c.rule and c.rule.lower)) for c in cases} == {
        (False, False),
        (True, False),
        (True, True),
    }
    assert {c.width % 2 for c in configs} == {c.height % c.rows > 0 for c in configs} == {0, 1}
    for name, low, high in (
        ("width", 16, 90),
        ("hidden", 1, 20),
        ("attention", 1, 30),
        ("classifier_hidden", 0, 30),
        ("classes", 2, 12),
    ):
        sizes = [getattr(c, name) for c in configs]
        assert min(sizes) == low and max(sizes) >= high, name
    assert {len(t.engines) for t in targets} == {1, 2}
    assert {e.rows for t in targets for e in t.engines} == set(range(1, 7))
    assert {t.columns for t in targets} == set(range(2, 17))
    assert {t.line_rows - c.rows for t, c in zip(targets, configs, strict=True)} == set(range(7))


def test_kernels() -> None:
    """All that reduce the rows of a group to one."""
    assert kernels(1) == [(1, 1, 1, 1)]
    assert kernels(3) == [(3, 1, 1, 1), (1, 3, 1, 1), (1, 1, 3, 1), (1, 1, 1, 3)]
    assert len(kernels(9)) == 19
    assert kernels(2) == []


def wrong_weight(model: Int8Model, target: Target) -> Build:
    """The hardware gets one weight that is not the model's."""
    made = build(model, target)
    first, *rest = made.params.engines
    (word, *words), *groups = first.weights
    broken = replace(first, weights=((word ^ 0x40, *words), *groups))
    return replace(made, params=replace(made.params, engines=(broken, *rest)))


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts it in."""
    monkeypatch.setattr("sim.random_case.build", wrong_weight)


def command(capsys: pytest.CaptureFixture[str], *arguments: str, status: int) -> Any:
    """What a command says as JSON."""
    capsys.readouterr()
    assert cli.main([*arguments, "--simulator", "icarus", "--json"]) == status
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "tries", [pytest.param(2, id="few-tries"), pytest.param(100, id="to-the-end", marks=pytest.mark.slow)]
)
def test_a_fault_is_found_shrunk_saved_and_replayed(tries, fault, tmp_path, capsys, monkeypatch):
    """By the commands a user has; without the fault the saved case passes."""
    options = ("--cases", "20", "--seed", "1", "--shrink", str(tries), "-o", str(tmp_path))
    report = command(capsys, "fuzz", *options, status=1)
    (saved,) = tmp_path.iterdir()
    assert report["case"] == str(saved)
    assert report["fault"].startswith("frame 0: head0.pool1, step ")
    small, found = Case.load(saved), random_case(1, report["cases"] - 1)
    assert small != found
    assert len(saved.read_text()) < 1500
    if tries == 100:
        config = small.config
        assert (config.rows, config.width, config.heads, config.channels, config.hidden) == (1, 16, 1, (1,) * 4, 1)
        # Two engines: the first weight of a single one belongs to the layer that clears the state, and is harmless.
        assert (len(small.target.engines), small.target.columns, small.weights, small.frames) == (2, 2, "zeros", 1)
    again = [command(capsys, "replay", str(saved), status=1) for _ in range(2)]
    assert again[0] == again[1]
    assert again[0]["fault"] == report["fault"]
    assert again[0]["mismatches"] > 0
    monkeypatch.setattr("sim.random_case.build", build)
    assert command(capsys, "replay", str(saved), status=0)["fault"] is None


@pytest.mark.parametrize("weights", ["uniform", "biases"])
@pytest.mark.parametrize(("columns", "rows"), [(4, 4), (3, 3), (2, 1)])
def test_score_rows_of_several_words(columns: int, rows: int, weights: str) -> None:
    """A layer cut into parts: the first ones fill the softmax's slots, the last one is short; shifts of any size."""
    config = RaScaNetConfig(
        name="parts",
        height=2,
        width=80,
        rows=1,
        heads=2,
        channels=(1, 1, 1, 2),
        kernel_heights=(1, 1, 1, 1),
        hidden=2,
        attention=1,
        spatial_attention="full",
        projection="1x1",
        classifier_hidden=0,
    )
    target = random_case(SEED, 0).target
    engine = replace(target.engines[-1], name="all", runs="all", rows=rows)
    target = replace(
        target, array="systolic", columns=columns, line_rows=1, products_per_multiplier=1, engines=(engine,)
    )
    for seed in (1, 2):
        case = Case(config=config, target=target, weights=weights, images="noise", seed=seed, frames=1, rule=None)
        outcome = run_case(case, "compiled")
        assert outcome.fault is None
        assert outcome.compared > 100


def test_a_replay_for_people(tmp_path, capsys):
    """Estimated and measured cycles, values compared, and a waveform."""
    path = shrink(random_case(SEED, 0), lambda _: True, 100).save(tmp_path)
    assert cli.main(["replay", str(path), "--trace", str(tmp_path / "wave.vcd")]) == 0
    said = capsys.readouterr().out
    assert "frame_cycles" in said and "values compared, 0 mismatches" in said and said.endswith("passes\n")
    assert "$enddefinitions" in (tmp_path / "wave.vcd").read_text()


def test_wrong_cycles_are_a_fault(monkeypatch):
    """Though every value is right."""
    case = shrink(random_case(SEED, 0), lambda _: True, 100)
    outcome = run_case(case, "icarus")
    assert outcome.fault is None
    late = tuple(replace(e, latency=e.latency + 1) for e in outcome.estimated)
    monkeypatch.setattr("sim.random_case.estimate", lambda *_, **__: late)
    latency = outcome.measured[0].latency
    assert run_case(case, "icarus").fault == f"frame 0: latency: estimated {latency + 1}, measured {latency}"


def test_a_program_error_is_a_fault(monkeypatch):
    """It must be found, shrunk and saved like any other."""

    def broken(*_: Any) -> None:
        raise AssertionError("no such\nregion")

    monkeypatch.setattr("sim.random_case.build", broken)
    assert run_case(random_case(SEED, 0)).fault == "AssertionError: no such region"


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize(
    "fails",
    [
        pytest.param(lambda c: c.config.width >= 20, id="wide"),
        pytest.param(lambda c: c.config.rows >= 3, id="rows"),
        pytest.param(lambda c: c.target.columns >= 3 and c.weights != "zeros", id="columns-and-weights"),
        pytest.param(lambda c: len(c.target.engines) == 2, id="engines"),
    ],
)
def test_shrinking_keeps_what_matters_and_nothing_else(fails: Callable[[Case], bool], number: int) -> None:
    case = next(c for c in (random_case(number, n) for n in range(100)) if fails(c))
    small = shrink(case, fails, 100)
    assert fails(small)
    least = shrink(case, lambda _: True, 100)
    differing = {key for key, value in flat(small.to_dict()).items() if value != flat(least.to_dict()).get(key)}
    allowed = {"width", "rows", "kernel_heights", "height", "line_rows", "columns", "weights", "engines"}
    assert {key.split(".")[-1] for key in differing} <= allowed
    assert len(differing) <= 4


def flat(data: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Values by path."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        found |= flat(value, f"{path}{key}.") if isinstance(value, dict) else {path + key: value}
    return found


def test_shrinking_ends_after_its_tries() -> None:
    tried = []
    shrink(random_case(SEED, 1), lambda c: bool(tried.append(c)), 7)
    assert len(tried) == 7


def test_a_file_gives_the_same_case(tmp_path: Path) -> None:
    """Numbers, pictures and name of the file: everything follows from what it says."""
    for number in range(20):
        case = random_case(SEED, number)
        path = case.save(tmp_path)
        again = Case.load(path)
        assert again == case
        assert again.save(tmp_path) == path
        assert again.model().hash == case.model().hash
        assert (again.pictures() == case.pictures()).all()


@pytest.mark.parametrize("kind", get_args(Pictures))
def test_pictures(kind: Pictures) -> None:
    case = replace(random_case(SEED, 2), images=kind, frames=2)
    pictures = case.pictures()
    assert pictures.shape == (2, case.config.height, case.config.width, 3) and pictures.dtype == np.uint8
    assert {"zeros": 0, "full": 255}.get(kind, pictures.max()) == pictures.max()
    if kind == "spike":
        assert ((pictures == 255).all(3).sum((1, 2)) == 1).all() and (pictures > 0).sum() == 6


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "not an object": (lambda c: [c], "not a case: it has no format 'rasca-case'"),
    "foreign": (lambda c: {**c, "format": "x"}, "not a case"),
    "unknown key": (lambda c: {**c, "sed": 1}, "unknown key 'sed'; nearest is 'seed'"),
    "missing key": (lambda c: {k: v for k, v in c.items() if k != "frames"}, "frames is missing"),
    "weights": (lambda c: {**c, "weights": "spike"}, "unknown weights 'spike'; nearest is 'spikes'"),
    "weights of another type": (lambda c: {**c, "weights": {}}, "unknown weights"),
    "images": (lambda c: {**c, "images": "nois"}, "unknown images 'nois'; nearest is 'noise'"),
    "seed below": (lambda c: {**c, "seed": -1}, "seed must be an integer from 0 to 4294967295, not -1"),
    "seed above": (lambda c: {**c, "seed": 2**32}, "seed must be an integer from 0 to 4294967295, not 4294967296"),
    "no frame": (lambda c: {**c, "frames": 0}, "frames must be an integer from 1 to 8, not 0"),
    "too many frames": (lambda c: {**c, "frames": 9}, "frames must be an integer from 1 to 8, not 9"),
    "frames of another type": (lambda c: {**c, "frames": True}, "frames must be an integer from 1 to 8, not True"),
    "config": (lambda c: {**c, "config": 5}, "config must be an object, not 5"),
    "target": (lambda c: {**c, "target": None}, "target must be an object, not None"),
    "rule": (lambda c: {**c, "rule": 5}, "rule must be an object, not 5"),
    "network outside the family": (
        lambda c: {**c, "config": {**c["config"], "heads": 5}},
        "heads must be an integer from 1 to 4, not 5",
    ),
    "target outside its limits": (
        lambda c: {**c, "target": {**c["target"], "columns": 65}},
        "columns must be 2 to 64, not 65",
    ),
    "network too large for the target": (
        lambda c: {**c, "target": {**c["target"], "multipliers": 1}},
        "more than the device's 1",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_malformed_cases_are_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, message = BROKEN[name]
    path = tmp_path / "case.json"
    path.write_text(json.dumps(change(random_case(SEED, 0).to_dict())))
    refused(capsys, path, message)


@pytest.mark.parametrize(
    "text", [b"{", b"", b"\xff", b"[" * 100_000, b'{"frames": 1' + b"0" * 5000 + b"}"], ids=lambda text: repr(text[:3])
)
def test_files_that_are_no_cases_are_refused(text, tmp_path, capsys):
    path = tmp_path / "case.json"
    path.write_bytes(text)
    refused(capsys, path, "case.json: not a case: no JSON")


def refused(capsys: pytest.CaptureFixture[str], path: Path, message: str) -> None:
    """One line, exit status 2."""
    assert cli.main(["replay", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rasca: error: ") and err.count("\n") == 1 and message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("replay", "none.json"), "none.json: No such file"),
        (("fuzz", "--cases", "0"), "--cases must be 1 or more, not 0"),
        (("fuzz", "--seed", "-1"), "--seed must be 0 or more, not -1"),
        (("fuzz", "--shrink", "-1"), "--shrink must be 0 or more, not -1"),
        (("replay", "none.json", "--simulator", "icarus", "--trace", "x.vcd"), "--trace takes --simulator cxxrtl"),
    ],
)
def test_refused_arguments(arguments, message, capsys):
    assert cli.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_cases_are_checked_when_made() -> None:
    with pytest.raises(CaseError, match="frames must be"):
        replace(random_case(SEED, 0), frames=0)
