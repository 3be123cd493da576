"""A synthesised accelerator with Yosys' models of its cells, compiled: for frames that Icarus takes hours for.

There is no X here. What is undefined in a model is a random constant instead, and whoever fills the memories fills them
with something else first.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fpga.tools import find
from rasca_hw.interfaces import confidence_layout, result_layout
from rasca_hw.params import AcceleratorParams
from sim.cxxrtl import NATIVE_FLAGS, Run, SimulationError
from sim.icarus import TOP, unpack
from sim.native import translate
from sim.rtlil import read_rtlil

DRIVER = Path(__file__).with_suffix(".cc")
PASSES = (
    "proc -noopt; opt_clean; memory_collect; memory_unpack; setundef -random 7; "
    "flatten; opt -full; memory_share; opt -purge; splitnets -driver"
)
"""Collecting and unpacking says of the models' read ports that they are always enabled, which is undefined before."""
SPRAM_POWER = re.compile(r"always @\(negedge POWEROFF\) begin.*?\n\tend\n", re.DOTALL)
OPTIMISE = "-O1"


def powered(netlist: str) -> str:
    """The netlist with SPRAMs that are never switched off: their 16,384 words cannot be cleared at once in C++."""
    return SPRAM_POWER.sub("", netlist).replace("posedge CLOCK, posedge off", "posedge CLOCK")


def compile_netlist(netlist: str, folder: Path, driver: Path = DRIVER) -> Path:
    """The program, in the folder, of Verilog with a top module `rasca`, as :func:`sim.ice40.netlist` gives it.

    `driver` includes MODEL, the design as :mod:`sim.native` translates it. Raises SimulationError.
    """
    (folder / "netlist.v").write_text(powered(netlist))
    script = f"read_verilog netlist.v; hierarchy -top {TOP}; {PASSES}; write_rtlil flat.il"
    _call([*find("yosys").command, "-q", "-p", script], folder)
    (folder / "design.cc").write_text(translate(read_rtlil((folder / "flat.il").read_text())))
    # Not for speed: Zig checks for undefined behaviour in what is not optimised.
    flags = (
        "-std=c++17",
        "-w",
        "-fno-sanitize=undefined",
        OPTIMISE,
        *NATIVE_FLAGS,
        '-DMODEL="design.cc"',
        f"-I{folder}",
    )
    _call([*find("c++").command, *flags, "-o", "netlist", str(driver)], folder)
    return folder / "netlist"


def run_netlist(
    netlist: str,
    params: AcceleratorParams,
    pixels: NDArray[np.uint32],
    frames: int,
    *,
    load: Sequence[tuple[int, int]],
    limit: int,
) -> Run:
    """As :func:`sim.icarus.run_accelerator`; `load` are (address, lane). Raises SimulationError."""
    words = np.asarray(load, np.uint32).tobytes() + np.asarray(pixels, np.uint32).tobytes()
    with tempfile.TemporaryDirectory(prefix="rasca-netlist-") as name:
        program = compile_netlist(netlist, Path(name))
        command = [str(program), str(len(load)), str(frames), str(limit)]
        lines = subprocess.run(command, input=words, capture_output=True, check=True).stdout.decode().split("\n")
    found: dict[str, list[str]] = {"results": [], "confidences": [], "cycles": []}
    for line in filter(None, lines):
        kind, value = line.split()
        found[kind].append(value)
    if len(found["results"]) < frames:
        raise SimulationError(f"{len(found['results'])} of {frames} results after {limit} cycles")
    classes = params.classes
    layouts = {"results": result_layout(classes), "confidences": confidence_layout(classes)}
    payloads = {
        kind: np.array([list(bytes.fromhex(value)[::-1]) for value in found[kind]], np.uint8) for kind in layouts
    }
    return Run(
        writes=np.zeros(0),
        results=unpack(payloads["results"], layouts["results"], classes),
        confidences=unpack(payloads["confidences"], layouts["confidences"], classes),
        counters=np.zeros((0, 0), np.uint32),
        cycles=int(found["cycles"][0]),
    )


def _call(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise SimulationError(f"{Path(command[0]).name} failed while building the simulator: {said[0]}")
