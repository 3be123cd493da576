"""What every board with a camera does with the sensor's pins."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import io

from fpga.camera_demo import CameraDemo


def join(m: Module, demo: CameraDemo, camera: Any) -> None:
    """Buffers between the demo and the sensor's ports; scl and sda are only ever pulled low."""
    for name in ("pclk", "vsync", "href", "data"):
        m.submodules[name] = pin = io.Buffer("i", getattr(camera, name))
        m.d.comb += getattr(demo, name).eq(pin.i)
    for name in ("scl", "sda"):
        m.submodules[name] = pin = io.Buffer("io", getattr(camera, name))
        m.d.comb += [getattr(demo, name).eq(pin.i), pin.o.eq(0), pin.oe.eq(getattr(demo, f"{name}_low"))]
