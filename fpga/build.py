"""From a demo to a bitstream: RTLIL, Yosys, nextpnr, the packer, and the report; each family's tools in fpga/flows.py.

Yosys reads RTLIL, Amaranth's own route: Verilog with hand-placed multipliers makes some releases fail. nextpnr gets a
fixed seed and never leave to miss the timing. Everything happens in a folder of its own, which takes its final name
when all is well.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from amaranth.lib.wiring import Component

from fpga.boards import Board
from fpga.flash_image import programming_image
from fpga.netlist_text import prepared
from fpga.steps import Steps
from fpga.tools import find
from rasca_nn.errors import RascaError
from rtl_gen.folder import check_replaceable, replaced

SEED = 1
STEPS = 4
PROGRAMMING_IMAGE = "flash.bin"
"""Bitstream and weights."""
REPORT = "report.json"
OURS = re.compile(r"top\.\w+|(yosys|nextpnr)\.(log|json)|report\.json|flash\.bin")
"""Names of the files in a finished folder."""


class BuildError(RascaError):
    """A tool failed, or timing was not met; the message names the log."""


@dataclass(frozen=True)
class BuildReport:
    """What place and route reached.

    `clock_mhz` is the clock of `sync` and `wanted_mhz` what nextpnr was asked for: more, where a `margin_ns` of each
    period is kept in hand (:class:`fpga.flows.Flow`); `fmax_mhz` is what it says the slowest path of `sync` allows.
    `clocks` are all of them, (reached, asked for). `used` and `available` have the keys of the flow's cells; `seconds`
    are of the steps. `camera` is how the accelerator stands to the sensor (:mod:`rtl_gen.realtime`), empty without one.
    """

    board: str
    clock_mhz: float
    margin_ns: float
    wanted_mhz: float
    fmax_mhz: float
    clocks: dict[str, tuple[float, float]]
    used: dict[str, int]
    available: dict[str, int]
    seed: int
    tools: dict[str, str]
    seconds: dict[str, float]
    camera: dict[str, Any] = field(default_factory=dict)


def build(
    demo: Component,
    board: Board,
    out: Path,
    *,
    clock_mhz: float,
    top: Callable[[Component, float], Any] | None = None,
    seed: int = SEED,
    steps: Steps | None = None,
    weights: bytes = b"",
    camera: dict[str, Any] | None = None,
    check: Callable[[BuildReport], None] = lambda report: None,
) -> BuildReport:
    """Build a bitstream; `out` then holds it, report.json, and what each tool read, wrote and said.

    Parameters
    ----------
    demo : see :mod:`fpga.demo` and :mod:`fpga.camera_demo`.
    board, clock_mhz : where it goes and how fast its domain `sync` must be.
    top : puts it on the pins; the board's own by default.
    out : folder to make; one that this made is replaced, but only after success.
    seed : of the placer.
    steps : told of the progress.
    weights : image that goes into the board's flash; flash.bin then holds it behind the bitstream.
    camera : for the report.
    check : raises where the report is not good enough; `out` is then left as it was.

    Raises
    ------
    BuildError
        If a tool fails or the clock is not reached; its log stays beside `out`.
    ToolMissing
        If a tool is not there.
    RascaError
        If `out` is, or holds, what this did not make.
    """
    check_replaceable(out, command="rasca bitstream", marker=REPORT, ours=OURS.fullmatch)
    flow = board.flow
    wanted_mhz = flow.wanted_mhz(clock_mhz)
    tools = {name: find(name) for name in ("yosys", flow.nextpnr, flow.pack)}
    for name, tool in tools.items():
        if tool.bad:
            raise BuildError(f"{name} {tool.version} is {tool.bad}; install another with: {tool.tool.install}")
    steps = steps or Steps(quiet=True)
    with replaced(out) as work:
        steps.begin(1, STEPS, "elaboration")
        platform = board.platform()
        plan = platform.prepare((top or board.top)(demo, clock_mhz), "top")
        for suffix in ("il", flow.constraints):
            content = plan.files[f"top.{suffix}"]
            text = content if isinstance(content, str) else content.decode()
            (work / f"top.{suffix}").write_text(prepared(text) if suffix == "il" else text)
        steps.begin(2, STEPS, "synthesis")
        _run([*tools["yosys"].command, "-q", "-l", "yosys.log", "-p", flow.synthesis], work, out, "yosys")
        flow.placed(work / "top.json", platform.device)
        steps.begin(3, STEPS, "place and route")
        files = ("--json", "top.json", "--report", "nextpnr.json", "--log", "nextpnr.log", *flow.nextpnr_options)
        options = (*board.nextpnr, *files, "--freq", f"{wanted_mhz:.2f}", "--seed", str(seed))
        _run([*tools[flow.nextpnr].command, "--quiet", *options], work, out, "nextpnr")
        steps.begin(4, STEPS, "bitstream")
        _run([*tools[flow.pack].command, *flow.pack_options], work, out, flow.pack)
        if weights:
            bitstream = (work / flow.bitstream).read_bytes()
            (work / PROGRAMMING_IMAGE).write_bytes(programming_image(bitstream, weights))
        steps.end()
        found = json.loads((work / "nextpnr.json").read_text())
        cells, clocks = found["utilization"], found["fmax"]
        ours = [clock for clock in clocks.values() if abs(clock["constraint"] - wanted_mhz) < wanted_mhz / 100]
        if not ours:
            raise BuildError(f"nextpnr reports no clock of {wanted_mhz:.2f} MHz, only {', '.join(clocks) or 'none'}")
        report = BuildReport(
            board=board.name,
            clock_mhz=clock_mhz,
            margin_ns=flow.margin_ns,
            wanted_mhz=round(wanted_mhz, 2),
            fmax_mhz=round(min(clock["achieved"] for clock in ours), 2),
            clocks={name: (round(clock["achieved"], 2), clock["constraint"]) for name, clock in clocks.items()},
            used={name: cells[cell]["used"] for name, cell in flow.cells.items()},
            available={name: cells[cell]["available"] for name, cell in flow.cells.items()},
            seed=seed,
            tools={name: tool.version for name, tool in tools.items()},
            seconds={name: round(seconds, 1) for name, seconds in steps.seconds.items()},
            camera=camera or {},
        )
        for name, clock in clocks.items():
            if clock["achieved"] < clock["constraint"]:
                missed = f"{clock['achieved']:.2f} MHz of {clock['constraint']:g} MHz"
                raise BuildError(f"timing not met by {name}: {missed}")
        check(report)
        (work / REPORT).write_text(json.dumps(asdict(report), indent=2) + "\n")
        (work / "top.json").unlink()
    return report


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


def rows(report: BuildReport, budget: dict[str, Any]) -> list[tuple[str, Any, Any, Any]]:
    """The report as a table: resource, used, budget, what the device has."""
    table: list[tuple[str, Any, Any, Any]] = [
        (name, used, budget.get(name, ""), report.available[name]) for name, used in report.used.items()
    ]
    return [*table, ("fmax_mhz", report.fmax_mhz, budget.get("fmax_mhz", report.wanted_mhz), "")]
