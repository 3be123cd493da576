"""The flow to a bitstream with stand-ins for the tools, and once with the tools."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fpga import budget, pll, pll_ice40
from fpga.bitstream import bitstream
from fpga.boards import ALIASES, BOARDS, board
from fpga.build import PROGRAMMING_IMAGE, BuildError, build
from fpga.demo import Demo
from fpga.ice40_bitstream import BitstreamError, bitstream_end
from fpga.netlist_text import without_brackets
from rasca_hw.boot import OFFSET, BootLoader
from rasca_nn.config import preset
from rasca_nn.errors import RascaError
from rasca_nn.random_model import random_int8_model
from rtl_gen import cli

from .stub import IDENTITY, Loaded, Stub

CLOCK_MHZ = 80.0
USED = {"TRELLIS_COMB": 100, "TRELLIS_FF": 50, "DP16KD": 3, "MULT18X18D": 2}
USED_ICE40 = {"ICESTORM_LC": 100, "ICESTORM_RAM": 5, "ICESTORM_SPRAM": 4, "ICESTORM_DSP": 3}
NEXTPNR_JSON = {
    "fmax": {"clk": {"achieved": 91.234, "constraint": 80.0}},
    "utilization": {name: {"used": used, "available": 1000} for name, used in (USED | USED_ICE40).items()},
}
ICE40_JSON = {**NEXTPNR_JSON, "fmax": {"clk": {"achieved": 30.5, "constraint": 25.21}}}


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Stand-ins that do at once what the flow expects of the tools; a test may replace one."""
    folder = tmp_path / "tools"
    folder.mkdir()

    def tool(name: str, variable: str, script: str) -> None:
        path = folder / name
        path.write_text(f'#!/bin/sh\ncase "$1" in -V|--version|-h) echo 0.99; exit;; esac\n{script}\n')
        path.chmod(0o755)
        monkeypatch.setenv(variable, str(path))

    def standard(name: str, script: str = "") -> None:
        scripts = {
            "yosys": "echo said > yosys.log; echo {} > top.json",
            "nextpnr-ecp5": f"echo said > nextpnr.log; echo '{json.dumps(NEXTPNR_JSON)}' > nextpnr.json",
            "nextpnr-ice40": f"echo $* > said; echo '{json.dumps(ICE40_JSON)}' > nextpnr.json",
            "ecppack": "echo bits > top.bit",
            "icepack": "echo bits > top.bin",
        }
        tool(name, name.upper().replace("-", "_"), script or scripts[name])

    for name in ("yosys", "nextpnr-ecp5", "ecppack", "nextpnr-ice40", "icepack"):
        standard(name)
    return standard


def run(out):
    """Build the stub."""
    demo = Demo(Stub(IDENTITY), IDENTITY, clock_hz=CLOCK_MHZ * 1e6)
    return build(demo, board("ecp5"), out, clock_mhz=CLOCK_MHZ)


def run_ice40(out, name: str = "ice40"):
    """Build the stub with weights."""
    loader = BootLoader(model_hash=1, words=4)
    demo = Demo(Loaded(Stub(IDENTITY), range(4)), IDENTITY, clock_hz=24e6, baud=1e6, loader=loader)
    return build(demo, board(name), out, clock_mhz=24, weights=b"weights")


def test_report_and_files(tools, tmp_path):
    out = tmp_path / "deep" / "out"
    report = run(out)
    assert report.fmax_mhz == 91.23
    assert report.used == {"luts": 100, "ffs": 50, "block_rams": 3, "multipliers": 2}
    assert set(report.seconds) == {"elaboration", "synthesis", "place and route", "bitstream"}
    assert json.loads((out / "report.json").read_text())["used"] == report.used
    assert (out / "top.bit").read_text() == "bits\n"
    assert "FREQUENCY PORT" in (out / "top.lpf").read_text()
    assert [path.name for path in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["icebreaker", "upduino"])
def test_ice40(tools, tmp_path, name):
    """More than the clock is asked for; the programming image holds bitstream and weights."""
    out = tmp_path / "out"
    report = run_ice40(out, name)
    assert report.used == {"logic_cells": 100, "block_rams": 5, "sprams": 4, "multipliers": 3}
    assert (report.clock_mhz, report.margin_ns, report.wanted_mhz) == (24, 2, 25.21)
    assert "--freq 25.21 --seed 1" in (out / "said").read_text()
    assert "oscillator" in (out / "top.pcf").read_text()
    image = (out / PROGRAMMING_IMAGE).read_bytes()
    assert (image[:5], image[OFFSET:]) == (b"bits\n", b"weights")


