"""Video timing in the domain `pixel`: where the beam is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

DOMAIN = "pixel"


@dataclass(frozen=True)
class VideoMode:
    """Pixels of a line and lines of a frame: (shown, front porch, sync, back porch); syncs are low in their pulse."""

    horizontal: tuple[int, int, int, int]
    vertical: tuple[int, int, int, int]

    @property
    def width(self) -> int:
        return self.horizontal[0]

    @property
    def height(self) -> int:
        return self.vertical[0]


VGA = VideoMode((640, 16, 96, 48), (480, 10, 2, 33))
"""640 x 480; 59.5 frames a second at 25 MHz."""


class VideoTiming(wiring.Component):
    """A pixel a cycle, for ever.

    Members
    -------
    x, y : of the pixel, from 0; beyond width and height between them.
    active : the pixel is shown.
    hsync, vsync : 0 in the pulse.
    """

    def __init__(self, mode: VideoMode) -> None:
        self.mode = mode
        super().__init__(
            {
                "x": Out(range(sum(mode.horizontal))),
                "y": Out(range(sum(mode.vertical))),
                "active": Out(1),
                "hsync": Out(1),
                "vsync": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pixel = m.d[DOMAIN]
        mode = self.mode
        last_x, last_y = sum(mode.horizontal) - 1, sum(mode.vertical) - 1
        pixel += self.x.eq(self.x + 1)
        with m.If(self.x == last_x):
            pixel += [self.x.eq(0), self.y.eq(self.y + 1)]
            with m.If(self.y == last_y):
                pixel += self.y.eq(0)

        def sync(place: Signal, parts: tuple[int, int, int, int]) -> Any:
            begin = parts[0] + parts[1]
            return ~((place >= begin) & (place < begin + parts[2]))

        m.d.comb += [
            self.active.eq((self.x < mode.width) & (self.y < mode.height)),
            self.hsync.eq(sync(self.x, mode.horizontal)),
            self.vsync.eq(sync(self.y, mode.vertical)),
        ]
        return m
