"""Radiona ULX3S with an LFE5U-85F: 25 MHz oscillator, USB UART (FT231X), eight LEDs."""

from __future__ import annotations

from typing import Any

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from fpga.boards.ecp5 import Lights, Wiring, ecp5
from fpga.boards.ulx3s_camera import CAMERA, OSCILLATOR, OSCILLATOR_MHZ

LEDS = 8


def leds(platform: Any) -> Lights:
    """The demo's from person to blink."""
    return [(platform.request("led", n, dir="-"), n) for n in range(LEDS)]


WIRING = Wiring(oscillator=OSCILLATOR, oscillator_mhz=OSCILLATOR_MHZ, leds=leds)
PROGRAM = ("openFPGALoader", "--board", "ulx3s")

BOARD = ecp5(
    name="ulx3s-85f",
    title="ULX3S with LFE5U-85F, speed grade 6",
    target="ecp5-85f",
    clock_mhz=100.0,
    platform=ULX3S_85F_Platform,
    wiring=WIRING,
    nextpnr=("--85k", "--package", "CABGA381", "--speed", "6"),
    program=PROGRAM,
    camera=CAMERA,
)
