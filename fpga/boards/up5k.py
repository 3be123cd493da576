"""What boards with an iCE40 UP5K share: clock from a 12 MHz oscillator, flash, UART, LEDs, and an HM01B0 on pins of
choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.build import Attrs, Clock, Pins, Resource, Subsignal
from amaranth.hdl import Cat, ClockDomain, ClockSignal, Elaboratable, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from fpga.boards import Board, CameraBoard
from fpga.boards.camera_pins import join
from fpga.camera_demo import CameraDemo
from fpga.demo import Demo
from fpga.flows import ICE40
from fpga.pll_ice40 import LIMITS, Ice40Pll

OSCILLATOR_MHZ = 12.0
CLOCK_MHZ = 24.0
LVCMOS = Attrs(IO_STANDARD="SB_LVCMOS")


Lights = Sequence[tuple[Any, *tuple[int, ...]]]
"""Ports of LEDs, each with the demo's LEDs of which any lights it."""


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """How a board differs.

    Parameters
    ----------
    pll_pin : the oscillator is on the PLL's own pin.
    flash_lines : data lines of its flash that are wired: 2 or 4.
    leds, camera_leds : what each port shows of :mod:`fpga.demo` and of :mod:`fpga.camera_demo`.
    camera : the sensor's pins by name: data (lowest first), pclk, href, vsync, scl, sda, xclk, trigger.
    """

    pll_pin: bool
    flash_lines: int
    leds: Callable[[Any], Lights]
    camera_leds: Callable[[Any], Lights]
    camera: dict[str, Pins]


def oscillator(pin: str) -> Resource:
    """The oscillator's pin. Without a frequency: nextpnr would go by it and not ask for the margin (fpga/flows.py)."""
    return Resource("oscillator", 0, Pins(pin, dir="i"), LVCMOS)


def camera_resource(pins: dict[str, Pins], pclk_mhz: float) -> Resource:
    """An HM01B0; 0 on `trigger` lets it run by itself."""
    more = {"scl": [Attrs(PULLUP=1)], "sda": [Attrs(PULLUP=1)], "pclk": [Clock(pclk_mhz * 1e6)]}
    return Resource("camera", 0, *(Subsignal(name, pins[name], *more.get(name, [])) for name in pins), LVCMOS)


class Top(Elaboratable):
    """A demo on a board's pins, with a clock from the PLL and a reset until that is stable."""

    def __init__(self, demo: Demo | CameraDemo, clock_mhz: float, wiring: Wiring) -> None:
        self.demo = demo
        self.clock_mhz = clock_mhz
        self.wiring = wiring

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        settings = LIMITS.dividers(OSCILLATOR_MHZ, self.clock_mhz)
        source = platform.request("oscillator", dir="-")
        m.submodules.pll = pll = Ice40Pll(settings, pad=source if self.wiring.pll_pin else None)
        if not self.wiring.pll_pin:
            m.submodules.oscillator = clock = io.Buffer("i", source)
            m.d.comb += pll.clock_in.eq(clock.i)
        m.domains += ClockDomain("sync")
        m.submodules.reset = ResetSynchronizer(~pll.locked, domain="sync")
        m.submodules.demo = self.demo
        uart = platform.request("uart", 0, dir="-")
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [ClockSignal().eq(pll.clock_out), tx.o.eq(self.demo.tx)]
        if isinstance(self.demo, CameraDemo):
            self._camera(m, platform, self.demo)
            lights = self.wiring.camera_leds(platform)
        else:
            m.submodules.rx = rx = io.Buffer("i", uart.rx)
            m.d.comb += self.demo.rx.eq(rx.i)
            lights = self.wiring.leds(platform)
        for number, (port, *places) in enumerate(lights):
            m.submodules[f"led{number}"] = led = io.Buffer("o", port)
            m.d.comb += led.o.eq(Cat(self.demo.leds[place] for place in places).any())
        if hasattr(self.demo, "flash"):
            self._flash(m, platform.request(f"spi_flash_{self.wiring.flash_lines}x", dir="-"))
        return m

    def _camera(self, m: Module, platform: Any, demo: CameraDemo) -> None:
        platform.add_resources([camera_resource(self.wiring.camera, demo.pclk_mhz)])
        camera = platform.request("camera", dir=dict.fromkeys(self.wiring.camera, "-"))
        join(m, demo, camera)
        # Half of `sync`, from a register at the pin.
        m.submodules.xclk = xclk = io.FFBuffer("o", camera.xclk)
        m.submodules.trigger = trigger = io.Buffer("o", camera.trigger)
        half = Signal()
        m.d.sync += half.eq(~half)
        m.d.comb += [xclk.o.eq(half), trigger.o.eq(0)]

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
        clock_mhz=CLOCK_MHZ,
        platform=platform,
        top=lambda demo, clock_mhz: Top(demo, clock_mhz, wiring),
        clock=lambda mhz: LIMITS.dividers(OSCILLATOR_MHZ, mhz).clock_mhz,
        flow=ICE40,
        nextpnr=("--up5k", "--package", "sg48"),
        program=("rasca", "program", "--board", name),
        baud=1_000_000,
        quad=wiring.flash_lines == 4,
        camera=CameraBoard(
            sensor="hm01b0-qvga-8bit-27fps",
            xclk_mhz=lambda clock_mhz: clock_mhz / 2,
            clock_mhz=CLOCK_MHZ,
            screen=False,
            top=lambda demo, clock_mhz: Top(demo, clock_mhz, wiring),
        ),
    )
