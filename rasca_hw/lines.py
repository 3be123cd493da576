"""The row interface: checks the pixel stream, normalises it and keeps the last rows in a circular line buffer.

A row is stored as words of C columns, one word a colour: address 1 + (row mod `line_rows`) * 3 * words + colour *
words + word. Lanes past a row's end hold zero, as the feeder expects. Nothing downstream ever waits for a pixel that
does not come: a short line is filled up, a long one is cut, and a frame cut off by a new start of frame is filled up
to the next group and ended there with `abort`. Each of these is recorded in the frame's `errors`; what is filled in
does not matter then, since the frame's result is marked.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .array import delay
from .interfaces import Errors, Pixel

COLOURS = 3
"""Also the cycles that a pixel takes."""


def line_buffer_words(width: int, columns: int, line_rows: int) -> int:
    """Words of the circular buffer."""
    return line_rows * COLOURS * -(-width // columns)


class LineBuffer(wiring.Component):
    """Takes a pixel in three cycles, a byte in each, and leaves it on the stream until the last of them.

    A row is complete in the cycle after its last pixel was taken. Pixels that belong to no frame, and those past a
    line's end, take one cycle; filling takes three for each word.

    Members
    -------
    pixels : the sensor's stream; ready is low while the buffer is full.
    address, word : read port, data a cycle after the address.
    row_stored : another row is complete in the next cycle (a pulse); rows_done : rows to free (a pulse with a count).
    started : the first pixel of a frame is there; ended : all rows of a frame are in the buffer, or it was cut off.
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
        self.words = line_buffer_words(width, columns, line_rows)
        self.depth = self.words + 2
        super().__init__(
            {
                "pixels": In(stream.Signature(Pixel)),
                "address": In(range(self.depth)),
                "word": Out(data.ArrayLayout(8, columns)),
                "row_stored": Out(1),
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
        pixel, errors = self.pixels.payload, self.errors
        used = Signal(range(self.line_rows + 1))
        stored = Signal()
        m.d.sync += used.eq(used + stored - self.rows_done)
        m.d.comb += self.row_stored.eq(stored)
        space = used != self.line_rows

        colour = Signal(range(COLOURS))  # 0 to 2
        lane = Signal(range(self.columns))
        word = Signal(range(self.row_words))
        group_rows = Signal(range(self.rows))
        groups = Signal(range(self.steps))
        # Rest of a line that is too short, or of a group that was cut off; rest of a line that is too long.
        filling, surplus = Signal(), Signal()
        # A byte is stored, and what it is the last one of. A pixel's other bytes follow its first one at once, so what
        # the place of the pixel tells is known a cycle before it is needed.
        take = Signal()
        last_colour, last_lane, last_word, row_lane = Signal(), Signal(), Signal(), Signal()
        word_ends, row_ends, group_ends, frame_ends = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            last_lane.eq(lane == self.columns - 1),
            row_lane.eq(lane == (self.width - 1) % self.columns),
            last_word.eq(word == self.row_words - 1),
            group_ends.eq(group_rows == self.rows - 1),
            frame_ends.eq((group_rows == self.rows - 1) & (groups == self.steps - 1)),
        ]
        m.d.comb += [
            last_colour.eq(colour[1]),
            # Filling goes word by word.
            word_ends.eq(last_lane | row_ends | filling),
            row_ends.eq(last_word & (row_lane | filling)),
            stored.eq(last_colour & row_ends),
        ]
        with m.If(take):
            m.d.sync += colour.eq(Mux(last_colour, 0, colour + 1))
        with m.If(last_colour):
            m.d.comb += self.pixels.ready.eq(~filling)
            m.d.sync += lane.eq(Mux(word_ends, 0, lane + 1))
            with m.If(word_ends):
                m.d.sync += word.eq(Mux(last_word, 0, word + 1))
        with m.If(stored):
            m.d.sync += group_rows.eq(Mux(group_ends, 0, group_rows + 1))
            with m.If(group_ends):
                m.d.sync += groups.eq(Mux(frame_ends, 0, groups + 1))

        with m.FSM():
            with m.State("Idle"):
                m.d.sync += [errors.eq(0), surplus.eq(0)]
                with m.If(self.pixels.valid & space):
                    with m.If(pixel.first):
                        m.d.comb += [self.started.eq(1), take.eq(1)]
                        m.next = "Line"
                    with m.Else():
                        m.d.comb += self.pixels.ready.eq(1)
            with m.State("Line"):
                with m.If(colour != 0):
                    m.d.comb += take.eq(1)
                    with m.If(last_colour & ~filling):
                        with m.If(pixel.last & ~row_ends):
                            m.d.sync += [errors.short_line.eq(1), filling.eq(1)]
                        with m.If(~pixel.last & row_ends):
                            m.d.sync += [errors.long_line.eq(1), surplus.eq(1)]
                    with m.If(stored):
                        m.d.sync += filling.eq(errors.truncated & ~group_ends)
                        with m.If(frame_ends | (errors.truncated & group_ends)):
                            m.next = "Ended"
                with m.Elif((self.pixels.valid | filling) & space):
                    with m.If(pixel.first & ~filling):
                        m.d.sync += [errors.truncated.eq(1), filling.eq(1), surplus.eq(0)]
                        with m.If((group_rows == 0) & (word == 0) & (lane == 0)):
                            m.d.sync += filling.eq(0)
                            m.next = "Ended"
                    with m.Elif(surplus):
                        m.d.comb += self.pixels.ready.eq(1)
                        m.d.sync += surplus.eq(~pixel.last)
                    with m.Else():
                        m.d.comb += take.eq(1)
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

        # The bytes are written a cycle later: what they go through ends in registers.
        m.submodules.memory = mem = memory.Memory(shape=8 * self.columns, depth=self.depth, init=[])
        read, write = mem.read_port(), mem.write_port(granularity=8)
        address = self._walk(m, take, last_colour, word_ends, row_ends)
        first, others = self._bytes(m, colour, lane)
        lanes = Cat(lane == i for i in range(self.columns))
        if self.width % self.columns:
            # The first byte of a word clears the others.
            lanes |= (lane == 0).replicate(self.columns)
        first, others = delay(m, first, 1, name="first"), delay(m, others, 1, name="others")
        lanes = delay(m, lanes, 1, name="lanes")
        stores = delay(m, take & ~self.ignored, 1, name="stores", reset_less=False)
        m.d.comb += [
            read.addr.eq(self.address),
            self.word.eq(read.data),
            write.addr.eq(address),
            write.data.eq(Cat(first, *[others] * (self.columns - 1))),
            write.en.eq(Mux(stores, lanes, 0)),
        ]
        return m

    def _walk(self, m: Module, take: Signal, last_colour: Signal, word_ends: Signal, row_ends: Signal) -> Signal:
        """The address of the byte taken a cycle before: of each pixel the three words of its place, which are
        `row_words` apart.
        """
        address = Signal(range(self.depth), init=1)
        row = Signal(range(self.line_rows))
        last_row = Signal()
        step = Signal(signed(len(address) + 1))
        back = -(COLOURS - 1) * self.row_words
        m.d.sync += last_row.eq(row == self.line_rows - 1)
        with m.If(last_colour & row_ends):
            m.d.sync += row.eq(Mux(last_row, 0, row + 1))
        next_row = Mux(last_row, 1 - self.words, 1)
        m.d.sync += step.eq(Mux(~last_colour, self.row_words, Mux(row_ends, next_row, Mux(word_ends, back + 1, back))))
        with m.If(delay(m, take, 1, name="taken", reset_less=False)):
            m.d.sync += address.eq(address + step)
        return address

    def _bytes(self, m: Module, colour: Signal, lane: Signal) -> tuple[Signal, Any]:
        """The colour's value for lane 0, and for the others."""
        byte, value = Signal(8), Signal(8)
        with m.Switch(colour):
            for i, name in enumerate("rgb"):
                with m.Case(i):
                    m.d.comb += byte.eq(self.pixels.payload[name])
        # round((x / 255 - 0.5) * 254), exactly: x - 128 of the upper half, x - 127 of the lower one.
        low = Signal(8)
        m.d.comb += [low.eq(byte[:7] + ~byte[7]), value.eq(Cat(low[:7], ~(byte[7] | low[7])))]
        return value, Mux(lane == 0, 0, value) if self.width % self.columns else value
