"""1BitSquared iCEBreaker: 12 MHz oscillator, USB UART (FT2232H), flash with four lines, LEDs on the break-off part."""

from __future__ import annotations

from typing import Any

from amaranth.build import Pins
from amaranth_boards.icebreaker import ICEBreakerPlatform

from fpga import demo
from fpga.boards.up5k import Lights, Wiring, oscillator, up5k
from fpga.camera_demo import ANSWERS, BROKEN, CONFIGURED, LOADED, NO_PERSON, PERSON, SILENT


class Platform(ICEBreakerPlatform):
    """With the LEDs of the break-off part on PMOD2."""

    default_clk = None
    resources = [
        *(resource for resource in ICEBreakerPlatform.resources if resource.name != "clk12"),
        *(resource for resource in ICEBreakerPlatform.break_off_pmod if resource.name == "led"),
        oscillator("35"),
    ]


CAMERA = {
    "data": Pins("1 2 3 4 7 8 9 10", dir="i", conn=("pmod", 0)),
    "pclk": Pins("1", dir="i", conn=("pmod", 1)),
    "href": Pins("2", dir="i", conn=("pmod", 1)),
    "vsync": Pins("3", dir="i", conn=("pmod", 1)),
    "xclk": Pins("4", dir="o", conn=("pmod", 1)),
    "scl": Pins("7", dir="io", conn=("pmod", 1)),
    "sda": Pins("8", dir="io", conn=("pmod", 1)),
    "trigger": Pins("9", dir="o", conn=("pmod", 1)),
}
"""On PMOD1A and PMOD1B."""


def _lights(platform: Any, *places: int) -> Lights:
    """LEDs 0 and 1 on the board, the others on the break-off part, of which 2 is red."""
    return [(platform.request("led", number, dir="-"), place) for number, place in enumerate(places)]


def leds(platform: Any) -> Lights:
    """On the board: the weights; on the break-off part: the photo."""
    return _lights(platform, demo.BROKEN, demo.LOADED, demo.COMING, demo.PERSON, demo.NO_PERSON)


def camera_leds(platform: Any) -> Lights:
    """On the board: the weights; on the break-off part: no sensor, the frame, the sensor's registers."""
    shown = (BROKEN, LOADED, SILENT, PERSON, NO_PERSON, ANSWERS, CONFIGURED)
    return _lights(platform, *shown)


BOARD = up5k(
    name="icebreaker",
    title="iCEBreaker with iCE40UP5K",
    platform=Platform,
    wiring=Wiring(pll_pin=True, flash_lines=4, leds=leds, camera_leds=camera_leds, camera=CAMERA),
)