def test_the_margin_is_kept(tools, tmp_path):
    slow = json.dumps({**NEXTPNR_JSON, "fmax": {"clk": {"achieved": 25.2, "constraint": 25.21}}})
    tools("nextpnr-ice40", f"echo '{slow}' > nextpnr.json")
    with pytest.raises(BuildError, match=r"timing not met by clk: 25\.20 MHz of 25\.21 MHz"):
        run_ice40(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_success_replaces_what_was_there(tools, tmp_path):
    out = tmp_path / "out"
    run(out)
    (out / "top.old").touch()
    run(out)
    assert not (out / "top.old").exists()


def test_what_others_made_is_not_replaced(tools, tmp_path):
    """A folder or file of somebody else, a file of theirs in ours."""
    own, file = tmp_path / "own", tmp_path / "file"
    own.mkdir()
    (own / "precious").touch()
    file.touch()
    for out in (own, file):
        with pytest.raises(RascaError, match="was not made by rasca bitstream"):
            run(out)
    out = tmp_path / "out"
    run(out)
    (out / "precious").touch()
    with pytest.raises(RascaError, match="also holds precious, which would be lost"):
        run(out)
    assert sorted(path.name for path in tmp_path.rglob("precious")) == ["precious", "precious"]


@pytest.mark.parametrize(
    ("name", "script", "message"),
    [
        ("yosys", "echo 'ERROR: no such cell' > yosys.log; exit 1", "yosys failed .*: no such cell"),
        (
            "nextpnr-ecp5",
            "echo 'ERROR: Max frequency for clock c: 54.59 MHz (FAIL at 80.00 MHz)'; exit 1",
            "54.59 MHz",
        ),
        ("ecppack", "echo gone; exit 3", "ecppack failed with exit status 3: gone"),
    ],
)
def test_a_failing_tool_leaves_its_log_and_the_old_build(tools, tmp_path, name, script, message):
    out = tmp_path / "out"
    run(out)
    tools(name, script)
    with pytest.raises(BuildError, match=message) as failure:
        run(out)
    assert (out / "top.bit").exists()
    (log,) = tmp_path.glob("out.*.log")
    assert {path.name for path in tmp_path.iterdir()} >= {"out", log.name}
    assert not list(tmp_path.glob(".out*"))
    assert str(log) in str(failure.value)


def test_a_clock_that_is_missed_is_an_error_whatever_the_tool_says(tools, tmp_path):
    slow = json.dumps({**NEXTPNR_JSON, "fmax": {"clk": {"achieved": 79.99, "constraint": 80.0}}})
    tools("nextpnr-ecp5", f"echo '{slow}' > nextpnr.json")
    with pytest.raises(BuildError, match=r"79\.99 MHz of 80 MHz"):
        run(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_known_bad_tool_is_refused(tools, tmp_path, monkeypatch):
    path = tmp_path / "yosys"
    path.write_text("#!/bin/sh\necho Yosys 0.67\n")
    path.chmod(0o755)
    monkeypatch.setenv("YOSYS", str(path))
    with pytest.raises(BuildError, match=r"yosys 0\.67 is .*; install another"):
        run(tmp_path / "out")


def test_array_elements_get_names_without_brackets():
    text = 'attribute \\src "x.py[3]"\n  wire width 4 \\a$1.b[0][12].c\n  connect \\a$1.b[0][12].c [3:0] \\d [1]\n'
    assert without_brackets(text) == (
        'attribute \\src "x.py[3]"\n  wire width 4 \\a$1.b.0.12.c\n  connect \\a$1.b.0.12.c [3:0] \\d [1]\n'
    )


def test_budgets(tools, tmp_path):
    report = run(tmp_path / "out")
    budget.check(report, {"luts": 100, "fmax_mhz": 91})
    with pytest.raises(budget.OverBudget, match=r"luts 100, 1 more than 99; fmax_mhz 91\.23, 0\.77 less than 92"):
        budget.check(report, {"luts": 99, "ffs": 50, "fmax_mhz": 92})
    with pytest.raises(budget.OverBudget):
        budget.check(replace(report, fmax_mhz=79.0), budget.budget("ulx3s-85f", "released-210x240"))


def test_camera_report(tools, tmp_path, capsys):
    """How the accelerator stands to the sensor is printed and in report.json; a sensor that is not known is refused."""
    slow = json.dumps({**NEXTPNR_JSON, "fmax": {"clk": {"achieved": 70.0, "constraint": 60.0}}})
    tools("nextpnr-ecp5", f"echo '{slow}' > nextpnr.json")
    random_int8_model(preset("tiny"), 1).save(tmp_path / "tiny.int8")
    arguments = ["bitstream", str(tmp_path / "tiny.int8"), "--demo", "camera", "--target", "small"]
    assert cli.main([*arguments, "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "margin, %" in said and "rasca watch" in said
    found = json.loads((tmp_path / "out" / "report.json").read_text())["camera"]
    assert (found["sensor"], found["clock_mhz"], found["window"]["factor"]) == ("ov7670-qvga", 60, 4)
    assert cli.main([*arguments, "--sensor", "", "-o", str(tmp_path / "none")]) == 2
    assert "unknown sensor ''" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_boards_by_name():
    assert board("ecp5") is board("ulx3s-85f")
    assert all(board(name).name == name for name in BOARDS)
    assert all(name in BOARDS for name in ALIASES.values())
    with pytest.raises(RascaError, match="nearest is 'ecp5'"):
        board("ecp55")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ice40", {"target": "ecp5-85f"}, "is for an LFE5U-85F, which icebreaker has not; its own is up5k"),
        ("ecp5", {"target": "up5k"}, "is for an iCE40UP5K, which ulx3s-85f has not; its own is ecp5-85f"),
        ("ice40", {"seed": -1}, "seed must be from 0 to 2147483647, not -1"),
        ("ice40", {"sensor": "hm01b0-qvga-8bit-27fps"}, "--sensor is for --demo camera"),
        ("ice40", {"baud": 12_000_001}, "baud must be from 366 to"),
        ("upduino", {"clock_mhz": 1000}, "no PLL setting makes 1000 MHz of 12 MHz"),
    ],
)
def test_what_cannot_be_built(tmp_path, name, options, message):
    with pytest.raises(RascaError, match=message):
        bitstream(random_int8_model(preset("tiny"), seed=1), board(name), tmp_path / "out", **options)
    assert not [*tmp_path.iterdir()]


PLLS = {"ecp5": (pll.LIMITS, 25.0), "ice40": (pll_ice40.LIMITS, 12.0)}


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        *[("ecp5", mhz) for mhz in (50, 80, 85, 90, 100, 125, 133)],
        *[("ice40", mhz) for mhz in (12, 20, 24, 25.5, 36, 48)],
    ],
)
def test_pll_dividers_keep_the_limits(kind, wanted):
    limits, clock_in = PLLS[kind]
    found = limits.dividers(clock_in, wanted)
    vco = clock_in / found.reference * found.loop
    assert found.clock_mhz == vco / found.output
    assert found.clock_mhz == pytest.approx(wanted, rel=0.01)
    assert found.output in limits.outputs
    assert limits.vco_mhz[0] <= vco <= limits.vco_mhz[1]
    assert limits.detector_mhz[0] <= clock_in / found.reference <= limits.detector_mhz[1]


