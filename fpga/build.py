"""From a demo to a bitstream: RTLIL, Yosys, nextpnr-ecp5, ecppack, and the report.

Yosys reads RTLIL, Amaranth's own route: Verilog with hand-placed multipliers makes some releases fail. nextpnr gets a
fixed seed and never leave to miss the timing. Everything happens in a folder of its own, which takes its final name
when all is well.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amaranth.lib.wiring import Component

from fpga.boards import Board
from fpga.floorplan import constrain
from fpga.steps import Steps
from fpga.tools import find
from rasca_nn.errors import RascaError

SEED = 1
STEPS = 4
SCRIPT = (
    "read_rtlil top.il; synth_ecp5 -top top -run :check; "
    # The last part of synth_ecp5 without `autoname`, which takes as long as all the rest and only names things nicely.
    "hierarchy -check; stat; check -noinit; blackbox =A:whitebox; write_json top.json"
)
ROUTER = ("--router", "router2")
"""The default router stalled on a full-size accelerator."""
CELLS = {"luts": "TRELLIS_COMB", "ffs": "TRELLIS_FF", "block_rams": "DP16KD", "multipliers": "MULT18X18D"}
"""Resources of the report and nextpnr's names for them. A carry counts as the two LUTs it takes."""


class BuildError(RascaError):
    """A tool failed, or timing was not met; the message names the log."""


@dataclass(frozen=True)
class BuildReport:
    """What place and route reached.

    `clock_mhz` is the clock of `sync` asked for and `fmax_mhz` what nextpnr says its slowest path allows; `clocks` are
    all of them, (reached, asked for); `used` and `available` have the keys of `CELLS`; `seconds` are of the steps.
    """

    board: str
    clock_mhz: float
    fmax_mhz: float
    clocks: dict[str, tuple[float, float]]
    used: dict[str, int]
    available: dict[str, int]
    seed: int
    tools: dict[str, str]
    seconds: dict[str, float]


