"""A small sensor of each kind, and a front end for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rasca_hw.camera.crop import Crop, Hold
from rasca_hw.camera.dvp import Dvp
from rasca_hw.camera.front_end import FrontEnd
from rtl_gen.sensor import Sensor, load_sensor
from sim.camera import Image, Window


def small(name: str, width: int, height: int, gap: int = 10) -> Sensor:
    """The sensor with another size, and short blanking: `gap` clocks behind each line, two lines between frames."""
    sensor = load_sensor(name)
    line = width * sensor.format.value.clocks + gap
    return replace(
        sensor,
        width=width,
        height=height,
        line_clocks=line,
        blank_clocks=line,
        before_clocks=line,
        after_clocks=max(1, line // 4),
        registers=(),
    )


def front_end(sensor: Sensor, window: Window, rows: int, *, hold: Hold = Hold.FRAME, depth: int = 64) -> FrontEnd:
    dvp = Dvp(
        format=sensor.format,
        high_first=sensor.high_first,
        vsync_blank=sensor.vsync_blank,
        href_active=sensor.href_active,
        depth=depth,
    )
    crop = Crop(
        sensor_width=sensor.width,
        sensor_height=sensor.height,
        left=window.left,
        top=window.top,
        factor=window.factor,
        width=window.width,
        height=window.height,
        rows=rows,
        hold=hold,
    )
    return FrontEnd(dvp, crop, falling=sensor.falling)


def photo(sensor: Sensor, seed: int) -> Image:
    """All byte values."""
    return np.random.default_rng(seed).integers(0, 256, (sensor.height, sensor.width, 3), dtype=np.uint8)
