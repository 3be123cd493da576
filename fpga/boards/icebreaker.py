"""1BitSquared iCEBreaker: 12 MHz oscillator, USB UART (FT2232H), flash with four lines, LEDs on the break-off part."""

from __future__ import annotations

from typing import Any

from amaranth_boards.icebreaker import ICEBreakerPlatform

from fpga.boards.up5k import Wiring, oscillator, up5k
from fpga.demo import BROKEN, COMING, LOADED, NO_PERSON, PERSON


class Platform(ICEBreakerPlatform):
    """With the LEDs of the break-off part on PMOD2."""

    default_clk = None
    resources = [
        *(resource for resource in ICEBreakerPlatform.resources if resource.name != "clk12"),
        *(resource for resource in ICEBreakerPlatform.break_off_pmod if resource.name == "led"),
        oscillator("35"),
    ]


def leds(platform: Any) -> dict[int, Any]:
    """On the board: the weights; on the break-off part: the photo."""
    numbers = {BROKEN: 0, LOADED: 1, COMING: 2, PERSON: 3, NO_PERSON: 4}
    return {place: platform.request("led", number, dir="-") for place, number in numbers.items()}


BOARD = up5k(
    name="icebreaker",
    title="iCEBreaker with iCE40UP5K",
    platform=Platform,
    wiring=Wiring(pll_pin=True, flash_lines=4, leds=leds),
)
