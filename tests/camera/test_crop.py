"""The crop on Icarus: exact windows, and no wrong window that the accelerator would take for a right one."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from rasca_hw.camera.crop import Crop, Hold
from sim.camera import BAD, FRAME, LINE, Image, Window, frame_events, line_events
from sim.frames import pixel_stream
from sim.icarus import run_bench, to_verilog
from tests.camera.small import crop_for, given_frames

WIDTH, HEIGHT, ROWS = 13, 11, 3
"""Of the sensor, and rows of a group."""
WINDOWS = {
    "whole": Window(0, 0, 1, WIDTH, HEIGHT),
    "inner": Window(3, 2, 1, 7, 6),
    "half": Window(2, 1, 2, 5, 3),
    "half, at the end": Window(1, 1, 2, 6, 5),
    "quarter": Window(0, 3, 4, 3, 2),
}
GAP = FRAME << 24


def photo(seed: int) -> Image:
    """Random bytes, with boxes of the extreme values and of means that end in one half."""
    image = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    image[:5, :5] = 255
    image[5:9, :9] = 0
    image[5:9, 1:9:2, 0] = 1
    return image


def unit(name: str, hold: Hold) -> Crop:
    return crop_for(WINDOWS[name], WIDTH, HEIGHT, ROWS, hold)


@cache
def source(name: str, hold: Hold) -> str:
    return to_verilog(unit(name, hold))


def crop(
    name: str, events: list[int], hold: Hold = Hold.FRAME, idle: str = "none", stall: str = "none"
) -> dict[str, Any]:
    case = {"source": "events", "sink": "pixels", "pulse": "spoiled", "payloads": np.array(events), "limit": 60_000}
    return run_bench(source(name, hold), "through", {**case, "idle": idle, "stall": stall})


@pytest.mark.parametrize(
    ("name", "hold", "idle", "stall"),
    [
        ("whole", Hold.FRAME, "none", "none"),
        ("inner", Hold.LINES, "random:1:60", "random:2:40"),
        ("half", Hold.LINE, "none", "bursts:1:9"),
        ("half, at the end", Hold.LINES, "none", "none"),
        ("half, at the end", Hold.FRAME, "bursts:5:2", "random:3:50"),
        ("quarter", Hold.FRAME, "random:4:80", "random:5:30"),
    ],
)
def test_frames(name: str, hold: Hold, idle: str, stall: str) -> None:
    """Frames in a row; what comes before the first whole frame is left out."""
    images = [photo(i) for i in range(3)]
    events = [*line_events(images[2][0])[5:], GAP]
    for image in images:
        events += frame_events(image)
    found = crop(name, events, hold, idle, stall)
    window = WINDOWS[name]
    expected = [pixel_stream(window.apply(image)) for image in images]
    np.testing.assert_array_equal(found["payloads"], np.concatenate(expected))
    assert found["pulses"] == 0


def bad_events(kind: str, image: Image, at: int) -> list[int]:
    """A frame with a fault at line `at`, up to its end."""
    lines = [line_events(line) for line in image]
    if kind == "short line":
        del lines[at][4]
    elif kind == "empty line":
        lines[at] = [LINE << 24]
    elif kind == "long line":
        lines[at].insert(4, 0x123456)
    elif kind == "split line":
        lines[at].insert(7, LINE << 24)
    elif kind == "missing line":
        del lines[at]
    elif kind == "extra line":
        lines.insert(at, lines[at])
    elif kind == "cut":
        lines[at:] = []
    elif kind == "cut in line":
        lines[at:] = [lines[at][:5]]
    elif kind == "lost":
        lines[at][3] |= BAD
    else:
        assert kind == "lost at the end"
        return [e for line in lines for e in line] + [GAP | BAD]
    return [e for line in lines for e in line] + [GAP]


KINDS = [
    "short line",
    "empty line",
    "long line",
    "split line",
    "missing line",
    "extra line",
    "cut",
    "cut in line",
    "lost",
    "lost at the end",
]


@pytest.mark.parametrize("name", ["inner", "half, at the end"])
def test_faults(name: str) -> None:
    """Each fault at lines all over the frame, above and below the window too: one marked frame, then an exact one."""
    window = WINDOWS[name]
    rng = np.random.default_rng(len(name))
    events, marked = [GAP], []
    for kind in KINDS:
        for at in (0, *rng.integers(1, HEIGHT - 1, 2).tolist(), HEIGHT - 1):
            if (kind, at) == ("cut", 0):
                continue
            events += bad_events(kind, photo(1), at) + frame_events(photo(2))
            marked.append((kind, at))
    found = crop(name, events, stall="random:4:80")
    seen = given_frames(found["payloads"], window, ROWS)
    assert len(seen) == 2 * len(marked) == 2 * found["pulses"]
    good = pixel_stream(window.apply(photo(2)))
    for (kind, at), (bad, _), (none, pixels) in zip(marked, seen[::2], seen[1::2], strict=True):
        assert bad, f"{kind} at {at} is not marked"
        assert none == 0, f"the frame after {kind} at {at} is marked"
        np.testing.assert_array_equal(pixels, good, f"after {kind} at {at}")


def test_holds() -> None:
    """What each hold promises: a fault behind the window is of no interest to it, or is."""
    name = "inner"
    window = WINDOWS[name]
    below = window.top + window.height + 1
    good = pixel_stream(window.apply(photo(1)))
    late = [GAP, *bad_events("short line", photo(1), below), *frame_events(photo(1))]
    np.testing.assert_array_equal(crop(name, late, Hold.LINE)["payloads"], np.concatenate([good, good]))
    missing = [GAP, *bad_events("missing line", photo(1), window.top), *frame_events(photo(1))]
    assert [flags != 0 for flags, _ in given_frames(crop(name, missing, Hold.LINES)["payloads"], window, ROWS)] == [
        True,
        False,
    ]


def test_empty_frames() -> None:
    """Two ends of a frame with nothing between give nothing."""
    found = crop("inner", [GAP, GAP, *frame_events(photo(1)), GAP, GAP, *frame_events(photo(2)), GAP])
    window = WINDOWS["inner"]
    expected = np.concatenate([pixel_stream(window.apply(photo(i))) for i in (1, 2)])
    np.testing.assert_array_equal(found["payloads"], expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"factor": 3}, "factor must be 1, 2 or 4, not 3"),
        ({"left": 7}, "left must be 0 to 6"),
        ({"top": -1}, "top must be 0 to 5"),
        ({"width": 0}, "width must be 1 or more"),
    ],
)
def test_refused(change: dict[str, int], message: str) -> None:
    given = {"left": 0, "top": 0, "factor": 1, "width": 7, "height": 6, "rows": 3, **change}
    with pytest.raises(ValueError, match=message):
        Crop(sensor_width=WIDTH, sensor_height=HEIGHT, **given)
