"""``rasca program`` with tools that only write down how they were called."""

from __future__ import annotations

from pathlib import Path

import pytest

from fpga.flash_image import programming_image, weight_image
from rtl_gen import cli
from tests.fpga.small_bitstream import small_bitstream

BITSTREAM = small_bitstream()


@pytest.fixture
def image(tmp_path, monkeypatch) -> Path:
    """A programming image, and an empty folder as PATH."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("ICEPROG", "OPENFPGALOADER"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "my image.bin"
    path.write_bytes(BITSTREAM)
    return path


def stub(image: Path, name: str, status: int = 0) -> Path:
    """A tool on PATH; the file in which it writes its arguments, a line each, when it is to write a flash."""
    calls = image.with_name(f"{name}.calls")
    path = image.with_name("bin") / name
    path.write_text(
        f'#!/bin/sh\ncase "$1" in -V|--help) echo {name} 1.2; exit;; esac\n'
        f"printf '%s\\n' \"$@\" >> '{calls}'\nexit {status}\n"
    )
    path.chmod(0o755)
    return calls


def error_line(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["program", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("rasca: error: ")
    assert err.count("\n") == 1
    return err


GENERIC = ["--board", "ice40_generic"]
WRITE = ["--write-flash", "--verify"]


@pytest.mark.parametrize(
    ("board", "tool", "options"),
    [
        ("icebreaker", "iceprog", []),
        ("upduino", "iceprog", []),
        ("ice40", "openFPGALoader", [*GENERIC, *WRITE]),
        ("upduino", "openFPGALoader", [*GENERIC, "--cable", "ft232", *WRITE]),
    ],
)
def test_the_tool_is_called(image, board, tool, options):
    calls = stub(image, tool)
    other = stub(image, "openFPGALoader" if tool == "iceprog" else "iceprog")
    assert cli.main(["program", str(image), "--board", board, "--tool", tool]) == 0
    assert calls.read_text().splitlines() == [*options, str(image)]
    assert not other.exists()


def test_the_tool_that_is_there_is_taken(image):
    calls = stub(image, "openFPGALoader")
    assert cli.main(["program", str(image), "--board", "icebreaker"]) == 0
    assert calls.exists()
    first = stub(image, "iceprog")
    assert cli.main(["program", str(image), "--board", "icebreaker"]) == 0
    assert first.exists()


def test_dry_run_only_prints(image, capfd):
    calls = stub(image, "iceprog")
    assert cli.main(["program", str(image), "--board", "icebreaker", "--dry-run"]) == 0
    assert capfd.readouterr().out == f"{image.with_name('bin')}/iceprog '{image}'\n"
    assert not calls.exists()


@pytest.mark.parametrize("extra", [[], ["--dry-run"]])
def test_without_a_tool(image, capfd, extra):
    said = error_line(capfd, str(image), "--board", "icebreaker", *extra)
    assert "neither iceprog nor openFPGALoader" in said
    assert "apt-get install fpga-icestorm or sudo apt-get install openfpgaloader" in said


def test_without_the_tool_that_was_asked_for(image, capfd):
    stub(image, "openFPGALoader")
    said = error_line(capfd, str(image), "--board", "icebreaker", "--tool", "iceprog")
    assert "iceprog not found" in said
    assert "apt-get install fpga-icestorm" in said


def test_a_tool_that_fails(image, capfd):
    stub(image, "iceprog", status=3)
    assert "exit status 3" in error_line(capfd, str(image), "--board", "upduino")


def test_what_cannot_be_programmed(image, capfd):
    calls = stub(image, "iceprog")
    assert "nearest is 'icebreaker'" in error_line(capfd, str(image), "--board", "icebraker")
    said = error_line(capfd, str(image), "--board", "ecp5")
    assert said.endswith(f"load it with: openFPGALoader --board ulx3s {image}\n")
    assert "nearest is 'iceprog'" in error_line(capfd, str(image), "--board", "icebreaker", "--tool", "iceprg")
    assert "No such file" in error_line(capfd, str(image) + "x", "--board", "icebreaker")
    image.write_bytes(b"RASC" + bytes(4000))
    assert "iCE40 bitstream" in error_line(capfd, str(image), "--board", "icebreaker")
    image.write_bytes(BITSTREAM.ljust((1 << 22) + 1, b"\xff"))
    assert "the flash of upduino only 4194304" in error_line(capfd, str(image), "--board", "upduino")
    whole = programming_image(BITSTREAM, weight_image([1, 2, 3], model_hash=4))
    image.write_bytes(whole[:-1] + b"x")
    said = error_line(capfd, str(image), "--board", "icebreaker")
    assert f"{image} holds damaged weights (by their CRC); build it again with rasca bitstream" in said
    assert not calls.exists()
