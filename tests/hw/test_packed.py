"""Two products a multiplier: every pair of weights with every activation, and arrays of such multipliers."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fpga.flows import ECP5 as ECP5_FLOW
from fpga.flows import Platform
from fpga.tools import find
from rasca_hw import packed
from rasca_hw.array import ProcessingElement
from rasca_hw.packed import PackedElement, PackedMultiplier, pack, unpack
from sim.ecp5 import netlist
from sim.icarus import ECP5, to_verilog
from sim.netlist import compile_netlist

DRIVER = Path(__file__).with_name("packed.cc")
TRIPLES = 255 * 255 * 256


class Products(wiring.Component):
    """w0 * a and w1 * a, from packing to unpacking."""

    def __init__(self) -> None:
        ports = {name: In(signed(8)) for name in ("w0", "w1", "a")}
        super().__init__({**ports, "p0": Out(signed(16)), "p1": Out(signed(16))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.multiplier = unit = PackedMultiplier()
        p0, p1 = unpack(unit.upper, unit.lower, unit.carry)
        m.d.comb += [
            unit.weights.eq(pack(m, self.w0, self.w1)),
            unit.activation.eq(self.a),
            self.p0.eq(p0),
            self.p1.eq(p1),
        ]
        return m


def checked(source: str, folder: Path) -> dict[str, list[int]]:
    """What the driver says of the unit in the Verilog."""
    command = [str(compile_netlist(source, folder, DRIVER)), str(packed.PRODUCT_LATENCY)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: [int(v) for v in values] for name, *values in map(str.split, said)}


@pytest.mark.parametrize("platform", [None, ECP5], ids=["logic", "MULT18X18D"])
def test_every_product(platform: Platform | None, tmp_path: Path) -> None:
    assert checked(to_verilog(Products(), platform), tmp_path) == {"checked": [TRIPLES], "wrong": [0]}


def test_every_product_of_the_netlist(tmp_path: Path) -> None:
    """After synthesis."""
    assert checked(netlist(Products()), tmp_path) == {"checked": [TRIPLES], "wrong": [0]}


FAULTS = {
    "no borrow from the upper weight": ("w0[7] })", "1'h0 })"),
    "a bit of the residue": ("residue_1 <= ", "residue_1 <= 5'h0f & "),
    "the residue added": ("} - product;", "} + product;"),
    "the sign of the carry": (" carry <= ", " carry <= 5'h0f & "),
    "the sign of the upper part": (" upper <= ", " upper <= 15'h3fff & "),
    "the middle of the lower part": (" lower <= ", " lower <= 10'h3ef & "),
}
"""A text of the Verilog, and what stands in its place."""


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found(name: str, tmp_path: Path) -> None:
    source, (old, new) = to_verilog(Products(), ECP5), FAULTS[name]
    assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in the Verilog"
    found = checked(source.replace(old, new), tmp_path)
    assert found["checked"] == [TRIPLES]
    assert found["wrong"][0] > 0 and len(found["first"]) == 3


SIZES: dict[str, tuple[Callable[[], wiring.Component], int, int]] = {
    "plain": (lambda: ProcessingElement(22), 22, 40),
    "packed": (lambda: PackedElement(22, taps=252), 92, 129),
}
"""LUTs, of which a carry's slot takes one for each bit, and flip-flops; docs/architecture.md has them too."""


@pytest.mark.parametrize("name", SIZES)
def test_size(name: str, tmp_path: Path) -> None:
    element, luts, flip_flops = SIZES[name]
    (tmp_path / "top.il").write_text(rtlil.convert(element(), name="top", platform=ECP5, emit_src=False))
    subprocess.run(
        [*find("yosys").command, "-q", "-p", ECP5_FLOW.script()], cwd=tmp_path, capture_output=True, check=True
    )
    cells = json.loads((tmp_path / "top.json").read_text())["modules"]["top"]["cells"].values()
    found = Counter(cell["type"] for cell in cells)
    assert found["MULT18X18D"] == 1
    assert found["LUT4"] + 2 * found["CCU2C"] <= luts
    assert found["TRELLIS_FF"] <= flip_flops
