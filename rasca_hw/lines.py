"""The row interface: checks the pixel stream, normalises it and keeps the last rows in a circular line buffer.

A row is stored as words of C columns, one word a colour: address 1 + (row mod `line_rows`) * 3 * words + colour *
words + word. Nothing downstream ever waits for a pixel that does not come: a short line counts as complete, a long
one is cut, and a frame cut off by a new start of frame is ended at the next group with `abort`. Each of these is
recorded in the frame's `errors`; the contents of such a frame's rows do not matter then, since its result is marked.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .interfaces import Errors, Pixel
from .packer import Packer

COLOURS = 3


def line_buffer_words(width: int, columns: int, line_rows: int) -> int:
    """Words of the circular buffer."""
    return line_rows * COLOURS * -(-width // columns)


class LineBuffer(wiring.Component):
    """Takes one pixel a cycle, and three cycles more for each word.

    Members
    -------
    pixels : the sensor's stream; ready is low while the buffer is full.
    address, word : read port, data a cycle after the address.
    rows_available : complete rows not yet freed; rows_done : rows to free (a pulse with a count).
    started : the first pixel of a frame was taken; ended : all rows of a frame are in the buffer, or it was cut off.
    errors : of the frame, valid with `ended`.
    abort : the frame was cut off and all its rows were taken; until `aborted`.
    ignored : nobody looks at this frame's pixels any more; they are counted and not stored.
    """

    def __init__(self, *, width: int, rows: int, steps: int, columns: int, line_rows: int) -> None:
        self.width = width
        self.rows = rows
        self.steps = steps
        self.columns = columns
        self.line_rows = line_rows
        self.row_words = -(-width // columns)
        self.depth = line_buffer_words(width, columns, line_rows) + 2
        super().__init__(
            {
                "pixels": In(stream.Signature(Pixel)),
                "address": In(range(self.depth)),
                "word": Out(data.ArrayLayout(8, columns)),
                "rows_available": Out(8),
                "rows_done": In(4),
                "started": Out(1),
                "ended": Out(1),
                "errors": Out(Errors),
                "abort": Out(1),
                "aborted": In(1),
                "ignored": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.memory = mem = memory.Memory(shape=8 * self.columns, depth=self.depth, init=[])
        read, write = mem.read_port(), mem.write_port()
        m.d.comb += [read.addr.eq(self.address), self.word.eq(read.data)]
        m.d.sync += write.en.eq(0)

        used = Signal(8)
        stored = Signal()
        m.d.sync += used.eq(used + stored - self.rows_done)
        m.d.comb += self.rows_available.eq(used)
        space = used < self.line_rows

        x = Signal(range(self.width + 1))
        lane = Signal(range(self.columns))
        word = Signal(range(self.row_words))
        colour = Signal(range(COLOURS))
        write_colour = Signal(range(COLOURS))
        group_rows = Signal(range(self.rows))
        groups = Signal(range(self.steps))
        row_base = Signal(range(self.depth), init=1)
        errors = Signal(Errors)
        pixel = self.pixels.payload
        line_end = Signal()
        m.d.comb += self.errors.eq(errors)

        packers = []
        for name in "rgb":
            m.submodules[f"packer_{name}"] = packer = Packer(self.columns)
            byte = pixel[name]
            # round((x / 255 - 0.5) * 254), exactly
            value = Signal(8, name=f"value_{name}", reset_less=True)
            m.d.sync += value.eq(byte - 127 - byte[7])
            m.d.comb += [packer.value.eq(value), packer.lane.eq(lane)]
            packers.append(packer)

        group_end = (group_rows == self.rows - 1) & (groups == self.steps - 1)

        def next_row() -> None:
            """The current row counts as complete."""
            m.d.comb += stored.eq(1)
            m.d.sync += [x.eq(0), lane.eq(0), word.eq(0), group_rows.eq(group_rows + 1)]
            m.d.sync += row_base.eq(row_base + COLOURS * self.row_words)
            with m.If(row_base == 1 + (self.line_rows - 1) * COLOURS * self.row_words):
                m.d.sync += row_base.eq(1)
            with m.If(group_rows == self.rows - 1):
                m.d.sync += [group_rows.eq(0), groups.eq(groups + 1)]
                with m.If(groups == self.steps - 1):
                    m.d.sync += groups.eq(0)

        def take_pixel() -> None:
            """Stores the pixel on the stream; the current row has a place."""
            m.d.comb += self.pixels.ready.eq(1)
            m.d.sync += line_end.eq(pixel.last)
            with m.If(x == self.width):
                m.d.sync += errors.long_line.eq(1)
                with m.If(pixel.last):
                    next_row()
                    m.next = "Line"
                    with m.If(group_end):
                        m.next = "Ended"
            with m.Else():
                m.d.sync += [x.eq(x + 1), lane.eq(lane + 1)]
                m.next = "Line"
                short = pixel.last & (x != self.width - 1)
                with m.If(short):
                    m.d.sync += errors.short_line.eq(1)
                with m.If((lane == self.columns - 1) | (x == self.width - 1) | pixel.last):
                    m.next = "Store"

        with m.FSM() as fsm:
            with m.State("Idle"):
                m.d.sync += errors.eq(0)
                with m.If(self.pixels.valid & space):
                    with m.If(pixel.first):
                        m.d.comb += self.started.eq(1)
                        take_pixel()
                    with m.Else():
                        m.d.comb += self.pixels.ready.eq(1)
            with m.State("Line"):
                with m.If(self.pixels.valid & space):
                    with m.If(pixel.first):
                        m.d.sync += errors.truncated.eq(1)
                        m.next = "Cut"
                        with m.If((group_rows == 0) & (x == 0)):
                            m.next = "Ended"
                    with m.Else():
                        take_pixel()
            with m.State("Store"):
                m.d.sync += [
                    write.en.eq(~self.ignored),
                    write.addr.eq(row_base + word + self._times_words(m, colour)),
                    write_colour.eq(colour),
                ]
                m.d.sync += colour.eq(colour + 1)
                with m.If(colour == COLOURS - 1):
                    m.d.sync += [colour.eq(0), lane.eq(0), word.eq(Mux(x == self.width, word, word + 1))]
                    m.next = "Line"
                    with m.If(line_end):
                        next_row()
                        with m.If(group_end):
                            m.next = "Ended"
            with m.State("Cut"):
                with m.If(space):
                    next_row()
                    with m.If(group_rows == self.rows - 1):
                        m.next = "Ended"
            with m.State("Ended"):
                m.d.comb += self.ended.eq(1)
                m.next = "Idle"
                with m.If(errors.truncated & (groups != 0)):
                    m.next = "Abort"
            with m.State("Abort"):
                m.d.comb += self.abort.eq(used == 0)
                with m.If(self.aborted):
                    m.d.sync += groups.eq(0)
                    m.next = "Idle"
        m.d.comb += write.data.eq(self._select(m, packers, write_colour))
        # A pixel that waits is packed again and again until it is taken: it needs no place in the buffer for that.
        m.d.comb += [packer.valid.eq(self.pixels.valid & ~fsm.ongoing("Store")) for packer in packers]
        return m

    def _times_words(self, m: Module, colour: Signal) -> Any:
        offset = Signal(range(max(2, (COLOURS - 1) * self.row_words + 1)))
        with m.Switch(colour):
            for i in range(COLOURS):
                with m.Case(i):
                    m.d.comb += offset.eq(i * self.row_words)
        return offset

    def _select(self, m: Module, packers: list[Packer], colour: Signal) -> Any:
        word = Signal(data.ArrayLayout(8, self.columns))
        with m.Switch(colour):
            for i, packer in enumerate(packers):
                with m.Case(i):
                    m.d.comb += word.eq(packer.word)
        return word
