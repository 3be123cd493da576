"""`rasca nngen`: ours without NNgen, what it is asked for, and how its results are compared."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from rasca_nn.config import preset
from rasca_nn.errors import RascaError
from rtl_gen import cli
from sim.peers import nngen
from sim.peers.nngen import Heads, differences, ours


def test_ours() -> None:
    """Both heads of the released network: 2 x 392,040 products a step (docs/accounting.md)."""
    found = ours(preset("released-210x240"), "ecp5-85f", synthesis=False)
    assert (found.multipliers, found.products, found.bound) == (90, 784_080, 8_712)
    assert found.bound < found.cycles < 1.02 * found.bound
    with pytest.raises(RascaError, match="target ecp5-25f has no engine of its own for the heads"):
        ours(preset("tiny"), "ecp5-25f", synthesis=False)


def test_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def stand_in(config, products, *parallel, **options):
        asked.append((config.name, products, parallel, options["synthesis"], options["device"]))
        return Heads("NNgen", "2 x 2", 48, products, 2 * products, {})

    monkeypatch.setattr(nngen, "nngen", stand_in)
    arguments = ["nngen", "tiny", "--parallel", "2", "2", "--no-synthesis"]
    assert cli.main([*arguments, "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert asked == [("tiny", first["products"], (2, 2), False, "LFE5U-85F")]
    assert second["bound"] == -(-first["products"] // 48)
    assert cli.main(arguments) == 0
    assert "NNgen" in capsys.readouterr().out
    assert cli.main(["nngen", "tiny", "--parallel", "3", "2"]) == 2
    assert "--parallel takes powers of two, not 3" in capsys.readouterr().err
    assert cli.main(["nngen", "tiny", "--target", "small"]) == 2
    said = capsys.readouterr().err
    assert "no flow for the device 'none'; use one of LFE5U, iCE40UP" in said and said.count("\n") == 1
    assert len(asked) == 2


def test_a_design_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bench is told when to give up; its silence is an error. Nothing of synthesis is announced."""
    asked, told = [], []

    def run(command: list[str], folder: Path) -> str:
        if str(nngen.SCRIPT) in command:
            asked.append(json.loads(command[-2])["limit"])
        return ""

    monkeypatch.setattr(nngen, "_run", run)
    monkeypatch.setattr(nngen, "environment", lambda: Path("python"))
    monkeypatch.setattr(nngen, "find", lambda name: SimpleNamespace(command=(name,)))
    with pytest.raises(RascaError, match="did not end within 300 cycles"):
        nngen.nngen(preset("tiny"), 100, 1, 1, synthesis=False, device="LFE5U-85F", tell=told.append)
    assert asked == [300] and told[-1] == "NNgen on Icarus"


def test_differences(tmp_path: Path) -> None:
    """A wrong byte and one that nobody wrote are counted."""
    (tmp_path / "expected.json").write_text("[[1, [-1, 2, 3]], [5, [7]]]")
    (tmp_path / "after.img").write_text("// 0x00000000\n00\nff\n02\nxx\n00\n08\n")
    assert differences(tmp_path) == 2
