"""What a design takes, by synthesis and packing alone: the same tools as :mod:`fpga.build`, without place and route."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib.wiring import Component

from fpga.build import BuildError
from fpga.flows import FLOWS, Flow, Platform
from fpga.netlist_text import prepared
from fpga.tools import find
from rtl_gen.collector import resting


def synthesise(component: Component, device: str) -> dict[str, int]:
    """Resources of the component as top module, by the names of its flow. Raises BuildError."""
    flow = flow_of(device)
    with resting():
        text = prepared(rtlil.convert(component, name="top", platform=Platform(device), emit_src=False))
    return _cells(flow, flow.script(), text, "top.il")


def synthesise_verilog(text: str, top: str, device: str) -> dict[str, int]:
    """Likewise of a module in Verilog."""
    flow = flow_of(device)
    return _cells(flow, flow.script(f"read_verilog top.v; rename {top} top"), text, "top.v")


def flow_of(device: str) -> Flow:
    """The flow of a device. Raises BuildError where there is none."""
    for flow in FLOWS:
        if device.startswith(flow.family):
            return flow
    raise BuildError(f"no flow for the device {device!r}; use one of {', '.join(flow.family for flow in FLOWS)}")


def _cells(flow: Flow, script: str, text: str, name: str) -> dict[str, int]:
    """Resources of the text in a file of that name, which the script reads."""
    with tempfile.TemporaryDirectory(prefix="rasca-synthesis-") as place:
        folder = Path(place)
        (folder / name).write_text(text)
        _run([*find("yosys").command, "-q", "-p", script], folder)
        packer = find(flow.nextpnr)
        said = _run([*packer.command, *flow.largest, "--json", "top.json", "--pack-only"], folder)
    used = dict(re.findall(r"^Info:\s+(\w+):\s+(\d+)/\s*\d+", said, re.MULTILINE))
    if missing := [cell for cell in flow.cells.values() if cell not in used]:
        raise BuildError(
            f"{flow.nextpnr} {packer.version} does not say how many {missing[0]} it packed; "
            f"install another with: {packer.tool.install}"
        )
    return {name: int(used[cell]) for name, cell in flow.cells.items()}


def _run(command: list[str], folder: Path) -> str:
    """All that a tool says. Raises BuildError with its last line where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if done.returncode:
        raise BuildError(f"{Path(command[0]).name} failed: {(said.strip().splitlines() or ['it said nothing'])[-1]}")
    return said
