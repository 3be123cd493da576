"""No value is used that was read while its word was written: the RTL with X there, random networks and crops."""

from __future__ import annotations

import pytest
from amaranth.back import rtlil
from amaranth.back.verilog import _convert_rtlil_text
from amaranth.lib import wiring

from fpga.flows import Platform
from fpga.netlist_text import free_collisions
from rasca_hw.camera.crop import Hold
from sim import icarus
from sim.fuzz import random_case
from sim.icarus import TOP
from sim.random_case import run_case
from tests.camera import test_crop


def to_verilog(component: wiring.Component, platform: Platform | None = None) -> str:
    """As :func:`sim.icarus.to_verilog`, with X where a read meets a write."""
    text = free_collisions(rtlil.convert(component, name=TOP, platform=platform, emit_src=False))
    assert "COLLISION_X_MASK 1'1" in text
    verilog: str = _convert_rtlil_text(text, strip_internal_attrs=True)
    assert "'hx" in verilog
    return verilog


@pytest.fixture(autouse=True)
def builtin_yosys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Amaranth's own Yosys."""
    monkeypatch.setenv("AMARANTH_USE_YOSYS", "builtin")


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 7, 35, 45])
def test_collisions(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(icarus, "to_verilog", to_verilog)
    outcome = run_case(random_case(0, number), "icarus")
    assert outcome.fault is None
    assert outcome.compared > 0
    assert outcome.mismatches == 0


@pytest.mark.parametrize("name", ["half", "quarter"])
def test_the_crops_sums(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels in a row, so that each sum is read in the cycle in which it is written."""

    def source(name: str, hold: Hold) -> str:
        return to_verilog(test_crop.unit(name, hold))

    monkeypatch.setattr(test_crop, "source", source)
    test_crop.test_frames(name, Hold.FRAME, "none", "none")
