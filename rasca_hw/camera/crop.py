"""A sensor's frame to the network's: a window of it, each box of `factor` x `factor` pixels averaged.

    events -> [check lines and frames] -> box sums, one line of partial sums -> pixels

A pixel of the network is (sum + factor^2 / 2) >> (2 log2 factor) over its box, for each colour: the mean, rounded half
up. There is no frame buffer.

**A wrong window never looks right.** Every line of the sensor must have the sensor's width and every frame its height,
also outside the window, since lost pixels or lines shift what comes behind them. The last pixel of a row is held back
until its line has ended and was as long as it must be; the last pixel of the window until `hold` says that the frame
was as it must be. When something is wrong before that, the frame is *spoiled*: the row that is open is made too
short or too long, the group of rows is filled with short lines, and the rest of the frame is left out. The
accelerator flags such lines, and a frame that lacks rows when the next one begins. The group is filled because the
accelerator works on whole groups: it has time for this one until the next frame, and then starts at once.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..interfaces import Pixel
from .interfaces import Event, Kind

FACTORS = (1, 2, 4)
COLOURS = "rgb"


class Hold(Enum):
    """When the last pixel of a window is given, and with it the result."""

    LINE = "line"
    """When its line has ended. Lines that the sensor left out or sent twice go unnoticed if the window is filled."""
    LINES = "lines"
    """When as many lines have come as the sensor has: no line before was left out. An extra line goes unnoticed."""
    FRAME = "frame"
    """When the sensor's frame has ended, with exactly its lines."""


def box(value: int) -> int:
    """`value`, if it is a factor that the crop serves. Raises ValueError."""
    if value not in FACTORS:
        raise ValueError(f"factor must be 1, 2 or 4, not {value!r}")
    return value


