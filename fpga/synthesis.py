"""What a design takes, by synthesis and packing alone: the same tools as :mod:`fpga.build`, without place and route."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib.wiring import Component

from fpga.build import BuildError
from fpga.flows import ECP5, ICE40, Flow
from fpga.netlist_text import prepared
from fpga.tools import find
from rtl_gen.collector import resting


@dataclass(frozen=True)
class Platform:
    """As much of a platform as choosing a multiplier takes."""

    device: str


READ = "read_rtlil top.il"
"""How each flow's script begins."""
FAMILIES: dict[str, tuple[Flow, tuple[str, ...]]] = {
    "LFE5U": (ECP5, ("--85k", "--package", "CABGA756")),
    "iCE40UP": (ICE40, ("--up5k", "--package", "sg48")),
}
"""The flow of a device by the beginning of its name, and the largest device with the most pins, for nextpnr."""


def synthesise(component: Component, device: str) -> dict[str, int]:
    """Resources of the component as top module, by the names of its flow. Raises BuildError."""
    flow_of(device)
    with resting():
        text = prepared(rtlil.convert(component, name="top", platform=Platform(device), emit_src=False))
    return _cells(text, "top.il", "", device)


def synthesise_verilog(text: str, top: str, device: str) -> dict[str, int]:
    """Likewise of a module in Verilog."""
    return _cells(text, "top.v", f"read_verilog top.v; rename {top} top", device)


def flow_of(device: str) -> tuple[Flow, tuple[str, ...]]:
    """The flow of a device and nextpnr's options. Raises BuildError where there is none."""
    for name, found in FAMILIES.items():
        if device.startswith(name):
            return found
    raise BuildError(f"no flow for the device {device!r}; known are {', '.join(FAMILIES)}")


def _cells(text: str, name: str, read: str, device: str) -> dict[str, int]:
    flow, options = flow_of(device)
    script = f"{read}{flow.synthesis.removeprefix(READ)}" if read else flow.synthesis
    with tempfile.TemporaryDirectory(prefix="rasca-synthesis-") as place:
        folder = Path(place)
        (folder / name).write_text(text)
        _run([*find("yosys").command, "-q", "-p", script], folder)
        said = _run([*find(flow.nextpnr).command, *options, "--json", "top.json", "--pack-only"], folder)
    used = dict(re.findall(r"^Info:\s+(\w+):\s+(\d+)/\s*\d+", said, re.MULTILINE))
    return {name: int(used[cell]) for name, cell in flow.cells.items()}


def _run(command: list[str], folder: Path) -> str:
    """All that a tool says. Raises BuildError with its last line where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if done.returncode:
        raise BuildError(f"{Path(command[0]).name} failed: {(said.strip().splitlines() or ['it said nothing'])[-1]}")
    return said
