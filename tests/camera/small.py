"""A small sensor of each kind, and a front end for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rasca_hw.camera.crop import Crop, Hold
from rasca_hw.camera.dvp import Dvp
from rasca_hw.camera.front_end import FrontEnd
from rasca_hw.interfaces import Errors
from rtl_gen.sensor import Sensor, load_sensor
from sim.camera import Image, Window
from sim.frames import FIRST, LAST


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


def crop_for(window: Window, width: int, height: int, rows: int, hold: Hold) -> Crop:
    """The crop of a window from frames of that size."""
    return Crop(
        sensor_width=width,
        sensor_height=height,
        left=window.left,
        top=window.top,
        factor=window.factor,
        width=window.width,
        height=window.height,
        rows=rows,
        hold=hold,
    )


def front_end(sensor: Sensor, window: Window, rows: int, *, hold: Hold = Hold.FRAME, depth: int = 64) -> FrontEnd:
    dvp = Dvp(
        format=sensor.format,
        high_first=sensor.high_first,
        vsync_blank=sensor.vsync_blank,
        href_active=sensor.href_active,
        depth=depth,
    )
    crop = crop_for(window, sensor.width, sensor.height, rows, hold)
    return FrontEnd(dvp, crop, falling=sensor.falling)


def photo(sensor: Sensor, seed: int) -> Image:
    """Patches of colour with noise: neighbouring frames, lines and columns differ."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 256, (-(-sensor.height // 6), -(-sensor.width // 6), 3))
    smooth = patches.repeat(6, 0).repeat(6, 1)[: sensor.height, : sensor.width]
    return np.clip(smooth * rng.uniform(0.2, 1.2) + rng.normal(0, 20, smooth.shape), 0, 255).astype(np.uint8)


def given_frames(pixels: NDArray[Any], window: Window, rows_a_group: int) -> list[tuple[int, NDArray[Any]]]:
    """The stream as the row interface takes it: for each frame its flags and its pixels.

    A frame ends when it has its rows, or with the next start of frame; what comes between is left out.
    """
    found: list[tuple[int, NDArray[Any]]] = []
    taken: list[int] = []
    rows = flags = length = 0
    open_ = False

    def close(**more: int) -> None:
        nonlocal open_
        found.append((flags | Errors.const(more).as_bits(), np.array(taken, np.uint32)))
        open_ = False

    for word in pixels.tolist():
        if word & FIRST:
            if open_:
                close(truncated=1)
            taken, rows, flags, length, open_ = [], 0, 0, 0, True
        if not open_:
            continue
        taken.append(word)
        length += 1
        if word & LAST:
            flags |= Errors.const({"short_line": length < window.width, "long_line": length > window.width}).as_bits()
            length, rows = 0, rows + 1
            if rows == window.height:
                close()
    assert not open_ or (rows % rows_a_group == 0 and not length), "a group of rows is left open"
    if open_:
        close(truncated=1)
    return found


def pixel_words(payloads: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """A bench's payloads, bytes with the lowest first, as :func:`sim.frames.pixel_stream` has them."""
    return payloads.astype(np.uint32) @ (1 << 8 * np.arange(payloads.shape[1], dtype=np.uint32))
