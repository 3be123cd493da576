"""Pooling of the state as in :mod:`rasca_hw.pool`, for rows whose channels end one after another, without a multiplier.

`S * m` is made from digits of m, the lowest first: `product <- (product + digit * S) / 4`, where what is divided off
matters only for rounding. Digits are -1 to 2, so that each takes one addition; `spacing` cycles have to do for all.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .array import delay

FRACTION = 14
MOST_COLUMNS = 127
"""Up to here m is so near to 2^14 / n that no mean leaves the range, and nothing has to be clamped."""


def reciprocal_digits(columns: int) -> list[int]:
    """round(2^14 / n) in digits of -1 to 2, the lowest first, up to that of 2^14."""
    rest = ((1 << FRACTION) * 2 + columns) // (2 * columns)
    digits = []
    for _ in range(FRACTION // 2 + 1):
        digit = (rest + 1) % 4 - 1
        digits.append(digit)
        rest = (rest - digit) // 4
    assert rest == 0
    return digits


def latency(rows: int, spacing: int) -> int:
    """Cycles from a row's end to its `pooled`."""
    return rows * spacing + 2


class SerialPool(wiring.Component):
    """Parameters
    ----------
    rows, columns, with_max : as of :class:`~rasca_hw.pool.StatePool`.
    spacing : cycles from one row's end to the next one's; after the last row nothing comes until all are pooled.

    Members
    -------
    values, valid, end : for each row a signed value of the state; `end` with the last column of a channel. Row 0's end
        is never missing.
    pooled, done : p, `latency` cycles after `end` of its row.
    """

    def __init__(self, *, rows: int, columns: int, with_max: bool, spacing: int) -> None:
        if not 1 <= columns <= MOST_COLUMNS:
            raise ValueError(f"columns must be 1 to {MOST_COLUMNS}, not {columns!r}")
        self.rows = rows
        self.columns = columns
        self.with_max = with_max
        self.spacing = spacing
        self.latency = latency(rows, spacing)
        super().__init__(
            {
                "values": In(data.ArrayLayout(signed(8), rows)),
                "valid": In(rows),
                "end": In(rows),
                "pooled": Out(signed(8)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        # Turns of `spacing` cycles from row 0's end on; in each of the last `rows` of them one row is multiplied.
        cycle, turn = Signal(range(self.spacing)), Signal(range(2 * self.rows - 1))
        running, turn_ends = Signal(), Signal()
        m.d.comb += turn_ends.eq(running & (cycle == self.spacing - 1))
        with m.If(running):
            m.d.sync += cycle.eq(Mux(turn_ends, 0, cycle + 1))
        with m.If(turn_ends):
            m.d.sync += turn.eq(turn + 1)
            with m.If(turn == 2 * self.rows - 2):
                m.d.sync += [turn.eq(0), running.eq(0)]
        with m.If(delay(m, self.end[0], 1, name="started", reset_less=False)):
            m.d.sync += running.eq(1)

        total = Signal(signed(8 + self.columns.bit_length()))
        maximum = Signal(signed(8))
        m.d.sync += self.done.eq(0)
        for r in range(self.rows):
            own_total = Signal.like(total, name=f"sum{r}")
            own_maximum = Signal(signed(8), name=f"max{r}", init=-128)
            ended = Signal(name=f"ended{r}")
            value = self.values[r]
            with m.If(self.valid[r]):
                m.d.sync += own_total.eq(own_total + value)
                with m.If(value > own_maximum):
                    m.d.sync += own_maximum.eq(value)
            with m.If(self.end[r]):
                m.d.sync += ended.eq(1)
            mine = turn == self.rows - 1 + r
            with m.If(mine):
                m.d.comb += [total.eq(own_total), maximum.eq(own_maximum)]
            # In one condition, not two: that is a reset of the registers and takes no logic.
            with m.If(mine & turn_ends):
                m.d.sync += [self.done.eq(ended), ended.eq(0), own_total.eq(0), own_maximum.eq(-128)]
        product, half = self._multiply(m, total, cycle, running, turn_ends)
        if self.with_max:
            m.d.sync += self.pooled.eq((product + maximum + 1) >> 1)
        else:
            m.d.sync += self.pooled.eq(product + half)
        return m

    def _multiply(self, m: Module, total: Signal, cycle: Signal, running: Signal, turn_ends: Signal) -> tuple[Any, Any]:
        """In a turn's last cycle the product's bits from 2^14 on, and the one below."""
        digits = reciprocal_digits(self.columns)
        steps = -(-len(digits) // self.spacing)
        # Leading zeros do nothing.
        digits = [0] * (steps * self.spacing - len(digits)) + digits
        rest, half = Signal.like(total, name="rest"), Signal()
        above, bit = rest, half
        for step in range(steps):
            one, two, minus = (Signal(name=f"{name}{step}") for name in ("one", "two", "minus"))
            with m.Switch(cycle):
                for i in range(self.spacing):
                    digit = digits[i * steps + step]
                    with m.Case(i):
                        m.d.comb += [one.eq(digit == 1), two.eq(digit == 2), minus.eq(digit == -1)]
            addend = Signal(signed(len(total) + 1), name=f"addend{step}")
            with m.If(one):
                m.d.comb += addend.eq(total)
            with m.If(two):
                m.d.comb += addend.eq(total << 1)
            with m.If(minus):
                m.d.comb += addend.eq(~total)
            # ~S + 1 is -S: the 1 is carried into the sum from below.
            product = Signal(signed(len(total) + 2), name=f"product{step}")
            before = bit
            m.d.comb += product.eq((Cat(Const(1, 1), above).as_signed() + Cat(minus, addend).as_signed()) >> 1)
            above, bit = product >> 2, product[1]
        with m.If(running):
            m.d.sync += [rest.eq(Mux(turn_ends, 0, above)), half.eq(Mux(turn_ends, 0, bit))]
        return product, before
