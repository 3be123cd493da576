"""The command line itself: errors are one line and exit status 2, reports exist as JSON."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from rasca_nn.config import PRESETS
from rtl_gen import cli
from rtl_gen.commands import board

COMMANDS = [
    "presets",
    "count",
    "train",
    "ablate",
    "import",
    "quantize",
    "evaluate",
    "card",
    "thresholds",
    "explain",
    "generate",
    "sim",
    "schedule",
    "bench",
    "camera",
    "faults",
    "fuzz",
    "replay",
    "bitstream",
    "run",
    "watch",
    "doctor",
    "program",
]
"""Users' scripts depend on these names."""


def error_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail as documented; its one line."""
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rasca: error: ")
    assert err.count("\n") == 1
    return err


def test_presets_as_json(capsys):
    assert cli.main(["presets", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == list(PRESETS)


def test_presets_as_table(capsys):
    assert cli.main(["presets"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in PRESETS)


def test_unknown_command_names_the_nearest(capsys):
    assert "nearest is 'presets'" in error_line(capsys, "prests")


@pytest.mark.parametrize("arguments", [(), ("presets", "--jason"), ("presets", "extra")])
def test_wrong_arguments(capsys, arguments):
    assert "--help" in error_line(capsys, *arguments)


@pytest.mark.parametrize("arguments", [("--help",), *((name, "--help") for name in COMMANDS)])
def test_help(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 0
    assert "usage: rasca" in capsys.readouterr().out


def test_help_loads_nothing_heavy():
    script = "import sys, rtl_gen.cli as c; c.parser(); print([m for m in ('torch', 'amaranth') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_terminated(monkeypatch, capsys) -> None:
    """SIGTERM unwinds, so that what was begun is taken away, and leaves the caller's handler as it was."""
    undone = []

    def work(args: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            undone.append(True)

    monkeypatch.setattr(board, "doctor", work)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor"])
    assert (ended.value.code, undone, signal.getsignal(signal.SIGTERM)) == (143, [True], before)
    assert capsys.readouterr().err == "rasca: terminated\n"
