"""AXI4-Stream video, sent by cocotbext-axi, through the crop on Icarus."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from numpy.typing import NDArray

from rasca_hw.camera.axi_video import VIDEO, AxiVideo
from rasca_hw.camera.crop import Hold
from rasca_hw.interfaces import Pixel
from sim.camera import Window
from sim.frames import FIRST, pixel_stream
from sim.icarus import run_bench, to_verilog
from tests.camera.small import crop_for

WIDTH, HEIGHT = 11, 8
WINDOW = Window(2, 1, 2, 4, 3)


class Video(wiring.Component):
    """The slave and the crop."""

    def __init__(self, order: str) -> None:
        self.slave = AxiVideo(order=order)
        self.crop = crop_for(WINDOW, WIDTH, HEIGHT, 3, Hold.LINES)
        super().__init__({"video": In(VIDEO), "pixels": Out(stream.Signature(Pixel))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.slave, m.submodules.crop = self.slave, self.crop
        connect(m, flipped(self.video), self.slave.video)
        connect(m, self.slave.events, self.crop.events)
        connect(m, self.crop.pixels, flipped(self.pixels))
        return m


def photo(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def send(lines: list[tuple[NDArray[np.uint8], bool]], order: str, idle: str, stall: str) -> NDArray[np.uint64]:
    """Lines, [w, 3] each, and whether they begin a frame; returns the pixels that come."""
    weights = np.array([1 << 8 * order.index(colour) for colour in "rgb"])
    case = {
        "pixels": np.concatenate([line.astype(np.int64) @ weights for line, _ in lines]),
        "lengths": np.array([len(line) for line, _ in lines]),
        "starts": np.array([start for _, start in lines]),
    }
    pixels: NDArray[np.uint64] = run_bench(
        to_verilog(Video(order)), "axi_video", {**case, "idle": idle, "stall": stall, "limit": 20_000}
    )["payloads"]
    return pixels


def frame(seed: int) -> list[tuple[NDArray[np.uint8], bool]]:
    return [(line, y == 0) for y, line in enumerate(photo(seed))]


@pytest.mark.parametrize(("order", "idle", "stall"), [("gbr", "none", "none"), ("rgb", "random:1:50", "random:2:50")])
def test_frames(order: str, idle: str, stall: str) -> None:
    """Frames in a row, each whole without waiting for the next one."""
    found = send([*frame(1), *frame(2)], order, idle, stall)
    np.testing.assert_array_equal(found, np.concatenate([pixel_stream(WINDOW.apply(photo(i))) for i in (1, 2)]))


def test_bad_frames() -> None:
    """A short line, a missing line and a cut frame: none gives a whole window, and the frame behind each is exact."""
    short = frame(1)
    short[3] = (short[3][0][:-1], False)
    lines = [*short, *frame(2), *frame(3)[:5], *frame(4)[:3], *frame(5)[3:], *frame(6)]
    found = send(lines, "gbr", "bursts:9:2", "bursts:1:3")
    windows = np.split(found, np.flatnonzero(found & FIRST)[1:])
    good = [pixel_stream(WINDOW.apply(photo(i))) for i in (2, 6)]
    exact = [[np.array_equal(window, g) for g in good] for window in windows]
    # Lines 0 to 2 of one photo and 3 to 7 of another are a frame of the right size.
    mixed = np.concatenate([photo(4)[:3], photo(5)[3:]])
    np.testing.assert_array_equal(windows[3], pixel_stream(WINDOW.apply(mixed)))
    assert exact == [[False] * 2, [True, False], [False] * 2, [False] * 2, [False, True]]
    for window in (windows[0], windows[2]):
        assert len(window) != WINDOW.width * WINDOW.height


def test_refused() -> None:
    with pytest.raises(ValueError, match="order must name r, g and b once each, not 'rgg'"):
        AxiVideo(order="rgg")
