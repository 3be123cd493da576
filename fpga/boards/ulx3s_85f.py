"""Radiona ULX3S with an LFE5U-85F: 25 MHz oscillator, USB UART (FT231X), eight LEDs."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Component
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from fpga.boards import Board
from fpga.boards.ulx3s_camera import CAMERA
from fpga.flows import ECP5
from fpga.pll import LIMITS, Ecp5Pll

OSCILLATOR_MHZ = 25.0
LEDS = 8


class Top(Elaboratable):
    """A demo on the board's pins, with a clock from the PLL that starts when it is stable.

    This takes the place of a reset, which would be a net to thousands of flip-flops across the chip.
    """

    def __init__(self, demo: Component, clock_mhz: float) -> None:
        self.demo = demo
        self.clock_mhz = clock_mhz

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        settings = LIMITS.dividers(OSCILLATOR_MHZ, self.clock_mhz)
        m.submodules.pll = pll = Ecp5Pll(input_mhz=OSCILLATOR_MHZ, settings=settings)
        m.domains += [ClockDomain("pll", reset_less=True), ClockDomain("sync", reset_less=True)]
        stable = Signal()
        m.submodules.stable = FFSynchronizer(pll.locked, stable, o_domain="pll")
        m.submodules.gate = Instance("DCCA", i_CLKI=ClockSignal("pll"), i_CE=stable, o_CLKO=ClockSignal())
        m.submodules.demo = self.demo
        uart = platform.request("uart", 0, dir="-")
        m.submodules.oscillator = oscillator = io.Buffer("i", platform.request("clk25", dir="-"))
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [
            pll.clock_in.eq(oscillator.i),
            ClockSignal("pll").eq(pll.clock_out),
            self.demo.rx.eq(rx.i),
            tx.o.eq(self.demo.tx),
        ]
        for n in range(LEDS):  # person to blink
            m.submodules[f"led{n}"] = led = io.Buffer("o", platform.request("led", n, dir="-"))
            m.d.comb += led.o.eq(self.demo.leds[n])
        return m


BOARD = Board(
    name="ulx3s-85f",
    title="ULX3S with LFE5U-85F, speed grade 6",
    target="ecp5-85f",
    clock_mhz=80.0,
    platform=ULX3S_85F_Platform,
    top=Top,
    clock=lambda mhz: LIMITS.dividers(OSCILLATOR_MHZ, mhz).clock_mhz,
    flow=ECP5,
    nextpnr=("--85k", "--package", "CABGA381", "--speed", "6"),
    program=("openFPGALoader", "--board", "ulx3s"),
    camera=CAMERA,
)
