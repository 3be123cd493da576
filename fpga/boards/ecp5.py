"""What boards with an ECP5 share: the UART demo with a clock from the PLL, and its LEDs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Component

from fpga.boards import Board, CameraBoard
from fpga.flows import ECP5
from fpga.pll import LIMITS, Ecp5Pll
from fpga.protocol import BAUD

Lights = Sequence[tuple[Any, int]]
"""Ports of LEDs, each with the demo's LED that it shows."""


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """How a board differs.

    Parameters
    ----------
    oscillator, oscillator_mhz : the platform's resource.
    leds : what each port shows of :mod:`fpga.demo`.
    """

    oscillator: str
    oscillator_mhz: float
    leds: Callable[[Any], Lights]


class Top(Elaboratable):
    """A demo on the board's pins, with a clock from the PLL that starts when it is stable.

    This takes the place of a reset, which would be a net to thousands of flip-flops across the chip.
    """

    def __init__(self, demo: Component, clock_mhz: float, wiring: Wiring) -> None:
        self.demo = demo
        self.clock_mhz = clock_mhz
        self.wiring = wiring

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        mhz = self.wiring.oscillator_mhz
        m.submodules.pll = pll = Ecp5Pll(input_mhz=mhz, settings=LIMITS.dividers(mhz, self.clock_mhz))
        # The gate opens while its clock is low: at the falling edge.
        m.domains += [ClockDomain("pll", clk_edge="neg", reset_less=True), ClockDomain("sync", reset_less=True)]
        stable = Signal()
        m.submodules.stable = FFSynchronizer(pll.locked, stable, o_domain="pll")
        m.submodules.gate = Instance("DCCA", i_CLKI=ClockSignal("pll"), i_CE=stable, o_CLKO=ClockSignal())
        m.submodules.demo = self.demo
        uart = platform.request("uart", 0, dir="-")
        m.submodules.oscillator = oscillator = io.Buffer("i", platform.request(self.wiring.oscillator, dir="-"))
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [
            pll.clock_in.eq(oscillator.i),
            ClockSignal("pll").eq(pll.clock_out),
            self.demo.rx.eq(rx.i),
            tx.o.eq(self.demo.tx),
        ]
        for n, (port, place) in enumerate(self.wiring.leds(platform)):
            m.submodules[f"led{n}"] = led = io.Buffer("o", port)
            m.d.comb += led.o.eq(self.demo.leds[place])
        return m


def ecp5(
    *,
    name: str,
    title: str,
    target: str,
    clock_mhz: float,
    platform: Callable[[], Any],
    wiring: Wiring,
    nextpnr: tuple[str, ...],
    program: tuple[str, ...],
    baud: int = BAUD,
    camera: CameraBoard | None = None,
) -> Board:
    """The board."""
    return Board(
        name=name,
        title=title,
        target=target,
        clock_mhz=clock_mhz,
        platform=platform,
        top=lambda demo, clock: Top(demo, clock, wiring),
        clock=lambda mhz: LIMITS.dividers(wiring.oscillator_mhz, mhz).clock_mhz,
        flow=ECP5,
        nextpnr=nextpnr,
        program=program,
        baud=baud,
        camera=camera,
    )
