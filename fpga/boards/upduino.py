"""tinyVision UPduino 3: 12 MHz oscillator by a jumper, UART on header pins, flash with two lines, an RGB LED.

Its USB chip's UART shares the flash's pins, so that of another adapter is used. The jumper OSC joins the oscillator to
pin 20, which is also the flash's DQ3.
"""

from __future__ import annotations

from typing import Any

from amaranth.build import Pins
from amaranth_boards.resources import UARTResource
from amaranth_boards.upduino_v3 import UpduinoV3Platform

from fpga import demo
from fpga.boards.up5k import LVCMOS, Lights, Wiring, oscillator, up5k
from fpga.camera_demo import BROKEN, NO_PERSON, PERSON, SILENT


class Platform(UpduinoV3Platform):
    """With a UART on pins 23 (from the host) and 25 (to it)."""

    default_clk = None
    resources = [
        *(resource for resource in UpduinoV3Platform.resources if resource.name != "clk12"),
        UARTResource(0, rx="23", tx="25", attrs=LVCMOS),
        oscillator("20"),
    ]


CAMERA = {
    "data": Pins("9 10 11 13 14 15 16 17", dir="i", conn=("j", 0)),
    "href": Pins("18", dir="i", conn=("j", 0)),
    "vsync": Pins("19", dir="i", conn=("j", 0)),
    "pclk": Pins("20", dir="i", conn=("j", 0)),
    "xclk": Pins("20", dir="o", conn=("j", 1)),
    "scl": Pins("19", dir="io", conn=("j", 1)),
    "sda": Pins("18", dir="io", conn=("j", 1)),
    "trigger": Pins("17", dir="o", conn=("j", 1)),
}
"""On the last pins of both rows, but for pin 35, which cannot be an input beside the PLL."""


def leds(platform: Any) -> Lights:
    """Red: no weights; green: a person; blue: none."""
    rgb = platform.request("rgb_led", 0, dir="-")
    return [(rgb.r, demo.BROKEN), (rgb.g, demo.PERSON), (rgb.b, demo.NO_PERSON)]


def camera_leds(platform: Any) -> Lights:
    """Red: no weights, or the sensor does not answer; green: a person; blue: none."""
    rgb = platform.request("rgb_led", 0, dir="-")
    return [(rgb.r, BROKEN, SILENT), (rgb.g, PERSON), (rgb.b, NO_PERSON)]


BOARD = up5k(
    name="upduino",
    title="UPduino 3 with iCE40UP5K",
    platform=Platform,
    wiring=Wiring(pll_pin=False, flash_lines=2, leds=leds, camera_leds=camera_leds, camera=CAMERA),
)
