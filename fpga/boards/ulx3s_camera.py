"""An OV7670 on header J2 of a ULX3S, and its GPDI socket; pins in docs/demo.md."""

from __future__ import annotations

from typing import Any

from amaranth.build import Attrs, Clock, Pins, PinsN, Resource, Subsignal
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Module
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from fpga.boards import CameraBoard
from fpga.boards.camera_pins import join
from fpga.camera_demo import CameraDemo
from fpga.pll import LIMITS, Ecp5Pll
from fpga.tmds import CHANNELS, CYCLES, SHIFT
from fpga.video import DOMAIN

OSCILLATOR, OSCILLATOR_MHZ = "clk25", 25.0
SHIFT_MHZ = 125.0
XCLK_MHZ = SHIFT_MHZ / CYCLES
LEDS = 8
_UP = Attrs(PULLMODE="UP")


def camera_pins(pclk_mhz: float) -> Resource:
    """The sensor on J2, as the common 18-pin module sits on it."""
    pins = ("gpio", 0)
    return Resource(
        "camera",
        0,
        Subsignal("sda", Pins("14+", dir="io", conn=pins), _UP),
        Subsignal("scl", Pins("14-", dir="io", conn=pins), _UP),
        Subsignal("href", Pins("15+", dir="i", conn=pins)),
        Subsignal("vsync", Pins("15-", dir="i", conn=pins)),
        Subsignal("pclk", Pins("16+", dir="i", conn=pins), Clock(pclk_mhz * 1e6)),
        Subsignal("xclk", Pins("16-", dir="o", conn=pins)),
        Subsignal("power_down", Pins("17+", dir="o", conn=pins)),
        Subsignal("reset", PinsN("17-", dir="o", conn=pins)),
        Subsignal("data", Pins("24+ 24- 23+ 23- 22+ 22- 21+ 21-", dir="i", conn=pins)),
        Attrs(IO_TYPE="LVCMOS33"),
    )


class CameraTop(Elaboratable):
    """The demo on the board's pins: one PLL for `sync`, another one for the screen and the sensor's clock."""

    def __init__(self, demo: CameraDemo, clock_mhz: float) -> None:
        self.demo = demo
        self.clock_mhz = clock_mhz

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        demo = self.demo
        platform.add_resources([camera_pins(demo.pclk_mhz)])
        m.submodules.oscillator = oscillator = io.Buffer("i", platform.request(OSCILLATOR, dir="-"))
        video = LIMITS.dividers(OSCILLATOR_MHZ, SHIFT_MHZ)
        main = LIMITS.dividers(OSCILLATOR_MHZ, self.clock_mhz)
        m.submodules.pll = pll = Ecp5Pll(input_mhz=OSCILLATOR_MHZ, settings=main)
        m.submodules.video_pll = video_pll = Ecp5Pll(input_mhz=OSCILLATOR_MHZ, settings=video, slower=CYCLES)
        clocks = {
            "sync": (pll.clock_out, pll.locked),
            SHIFT: (video_pll.clock_out, video_pll.locked),
            DOMAIN: (video_pll.slow_out, video_pll.locked),
        }
        m.d.comb += [pll.clock_in.eq(oscillator.i), video_pll.clock_in.eq(oscillator.i)]
        m.submodules.demo = demo
        for name, (clock, locked) in clocks.items():
            m.domains += ClockDomain(name)
            m.submodules[f"{name}_reset"] = ResetSynchronizer(~locked, domain=name)
            m.d.comb += ClockSignal(name).eq(clock)

        # `request` hands a resource's subsignals over as ports where each has the direction "-".
        camera = platform.request(
            "camera",
            dir=dict.fromkeys(("sda", "scl", "href", "vsync", "pclk", "xclk", "power_down", "reset", "data"), "-"),
        )
        join(m, demo, camera)
        # XCLK leaves through a register at its pin: high and low for half a cycle each.
        m.submodules.xclk = xclk = io.DDRBuffer("o", camera.xclk, o_domain=DOMAIN)
        m.d.comb += [xclk.o[0].eq(1), xclk.o[1].eq(0)]
        for name in ("power_down", "reset"):
            m.submodules[name] = pin = io.Buffer("o", getattr(camera, name))
            m.d.comb += pin.o.eq(0)

        uart = platform.request("uart", 0, dir="-")
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += tx.o.eq(demo.tx)
        for n in range(LEDS):
            m.submodules[f"led{n}"] = led = io.Buffer("o", platform.request("led", n, dir="-"))
            m.d.comb += led.o.eq(demo.leds[n])
        screen = platform.request("hdmi", 0, dir={"clk": "-", "d": "-", "cec": "-", "eth": "-", "scl": "-", "sda": "-"})
        m.submodules.clk = clk = io.DDRBuffer("o", screen.clk, o_domain=SHIFT)
        m.submodules.d = d = io.DDRBuffer("o", screen.d, o_domain=SHIFT)
        for half in range(2):
            m.d.comb += clk.o[half].eq(demo.tmds[CHANNELS][half])
            m.d.comb += [d.o[half][i].eq(demo.tmds[i][half]) for i in range(CHANNELS)]
        return m


CAMERA = CameraBoard(
    sensor="ov7670-qvga", xclk_mhz=lambda clock_mhz: XCLK_MHZ, clock_mhz=60.0, screen=True, top=CameraTop
)