def test_ice40_pll_at_24_mhz():
    """What icepll prints: DIVR 0, DIVF 63, DIVQ 5, filter range 1."""
    found = pll_ice40.LIMITS.dividers(12, 24)
    assert (found.reference, found.loop, found.output, pll_ice40.filter_range(found)) == (1, 64, 32, 1)


@pytest.mark.parametrize("kind", PLLS)
@pytest.mark.parametrize("wanted", [1, 900])
def test_pll_cannot_make_every_clock(kind, wanted):
    limits, clock_in = PLLS[kind]
    with pytest.raises(RascaError, match="no PLL setting"):
        limits.dividers(clock_in, wanted)


@pytest.mark.slow
def test_the_real_tools(tmp_path):
    report = run(tmp_path / "out")
    assert report.fmax_mhz >= CLOCK_MHZ
    assert (tmp_path / "out" / "top.bit").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["icebreaker", "upduino"])
def test_the_real_ice40_tools(tmp_path, name):
    report = run_ice40(tmp_path / "out", name)
    assert report.fmax_mhz >= report.wanted_mhz
    image = (tmp_path / "out" / PROGRAMMING_IMAGE).read_bytes()
    assert 50_000 < bitstream_end(image) < OFFSET
    for place in range(10, bitstream_end(image), 997):
        with pytest.raises(BitstreamError):
            bitstream_end(image[:place] + bytes([image[place] ^ 0x10]) + image[place + 1 :])
