"""Synthesised ECP5 netlists, Yosys' own models of their cells, and ours of the multiplier, of which it has none."""

from __future__ import annotations

import re

from amaranth.lib import wiring

from fpga.flows import ECP5 as FLOW
from sim.icarus import ECP5, MULT18X18D, TOP
from sim.ice40 import synthesised, yosys_models

SCRIPT = f"{FLOW.script()}; rename top {TOP}; write_verilog -noattr {TOP}.v"
"""The flow's own."""
CELLS = "LUT4|LUT2|CCU2C|TRELLIS_FF|PFUMX|L6MUX21"
FILES = ("lattice/common_sim.vh", "lattice/ccu2c_sim.vh")
DELAYS = re.compile(r"^\s*specify\b.*?^\s*endspecify$", re.MULTILINE | re.DOTALL)


def netlist(component: wiring.Component) -> str:
    """What :data:`fpga.flows.ECP5` makes of a component of logic and multipliers, as Verilog with the models of its
    cells; top module `rasca`. Raises SimulationError.
    """
    text = synthesised(component, ECP5, SCRIPT)
    return text + DELAYS.sub("", yosys_models(FILES, CELLS)) + MULT18X18D.read_text()
