"""A front end for a small sensor, and what the row interface makes of its pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rasca_hw.camera.crop import Crop, Hold
from rasca_hw.camera.front_end import FrontEnd
from rasca_hw.interfaces import Errors
from rtl_gen.camera import dvp
from rtl_gen.sensor import Sensor
from sim.camera import Window
from sim.frames import FIRST, LAST
from sim.small_camera import photo, small

__all__ = ["crop_for", "front_end", "given_frames", "photo", "pixel_words", "small"]


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
    crop = crop_for(window, sensor.width, sensor.height, rows, hold)
    return FrontEnd(dvp(sensor, depth), crop, falling=sensor.falling)


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