class Crop(wiring.Component):
    """Takes one event a cycle; a pixel comes out a cycle after the event that completed it.

    Parameters
    ----------
    sensor_width, sensor_height : pixels of a line and lines of a frame, as the sensor sends them.
    left, top : of the window, in pixels of the sensor.
    factor : 1, 2 or 4 pixels of the sensor a pixel of the network, in both directions.
    width, height : of the network's frame.
    rows : rows of a group.
    hold : see :class:`Hold`.

    Members
    -------
    events : from the sensor; ready is low while a pixel waits, or while a spoiled group is filled at the frame's end.
    pixels : exactly `height` rows of `width` for a good frame.
    spoiled : 1 for a cycle in which a frame is found to be wrong.
    filled : 1 for a cycle in which the window's last pixel has come; it may be held back, see `hold`.

    Raises
    ------
    ValueError
        For a factor that is not served, or a window that is not inside the sensor's frame.
    """

    def __init__(
        self,
        *,
        sensor_width: int,
        sensor_height: int,
        left: int,
        top: int,
        factor: int,
        width: int,
        height: int,
        rows: int,
        hold: Hold = Hold.FRAME,
    ) -> None:
        self.shift = box(factor).bit_length() - 1
        for name, value, least in (("width", width, 1), ("height", height, 1), ("rows", rows, 1)):
            if value < least:
                raise ValueError(f"{name} must be {least} or more, not {value!r}")
        for name, start, size, whole in (("left", left, width, sensor_width), ("top", top, height, sensor_height)):
            if start < 0 or start + size * factor > whole:
                raise ValueError(
                    f"{name} must be 0 to {whole - size * factor} for {size} x {factor} of {whole}, not {start!r}"
                )
        self.sensor_width, self.sensor_height = sensor_width, sensor_height
        self.left, self.top = left, top
        self.factor = factor
        self.width, self.height, self.rows = width, height, rows
        self.hold = hold
        super().__init__(
            {
                "events": In(stream.Signature(Event)),
                "pixels": Out(stream.Signature(Pixel)),
                "spoiled": Out(1),
                "filled": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        event = self.events.payload
        out = self.pixels
        free = Signal()
        m.d.comb += free.eq(~out.valid | out.ready)
        with m.If(out.ready):
            m.d.sync += out.valid.eq(0)

        # Place in the sensor's frame.
        x = Signal(range(self.sensor_width + 1))
        y = Signal(range(self.sensor_height + 1))
        row_start = Signal()
        m.d.comb += row_start.eq((x == 0) & (y == 0))
        # Place in the window: column and row of the network, and in the box.
        column = Signal(range(self.width + 1))
        box_x = Signal(range(self.factor))
        box_y = Signal(range(self.factor))
        row = Signal(range(self.height + 1))
        inside_x, inside_y = Signal(), Signal()
        m.d.comb += [
            inside_x.eq((x >= self.left) & (column != self.width)),
            inside_y.eq((y >= self.top) & (row != self.height)),
        ]
        # What the accelerator has been given.
        opened = Signal()
        given = Signal(range(self.width + 1))
        group_row = Signal(range(self.rows))

        mean = self._mean(m, inside_x & inside_y & self.events.valid & self.events.ready, column, box_x, box_y)
        last_y = box_y == self.factor - 1
        complete = Signal()
        m.d.comb += complete.eq(inside_x & inside_y & (box_x == self.factor - 1) & last_y)
        held = Signal(24)

        def give(colours: Any, first: Any, last: Any) -> None:
            """The next pixel for the accelerator; `free` holds."""
            m.d.sync += [
                out.valid.eq(1),
                out.payload.eq(Cat(colours, first, last)),
                opened.eq(1),
                given.eq(given + 1),
            ]

        def end_row() -> None:
            m.d.sync += [given.eq(0), group_row.eq(group_row + 1)]
            with m.If(group_row == self.rows - 1):
                m.d.sync += group_row.eq(0)

        def end_line() -> None:
            """The line is as long as it must be."""
            m.d.sync += [x.eq(0), y.eq(y + 1), column.eq(0), box_x.eq(0)]
            with m.If(inside_y):
                m.d.sync += box_y.eq(box_y + 1)
                with m.If(last_y):
                    m.d.sync += [box_y.eq(0), row.eq(row + 1)]

        def spoil() -> None:
            m.d.comb += self.spoiled.eq(1)
            m.next = "Fill"

        row_ends = inside_y & last_y
        final = Signal()
        m.d.comb += final.eq(row == self.height - 1)
        with m.FSM(init="Skip"):
            with m.State("Skip"):
                m.d.comb += self.events.ready.eq(1)
                m.d.sync += [x.eq(0), y.eq(0), column.eq(0), row.eq(0), box_x.eq(0), box_y.eq(0)]
                m.d.sync += [opened.eq(0), given.eq(0), group_row.eq(0)]
                with m.If(self.events.valid & (event.kind == Kind.FRAME)):
                    m.next = "Frame"
            with m.State("Frame"):
                with m.If(self.events.valid & free):
                    with m.If(event.bad):
                        spoil()
                    with m.Elif(event.kind == Kind.PIXEL):
                        m.d.comb += self.events.ready.eq(1)
                        with m.If((x == self.sensor_width) | (y == self.sensor_height)):
                            spoil()
                        with m.Else():
                            m.d.sync += x.eq(x + 1)
                        with m.If(inside_x):
                            m.d.sync += box_x.eq(box_x + 1)
                            with m.If(box_x == self.factor - 1):
                                m.d.sync += [box_x.eq(0), column.eq(column + 1)]
                        with m.If(complete):
                            with m.If(column == self.width - 1):
                                m.d.sync += held.eq(mean)
                                m.d.comb += self.filled.eq(final)
                            with m.Else():
                                give(mean, ~opened, 0)
                    with m.Elif(event.kind == Kind.LINE):
                        m.d.comb += self.events.ready.eq(1)
                        end_line()
                        with m.If(x != self.sensor_width):
                            spoil()
                        with m.Elif(row_ends & (~final | (self.hold == Hold.LINE))):
                            give(held, ~opened, 1)
                            end_row()
                            with m.If(final):
                                m.next = "Skip"
                        if self.hold == Hold.LINES:
                            with m.Elif(y == self.sensor_height - 1):
                                give(held, ~opened, 1)
                                m.next = "Skip"
                    with m.Elif(row_start):
                        m.d.comb += self.events.ready.eq(1)
                    with m.Elif((x == 0) & (y == self.sensor_height) & (self.hold == Hold.FRAME)):
                        give(held, ~opened, 1)
                        m.next = "Skip"
                    with m.Else():
                        spoil()
            with m.State("Fill"):
                # The end of the frame waits until the group is filled, the rest of it is left out.
                m.d.comb += self.events.ready.eq(event.kind != Kind.FRAME)
                with m.If(opened & (given == 0) & (group_row == 0)):
                    m.next = "Skip"
                with m.Elif(free):
                    # Too short, unless only the last pixel is missing: then too long.
                    last = given != self.width - 1
                    give(Const(0, 24), ~opened, last)
                    with m.If(last):
                        end_row()
        return m

    def _mean(self, m: Module, take: Any, column: Signal, box_x: Signal, box_y: Signal) -> Any:
        """The mean of the box that the pixel on the stream completes, r lowest; 24 bits."""
        event = self.events.payload
        pixel = [event[name] for name in COLOURS]
        if self.factor == 1:
            return Cat(*pixel)
        size = 8 + 2 * self.shift
        m.submodules.sums = sums = memory.Memory(shape=size * len(COLOURS), depth=self.width, init=[])
        read, write = sums.read_port(), sums.write_port()
        m.d.comb += [read.addr.eq(column), write.addr.eq(column)]
        means, above = [], Signal(size * len(COLOURS))
        # A line of the box that is not its first adds to what the ones above it gave.
        m.d.comb += above.eq(Mux(box_y == 0, 0, read.data))
        for i, byte in enumerate(pixel):
            beside = Signal(8 + self.shift, name=f"beside_{COLOURS[i]}")
            total = Signal(size, name=f"total_{COLOURS[i]}")
            rounded = Signal(size, name=f"rounded_{COLOURS[i]}")
            line = Mux(box_x == 0, 0, beside) + byte
            with m.If(take):
                m.d.sync += beside.eq(line)
            m.d.comb += [
                total.eq(above[i * size : (i + 1) * size] + line),
                rounded.eq(total + self.factor * self.factor // 2),
                write.data[i * size : (i + 1) * size].eq(total),
            ]
            means.append(rounded[2 * self.shift :])
        m.d.comb += write.en.eq(take & (box_x == self.factor - 1))
        return Cat(*means)
