"""The parallel port on Icarus: all formats and polarities, drifting clocks, a pclk that stops, a FIFO that is full."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rasca_hw.camera.dvp import Dvp
from rasca_hw.camera.pixels import Format
from rtl_gen.sensor import Sensor
from sim.camera import Window, frame_end, frame_pins, from_rgb565, jitter, seen, to_rgb565
from sim.frames import FIRST, LAST, pixel_stream
from sim.icarus import run_bench, to_verilog
from tests.camera.small import front_end, photo, pixel_words, small

WINDOW = Window(1, 1, 2, 5, 3)
ROWS = 3
PERIOD = 41_667
"""Of pclk in picoseconds; the front end's clock has 10,000."""

OTHER_POLARITY = {"vsync_blank": False, "href_active": False, "high_first": False, "falling": True}
CASES = {
    "rgb565": small("ov7670-qvga", 13, 8),
    "rgb565, all reversed": replace(small("ov7670-qvga", 13, 8), **OTHER_POLARITY),
    "grey8": small("hm01b0-8bit", 13, 8),
    "grey4": small("hm01b0-qvga-4bit", 13, 8),
    "grey1, lowest bit first": replace(small("hm01b0-qvga-1bit", 13, 8), high_first=False),
}


def play(sensor: Sensor, words: NDArray[Any], periods: NDArray[Any], *, depth: int = 64, **case: Any) -> dict[str, Any]:
    source = to_verilog(front_end(sensor, WINDOW, ROWS, depth=depth))
    given = {
        "words": words,
        "periods": periods,
        "falling": sensor.falling,
        "stall": "none",
        "after": 400,
        "sink": "pixels",
        "ones": "",
        **case,
    }
    found = run_bench(source, "pins", given)
    return {**found, "payloads": pixel_words(found["payloads"])}


def expected(sensor: Sensor, seeds: list[int]) -> NDArray[np.uint32]:
    return np.concatenate([pixel_stream(WINDOW.apply(seen(sensor, photo(sensor, s)))) for s in seeds])


def sent(sensor: Sensor, seeds: list[int]) -> NDArray[np.uint16]:
    """Frames in a row and the end of the last one."""
    return np.concatenate([*(p for s in seeds for p in frame_pins(sensor, photo(sensor, s))), frame_end(sensor)])


@pytest.mark.parametrize("name", CASES)
def test_formats(name: str) -> None:
    """Frames in a row, a clock with jitter that has nothing to do with the other one."""
    sensor = CASES[name]
    words = sent(sensor, [1, 2])
    periods = jitter(len(words), PERIOD, 0.4, np.random.default_rng(1))
    found = play(sensor, words, periods)
    np.testing.assert_array_equal(found["payloads"], expected(sensor, [1, 2]))
    assert (found["spoiled"], found["overflow"]) == (0, 0)


@pytest.mark.parametrize(("first", "last"), [(9_902, 9_902), (12_346, 12_346), (9_800, 12_400), (12_400, 9_800)])
def test_drift(first: int, last: int) -> None:
    """A pclk slightly faster than the other clock, and somewhat slower, and one that drifts from one to the other: the
    edges pass each other.
    """
    sensor = CASES["grey8"]
    words = sent(sensor, [3, 4, 5])
    found = play(sensor, words, np.linspace(first, last, len(words)).astype(int) // 2 * 2)
    np.testing.assert_array_equal(found["payloads"], expected(sensor, [3, 4, 5]))
    assert (found["spoiled"], found["overflow"]) == (0, 0)


def test_stopped_clock() -> None:
    """pclk stops within a line, within a pixel, and between frames: nothing is lost."""
    sensor = CASES["rgb565"]
    words = sent(sensor, [1, 2])
    periods = np.full(len(words), PERIOD)
    periods[[30, 131, 155, len(words) // 2, len(words) - 20]] = 20_000_000
    found = play(sensor, words, periods)
    np.testing.assert_array_equal(found["payloads"], expected(sensor, [1, 2]))


def test_line_and_frame_end_together() -> None:
    """A sensor whose frame ends with its last line, in the same clock."""
    sensor = CASES["grey8"]
    frames = []
    for seed in (1, 2):
        *lines, last, _ = frame_pins(sensor, photo(sensor, seed))
        frames += [*lines, last[: sensor.width]]
    words = np.concatenate([*frames, frame_end(sensor)])
    found = play(sensor, words, np.full(len(words), PERIOD))
    np.testing.assert_array_equal(found["payloads"], expected(sensor, [1, 2]))


def test_half_a_pixel() -> None:
    """A line with the right number of pixels and a byte more is not right."""
    sensor = CASES["rgb565"]
    parts = frame_pins(sensor, photo(sensor, 1))
    parts[4] = np.insert(parts[4], 2 * sensor.width, parts[4][0])
    words = np.concatenate([*parts, sent(sensor, [2])])
    found = play(sensor, words, np.full(len(words), PERIOD))
    assert found["spoiled"] == 1
    good = expected(sensor, [2])
    np.testing.assert_array_equal(found["payloads"][-len(good) :], good)


def test_overflow() -> None:
    """A reader that pauses: frames are whole and exact, or marked; one that comes when it pauses no longer is exact;
    the flag stays.
    """
    sensor = CASES["grey8"]
    seeds = list(range(1, 9))
    words = sent(sensor, seeds)
    # A pclk that drifts from a little faster than the other clock to somewhat slower.
    periods = np.linspace(9_800, 12_400, len(words)).astype(int) // 2 * 2
    found = play(sensor, words, periods, depth=16, stall="bursts:60:110:10")
    assert found["overflow"] == 1
    starts = np.flatnonzero(found["payloads"] & FIRST)
    frames = np.split(found["payloads"], starts[1:])
    assert len(frames) == len(seeds)
    exact = [np.array_equal(frame, expected(sensor, [seed])) for frame, seed in zip(frames, seeds, strict=True)]
    assert found["spoiled"] == exact.count(False)
    for frame, good in zip(frames, exact, strict=True):
        lengths = np.diff(np.flatnonzero(frame & LAST), prepend=-1)
        assert good == (len(lengths) == WINDOW.height and all(lengths == WINDOW.width))
    assert exact.count(False) > 2
    assert exact[-1]


def test_rgb565() -> None:
    """Every colour: 5 and 6 bits become the nearest byte, 0 stays 0 and the highest 255."""
    words = np.arange(1 << 16, dtype=np.uint16)
    colours = from_rgb565(words)
    wanted = [np.round((words >> at & high) * 255 / high) for at, high in ((11, 31), (5, 63), (0, 31))]
    assert np.abs(colours.astype(int) - np.stack(wanted, axis=-1)).max() <= 1
    np.testing.assert_array_equal(to_rgb565(colours), words)


def test_refused() -> None:
    with pytest.raises(ValueError, match="depth must be a power of two of 16 or more, not 24"):
        Dvp(format=Format.GREY8, depth=24)
