"""Small sensors and their pictures, for simulations of many frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rtl_gen.sensor import Sensor, load_sensor
from sim.camera import Image


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


def to_scale(name: str, width: int, height: int, gap: int = 10) -> Sensor:
    """Likewise, but between frames as many of its lines as the data sheet's timing has."""
    sensor, made = load_sensor(name), small(name, width, height, gap)

    def clocks(whole: int) -> int:
        return round(whole * made.line_clocks / sensor.line_clocks)

    return replace(
        made,
        blank_clocks=clocks(sensor.blank_clocks),
        before_clocks=clocks(sensor.before_clocks),
        after_clocks=clocks(sensor.after_clocks),
    )


def photo(sensor: Sensor, seed: int) -> Image:
    """Patches of colour with noise: neighbouring frames, lines and columns differ."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 256, (-(-sensor.height // 6), -(-sensor.width // 6), 3))
    smooth = patches.repeat(6, 0).repeat(6, 1)[: sensor.height, : sensor.width]
    return np.clip(smooth * rng.uniform(0.2, 1.2) + rng.normal(0, 20, smooth.shape), 0, 255).astype(np.uint8)
