"""The broadcast array: the systolic array's sums from fewer registers, for small parts with slow clocks.

    weights (R) and activations (C) go to all R x C multipliers at once
    sum <= sum + weight * activation; 0 between passes
    with a pass's last product the sums move into a chain: row 0, column 0 <- row 0, column 1 <- ... <- the last

No operand is kept on its way, and the sums leave through one post-processing row for all, one a cycle. A pass
therefore takes at least R x C cycles.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .array import delay
from .multiplier import PAIR_LATENCY, MultiplierPair

LATENCY = 0
"""Cycles from a pass's last operands to `valid` of row 0, column 0."""
LEAD = PAIR_LATENCY + 1
"""Cycles from `valid` to its sum: the bias is fetched meanwhile."""


class BroadcastArray(wiring.Component):
    """R x C multiply-accumulates a cycle.

    Members
    -------
    activations, weights : operands of this cycle, where `active`.
    last : marks a pass's last tap; taps of a pass come without a break, its end at least R x C cycles after the one
        before.
    valid : for R x C cycles; `sum` `LEAD` cycles later, row 0 first, column 0 first.
    """

    def __init__(self, *, rows: int, columns: int, acc_width: int) -> None:
        if columns % 2:
            raise ValueError(f"columns must be even, not {columns!r}")
        self.rows = rows
        self.columns = columns
        self.acc_width = acc_width
        super().__init__(
            {
                "activations": In(data.ArrayLayout(signed(8), columns)),
                "weights": In(data.ArrayLayout(signed(8), rows)),
                "active": In(1),
                "last": In(1),
                "sum": Out(signed(acc_width)),
                "valid": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        count = self.rows * self.columns
        left = Signal(range(count))
        with m.If(self.last):
            m.d.sync += left.eq(count - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.comb += self.valid.eq(self.last | (left != 0))

        ends = delay(m, self.last, PAIR_LATENCY, name="ends", reset_less=False)
        between = ends | ~delay(m, self.active, PAIR_LATENCY, name="active", reset_less=False)
        after: Any = 0
        for place in reversed(range(count)):
            if place % 2:
                m.submodules[f"pair{place // 2}"] = pair = MultiplierPair()
                for half in range(2):
                    row, column = divmod(place - 1 + half, self.columns)
                    m.d.comb += [pair.a[half].eq(self.weights[row]), pair.b[half].eq(self.activations[column])]
            total = Signal(signed(self.acc_width), name=f"total{place}", reset_less=True)
            following = Signal.like(total, name=f"following{place}")
            chain = Signal.like(total, name=f"chain{place}", reset_less=True)
            m.d.comb += following.eq(total + pair.product[place % 2])
            m.d.sync += [total.eq(following), chain.eq(Mux(ends, following, after))]
            # Last, so that it becomes the flip-flop's own reset.
            with m.If(between):
                m.d.sync += total.eq(0)
            after = chain
        m.d.comb += self.sum.eq(after)
        return m
