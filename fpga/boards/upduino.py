"""tinyVision UPduino 3: 12 MHz oscillator by a jumper, UART on header pins, flash with two lines, an RGB LED.

Its USB chip's UART shares the flash's pins, so that of another adapter is used. The jumper OSC joins the oscillator to
pin 20, which is also the flash's DQ3.
"""

from __future__ import annotations

from typing import Any

from amaranth_boards.resources import UARTResource
from amaranth_boards.upduino_v3 import UpduinoV3Platform

from fpga.boards.up5k import LVCMOS, Wiring, oscillator, up5k
from fpga.demo import BROKEN, NO_PERSON, PERSON


class Platform(UpduinoV3Platform):
    """With a UART on pins 23 (from the host) and 25 (to it)."""

    default_clk = None
    resources = [
        *(resource for resource in UpduinoV3Platform.resources if resource.name != "clk12"),
        UARTResource(0, rx="23", tx="25", attrs=LVCMOS),
        oscillator("20"),
    ]


def leds(platform: Any) -> dict[int, Any]:
    """Red: no weights; green: a person; blue: none."""
    rgb = platform.request("rgb_led", 0, dir="-")
    return {BROKEN: rgb.r, PERSON: rgb.g, NO_PERSON: rgb.b}


BOARD = up5k(
    name="upduino",
    title="UPduino 3 with iCE40UP5K",
    platform=Platform,
    wiring=Wiring(pll_pin=False, flash_lines=2, leds=leds),
)
