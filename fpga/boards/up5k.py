"""What boards with an iCE40 UP5K share: clock from a 12 MHz oscillator, flash, UART, LEDs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.build import Attrs, Pins, Resource
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Module
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import Component

from fpga.boards import Board
from fpga.flows import ICE40
from fpga.pll_ice40 import Ice40Pll, dividers

OSCILLATOR_MHZ = 12.0
LVCMOS = Attrs(IO_STANDARD="SB_LVCMOS")


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """How a board differs.

    Parameters
    ----------
    pll_pin : the oscillator is on the PLL's own pin.
    flash_lines : data lines of its flash that are wired: 2 or 4.
    leds : which of the demo's LEDs (:mod:`fpga.demo`) each port shows.
    """

    pll_pin: bool
    flash_lines: int
    leds: Callable[[Any], dict[int, Any]]


def oscillator(pin: str) -> Resource:
    """The oscillator's pin. Without a frequency: nextpnr would go by it and not ask for the margin (fpga/flows.py)."""
    return Resource("oscillator", 0, Pins(pin, dir="i"), LVCMOS)


class Top(Elaboratable):
    """A demo on a board's pins, with a clock from the PLL and a reset until that is stable."""

    def __init__(self, demo: Component, clock_mhz: float, wiring: Wiring) -> None:
        self.demo = demo
        self.clock_mhz = clock_mhz
        self.wiring = wiring

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        settings = dividers(OSCILLATOR_MHZ, self.clock_mhz)
        source = platform.request("oscillator", dir="-")
        m.submodules.pll = pll = Ice40Pll(settings, pad=source if self.wiring.pll_pin else None)
        if not self.wiring.pll_pin:
            m.submodules.oscillator = clock = io.Buffer("i", source)
            m.d.comb += pll.clock_in.eq(clock.i)
        m.domains += ClockDomain("sync")
        m.submodules.reset = ResetSynchronizer(~pll.locked, domain="sync")
        m.submodules.demo = self.demo
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [ClockSignal().eq(pll.clock_out), self.demo.rx.eq(rx.i), tx.o.eq(self.demo.tx)]
        for place, port in self.wiring.leds(platform).items():
            m.submodules[f"led{place}"] = led = io.Buffer("o", port)
            m.d.comb += led.o.eq(self.demo.leds[place])
        if hasattr(self.demo, "flash"):
            self._flash(m, platform.request(f"spi_flash_{self.wiring.flash_lines}x", dir="-"))
        return m

    def _flash(self, m: Module, port: Any) -> None:
        flash = self.demo.flash
        m.submodules.cs = cs = io.Buffer("o", port.cs)
        m.submodules.clk = clk = io.Buffer("o", port.clk)
        m.d.comb += [cs.o.eq(~flash.cs_n), clk.o.eq(flash.clk)]
        for line in range(4):
            if line >= self.wiring.flash_lines:
                m.d.comb += flash.dq_in[line].eq(1)
                continue
            m.submodules[f"dq{line}"] = dq = io.Buffer("io", port.dq[line])
            m.d.comb += [dq.o.eq(flash.dq_out[line]), dq.oe.eq(flash.dq_enable[line]), flash.dq_in[line].eq(dq.i)]


def up5k(*, name: str, title: str, platform: Callable[[], Any], wiring: Wiring) -> Board:
    """The board."""
    return Board(
        name=name,
        title=title,
        target="up5k",
        clock_mhz=24.0,
        platform=platform,
        top=lambda demo, clock_mhz: Top(demo, clock_mhz, wiring),
        clock=lambda mhz: dividers(OSCILLATOR_MHZ, mhz).clock_mhz,
        flow=ICE40,
        nextpnr=("--up5k", "--package", "sg48"),
        program=("rasca", "program", "--board", name),
        baud=1_000_000,
        quad=wiring.flash_lines == 4,
    )
