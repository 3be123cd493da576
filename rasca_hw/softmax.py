"""Softmax over the columns of each score row, for spatial attention: 8-bit weights in words of C lanes.

    scores of R rows at once -> mask, maximum, a queue a row -> one row after another, a slot of `slot_cycles` each:
    exp(score - maximum), their sum -> 2^24 / sum, a bit a cycle -> exp * reciprocal, rounded -> words

The rows of a pass become complete a cycle apart and wait in their queues; each of the three parts works on another
row. Integer formulas: docs/numerics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .array import delay
from .multiplier import LATENCY as MULTIPLIER_LATENCY
from .multiplier import Multiplier
from .packer import Packer

BAND = 2
"""Columns to either side that a banded row scores."""
SCORE_BITS = 12
FRACTION = 24
QUOTIENT_BITS = 17
"""Of 2^24 / sum, whose sum is 255 or more: the largest exp of a row is."""
START_LATENCY = 3
"""Cycles from the last score of row 0 to its slot."""
SUM_LATENCY = 4
"""Cycles from a score's turn in its slot to the sum that includes it."""
WEIGHT_LATENCY = MULTIPLIER_LATENCY + 4
"""Cycles from a column's turn in the last part to its lane in the word."""


def slot_cycles(columns: int) -> int:
    """Cycles between one row's slot and the next one's."""
    return max(columns + 1, QUOTIENT_BITS + 1)


def word_latency(columns: int) -> int:
    """Cycles from the last score of row 0 to the word that ends with its first column; row r is r slots later, column
    c another c cycles.
    """
    return START_LATENCY + columns + SUM_LATENCY + 1 + QUOTIENT_BITS + 1 + WEIGHT_LATENCY