def build(
    demo: Component,
    board: Board,
    out: Path,
    *,
    clock_mhz: float,
    top: Callable[[Component, float], Any] | None = None,
    seed: int = SEED,
    steps: Steps | None = None,
    check: Callable[[BuildReport], None] = lambda report: None,
) -> BuildReport:
    """Build a bitstream; `out` then holds top.bit, report.json, and what each tool read, wrote and said.

    Parameters
    ----------
    demo : see :mod:`fpga.demo` and :mod:`fpga.camera_demo`.
    board, clock_mhz : where it goes and how fast its domain `sync` must be.
    top : puts it on the pins; the board's own by default.
    out : folder to make; one that exists is replaced, but only after success.
    seed : of the placer.
    steps : told of the progress.
    check : raises where the report is not good enough; `out` is then left as it was.

    Raises
    ------
    BuildError
        If a tool fails or the clock is not reached; its log stays beside `out`.
    ToolMissing
        If a tool is not there.
    """
    tools = {name: find(name) for name in ("yosys", "nextpnr-ecp5", "ecppack")}
    for name, tool in tools.items():
        if tool.bad:
            raise BuildError(f"{name} {tool.version} is {tool.bad}; install another with: {tool.tool.install}")
    steps = steps or Steps(quiet=True)
    work = out.with_name(out.name + ".partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        steps.begin(1, STEPS, "elaboration")
        platform = board.platform()
        plan = platform.prepare((top or board.top)(demo, clock_mhz), "top")
        for suffix in ("il", "lpf"):
            content = plan.files[f"top.{suffix}"]
            text = content if isinstance(content, str) else content.decode()
            (work / f"top.{suffix}").write_text(without_brackets(text) if suffix == "il" else text)
        steps.begin(2, STEPS, "synthesis")
        _run([*tools["yosys"].command, "-q", "-l", "yosys.log", "-p", SCRIPT], work, out, "yosys")
        constrain(work / "top.json", platform.device)
        steps.begin(3, STEPS, "place and route")
        files = ("--json", "top.json", "--lpf", "top.lpf", "--textcfg", "top.config", "--report", "nextpnr.json")
        options = (*board.nextpnr, *files, "--freq", f"{clock_mhz:g}", "--seed", str(seed), "--log", "nextpnr.log")
        _run([*tools["nextpnr-ecp5"].command, "--quiet", *ROUTER, *options], work, out, "nextpnr")
        steps.begin(4, STEPS, "bitstream")
        _run([*tools["ecppack"].command, "--compress", "top.config", "top.bit"], work, out, "ecppack")
        steps.end()
        found = json.loads((work / "nextpnr.json").read_text())
        clocks = found["fmax"]
        ours = [clock for clock in clocks.values() if abs(clock["constraint"] - clock_mhz) < clock_mhz / 100]
        report = BuildReport(
            board=board.name,
            clock_mhz=clock_mhz,
            fmax_mhz=round(min(clock["achieved"] for clock in ours), 2),
            clocks={name: (round(clock["achieved"], 2), clock["constraint"]) for name, clock in clocks.items()},
            used={name: found["utilization"][cell]["used"] for name, cell in CELLS.items()},
            available={name: found["utilization"][cell]["available"] for name, cell in CELLS.items()},
            seed=seed,
            tools={name: tool.version for name, tool in tools.items()},
            seconds={name: round(seconds, 1) for name, seconds in steps.seconds.items()},
        )
        for name, clock in clocks.items():
            if clock["achieved"] < clock["constraint"]:
                missed = f"{clock['achieved']:.2f} MHz of {clock['constraint']:g} MHz"
                raise BuildError(f"timing not met by {name}: {missed}")
        check(report)
        (work / "report.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
        (work / "top.json").unlink()
        _replace(work, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return report


def without_brackets(rtlil: str) -> str:
    r"""RTLIL with names like ``\logits[0]``, which Amaranth gives the elements of arrays, as ``\logits.0``.

    ABC9 goes by the printed names of bits: it takes the element for bit 0 of the signal ``\logits``, and Yosys stops
    with an assertion, or not, depending on what the optimiser left.
    """
    return re.sub(r"(?<!\S)\\[^\s\"]*\[[^\s\"]*", lambda name: name[0].replace("[", ".").replace("]", ""), rtlil)


def _run(command: list[str], work: Path, out: Path, name: str) -> None:
    """Run a tool in `work`; on failure keep its log beside `out` and raise with its last error."""
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    log = work / f"{name}.log"
    said = (log.read_text(errors="replace") if log.exists() else "") + done.stdout + done.stderr
    kept = out.with_name(f"{out.name}.{name}.log")
    kept.write_text(said)
    slow = re.findall(r"^ERROR: Max frequency .*: ([\d.]+ MHz) \(FAIL at ([\d.]+ MHz)\)$", said, re.MULTILINE)
    if slow:
        reached, wanted = slow[-1]
        raise BuildError(f"timing not met: {reached} of {wanted} (log: {kept})")
    errors = re.findall(r"^ERROR: (.*)$", said, re.MULTILINE) or said.strip().splitlines()[-1:] or ["it said nothing"]
    raise BuildError(f"{name} failed with exit status {done.returncode}: {errors[-1]} (log: {kept})")


def _replace(work: Path, out: Path) -> None:
    """Give `work` the name `out`, whatever was there."""
    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    work.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def rows(report: BuildReport, budget: dict[str, Any]) -> list[tuple[str, Any, Any, Any]]:
    """The report as a table: resource, used, budget, what the device has."""
    table: list[tuple[str, Any, Any, Any]] = [
        (name, report.used[name], budget.get(name, ""), report.available[name]) for name in CELLS
    ]
    return [*table, ("fmax_mhz", report.fmax_mhz, budget.get("fmax_mhz", report.clock_mhz), "")]
