"""OrangeCrab r0.2 with an LFE5U-25F: 48 MHz oscillator, one RGB LED; UART on the header's pins 0 and 1."""

from __future__ import annotations

from typing import Any

from amaranth.build import Attrs, Pins, Resource, Subsignal
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform

from fpga import demo
from fpga.boards.ecp5 import Lights, Wiring, ecp5

UART = Resource(
    "uart",
    0,
    Subsignal("rx", Pins("0", dir="i", conn=("io", 0)), Attrs(PULLMODE="UP")),
    Subsignal("tx", Pins("1", dir="o", conn=("io", 0))),
    Attrs(IO_TYPE="LVCMOS33"),
)


class Platform(OrangeCrabR0_2_25FPlatform):
    """With a USB-UART adapter on the header."""

    resources = [*OrangeCrabR0_2_25FPlatform.resources, UART]


def leds(platform: Any) -> Lights:
    """Red: a photo is coming in; green: a person; blue: none."""
    light = platform.request("rgb_led", 0, dir=dict.fromkeys("rgb", "-"))
    return [(light.r, demo.COMING), (light.g, demo.PERSON), (light.b, demo.NO_PERSON)]


BOARD = ecp5(
    name="orangecrab-25f",
    title="OrangeCrab r0.2 with LFE5U-25F, speed grade 8",
    target="ecp5-25f",
    clock_mhz=80.0,
    platform=Platform,
    wiring=Wiring(oscillator="clk", oscillator_mhz=48.0, leds=leds),
    nextpnr=("--25k", "--package", "CSFBGA285", "--speed", "8"),
    program=("dfu-util", "-d", "1209:5af0", "-a", "0", "-D"),
    baud=1_000_000,
)