class SoftmaxUnit(wiring.Component):
    """Parameters
    ----------
    rows, lanes : of the array; lanes are the values in a word.
    columns : columns of the state, which is the number of scores in a row and of rows in all.
    banded : scores further than `BAND` columns from the diagonal count as 0.
    table : 255 exp(-i / 32).

    Members
    -------
    scores, valid, end : for each array row a score, the last of a row with `end`.
    channels : for each array row the number of its score row.
    mask : array rows that hold a score row, with row 0's `end`.
    fraction : fraction bits of the weights, less 7, with row 0's `end`.
    word, complete : a word and when it is; words come in raster order.
    """

    def __init__(self, *, rows: int, lanes: int, columns: int, banded: bool, table: Sequence[int]) -> None:
        self.rows = rows
        self.lanes = lanes
        self.columns = columns
        self.banded = banded
        self.table = table
        super().__init__(
            {
                "scores": In(data.ArrayLayout(signed(SCORE_BITS), rows)),
                "valid": In(rows),
                "end": In(rows),
                "channels": In(data.ArrayLayout(range(max(2, columns)), rows)),
                "mask": In(rows),
                "fraction": In(3),
                "word": Out(data.ArrayLayout(8, lanes)),
                "complete": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        columns = self.columns
        pending = Signal(self.rows)
        row = Signal(range(max(2, self.rows)))
        cycle = Signal(range(slot_cycles(columns)))
        fraction = Signal(3)
        reading = Signal()
        m.d.comb += reading.eq(pending[0] & (cycle < columns))
        queues, maxima = zip(*(self._row(m, r, reading & (row == r)) for r in range(self.rows)), strict=True)

        with m.If(cycle == slot_cycles(columns) - 1):
            m.d.sync += [cycle.eq(0), row.eq(row + 1), pending.eq(pending >> 1)]
        with m.Else():
            m.d.sync += cycle.eq(cycle + 1)
        mask = delay(m, self.mask, START_LATENCY - 1, name="mask")
        wanted = delay(m, self.fraction, START_LATENCY - 1, name="fraction")
        with m.If(delay(m, self.end[0], START_LATENCY - 1, name="start", reset_less=False)):
            m.d.sync += [cycle.eq(0), row.eq(0), pending.eq(mask), fraction.eq(wanted)]

        # exp: the score of turn t is chosen in cycle t + 1, below its maximum in t + 2, looked up in t + 3.
        maximum = Signal(signed(SCORE_BITS), reset_less=True)
        score = Signal.like(maximum)
        below = Signal(8, reset_less=True)
        with m.If(cycle == 0):
            m.d.sync += maximum.eq(Array(maxima)[row])
        m.d.sync += score.eq(Array(queues)[delay(m, row, 1, name="row")])
        distance = Signal(SCORE_BITS)
        m.d.comb += distance.eq(maximum - score)
        m.d.sync += below.eq(Mux(distance > 255, 255, distance))
        m.submodules.table = table = memory.Memory(shape=8, depth=256, init=self.table)
        port = table.read_port()
        m.d.comb += port.addr.eq(below)
        summing = delay(m, reading, SUM_LATENCY, name="reading", reset_less=False)
        first = delay(m, cycle == 0, SUM_LATENCY, name="first")
        total = Signal(range(255 * columns + 1), reset_less=True)
        with m.If(summing):
            m.d.sync += total.eq(Mux(first, 0, total) + port.data)
        summed = delay(m, reading & (cycle == columns - 1), SUM_LATENCY + 1, name="summed", reset_less=False)

        reciprocal, divided = self._divide(m, total, summed)
        scaling = Signal()
        turn = Signal(range(columns))
        ends = turn == columns - 1
        with m.If(divided):
            m.d.sync += [scaling.eq(1), turn.eq(0)]
        with m.Elif(scaling):
            m.d.sync += [turn.eq(turn + 1), scaling.eq(~ends)]
        exponential = self._queue(m, "exponentials", 4 * columns, 8, port.data, summing, scaling)
        m.submodules.multiplier = multiplier = Multiplier(QUOTIENT_BITS + 1, 9)
        m.d.comb += [multiplier.a.eq(reciprocal), multiplier.b.eq(exponential)]
        rounded = Signal(FRACTION + 2, reset_less=True)
        weight = Signal(8, reset_less=True)
        half = Signal(range(FRACTION - 7))
        quotient = Signal(FRACTION)
        m.d.comb += [half.eq(FRACTION - 8 - fraction), quotient.eq(rounded >> half >> 1)]
        m.d.sync += rounded.eq(multiplier.product + (1 << half))
        m.d.sync += weight.eq(Mux(quotient > 127, 127, quotient))
        self._pack(m, weight, delay(m, scaling, WEIGHT_LATENCY - 2, name="scaling", reset_less=False), ends)
        return m

    def _row(self, m: Module, r: int, take: Any) -> tuple[Any, Signal]:
        """Mask, maximum and queue of an array row; (score a cycle after `take`, maximum)."""
        score = Signal(signed(SCORE_BITS), name=f"score{r}", reset_less=True)
        m.d.sync += score.eq(self.scores[r])
        if self.banded:
            column = Signal(range(self.columns + 1), name=f"column{r}")
            with m.If(self.valid[r]):
                m.d.sync += column.eq(Mux(self.end[r], 0, column + 1))
            far = (column > self.channels[r] + BAND) | (self.channels[r] > column + BAND)
            with m.If(far):
                m.d.sync += score.eq(0)
        valid = delay(m, self.valid[r], 1, name=f"valid{r}", reset_less=False)
        end = delay(m, self.end[r], 1, name=f"end{r}")
        fresh = Signal(name=f"fresh{r}", init=1)
        running = Signal.like(score, name=f"running{r}")
        highest = Signal.like(score, name=f"highest{r}")
        # Another pass may begin before this row's slot.
        maximum = Signal.like(score, name=f"maximum{r}")
        m.d.comb += highest.eq(Mux(fresh | (score > running), score, running))
        with m.If(valid):
            m.d.sync += [fresh.eq(end), running.eq(highest)]
            with m.If(end):
                m.d.sync += maximum.eq(highest)
        return self._queue(m, f"queue{r}", 2 * self.columns, signed(SCORE_BITS), score, valid, take), maximum

    def _queue(self, m: Module, name: str, depth: int, shape: Any, value: Any, put: Any, take: Any) -> Any:
        """A queue that is never full nor read while empty: the value taken, a cycle later."""
        m.submodules[name] = mem = memory.Memory(shape=shape, depth=depth, init=[])
        write, read = mem.write_port(), mem.read_port()
        m.d.comb += [write.data.eq(value), write.en.eq(put)]
        for port, step in ((write, put), (read, take)):
            place = Signal(range(depth), name=f"{name}_{'put' if port is write else 'taken'}")
            m.d.comb += port.addr.eq(place)
            with m.If(step):
                m.d.sync += place.eq(Mux(place == depth - 1, 0, place + 1))
        return read.data

    def _divide(self, m: Module, total: Signal, start: Any) -> tuple[Signal, Signal]:
        """(floor(2^24 / total), pulse when it is), a quotient bit a cycle from `start` on."""
        divisor = Signal.like(total)
        remainder = Signal(len(total) + 1)
        quotient = Signal(QUOTIENT_BITS)
        result = Signal(QUOTIENT_BITS, reset_less=True)
        left = Signal(range(QUOTIENT_BITS + 1))
        done = Signal()
        doubled = Signal(len(total) + 1)
        m.d.comb += doubled.eq(remainder << 1)
        with m.If(left != 0):
            m.d.sync += [left.eq(left - 1), quotient.eq((quotient << 1) | (doubled >= divisor))]
            m.d.sync += remainder.eq(Mux(doubled >= divisor, doubled - divisor, doubled))
        m.d.sync += done.eq(left == 1)
        with m.If(start):
            # The dividend's upper bits, 2^7, are less than any divisor: their quotient bits are zero.
            m.d.sync += [divisor.eq(total), remainder.eq(1 << (FRACTION - QUOTIENT_BITS)), left.eq(QUOTIENT_BITS)]
        with m.If(done):
            m.d.sync += result.eq(quotient)
        return result, done

    def _pack(self, m: Module, weight: Signal, soon: Any, ends: Any) -> None:
        """Weights into words; `soon` a cycle before each weight, `ends` with a row's last turn."""
        m.submodules.packer = packer = Packer(self.lanes)
        lane = Signal(range(self.lanes))
        last = delay(m, ends, WEIGHT_LATENCY - 2, name="ends")
        full = (lane == self.lanes - 1) | last
        with m.If(soon):
            m.d.sync += lane.eq(Mux(full, 0, lane + 1))
        m.d.comb += [packer.valid.eq(soon), packer.lane.eq(lane), packer.value.eq(weight), self.word.eq(packer.word)]
        m.d.comb += self.complete.eq(delay(m, soon & full, 2, name="complete", reset_less=False))
