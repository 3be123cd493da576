"""The broadcast array: the systolic array's sums from fewer registers, for small parts with slow clocks.

    weights (R) and activations (C) go to all R x C multipliers at once
    sum <= sum + weight * activation; 0 between passes
    after a pass the sums move into a chain: row 0, column 0 <- row 0, column 1 <- ... <- the last

No operand is kept on its way, and the sums leave through one post-processing row for all, one a cycle. A pass
therefore takes at least R x C cycles, and between two passes a cycle is left free: a sum is there for a cycle before
it starts again, so that on an iCE40 its adder and its register share a logic cell.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .array import delay
from .multiplier import PAIR_LATENCY, MultiplierPair

LATENCY = PAIR_LATENCY + 2
"""Cycles from a pass's last operands to the sum of row 0, column 0."""


class BroadcastArray(wiring.Component):
    """R x C multiply-accumulates a cycle.

    Members
    -------
    activations, weights : operands of this cycle, where `active`.
    last : marks a pass's last tap; taps of a pass come without a break, `active` is 0 for a cycle behind them, and
        the pass's end comes at least R x C cycles after that of the one before.
    sum : `LATENCY` cycles after `last` row 0, column 0, then column 1, ..., for R x C cycles.
    start : the first of them comes in the next cycle.
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
                "start": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.d.comb += self.start.eq(delay(m, self.last, LATENCY - 1, name="last", reset_less=False))
        taken = delay(m, self.active, 1, name="taken", reset_less=False)
        active = delay(m, taken, PAIR_LATENCY - 1, name="active", reset_less=False)
        # The multipliers rest where no operands come.
        enable = Signal()
        m.d.comb += enable.eq(self.active | taken)
        after: Any = 0
        for place in reversed(range(self.rows * self.columns)):
            if place % 2:
                m.submodules[f"pair{place // 2}"] = pair = MultiplierPair()
                m.d.comb += pair.enable.eq(enable)
                for half in range(2):
                    row, column = divmod(place - 1 + half, self.columns)
                    m.d.comb += [pair.a[half].eq(self.weights[row]), pair.b[half].eq(self.activations[column])]
            total = Signal(signed(self.acc_width), name=f"total{place}", reset_less=True)
            chain = Signal.like(total, name=f"chain{place}", reset_less=True)
            m.d.sync += [total.eq(total + pair.product[place % 2]), chain.eq(Mux(self.start, total, after))]
            # Last, so that it becomes the flip-flop's own reset.
            with m.If(~active):
                m.d.sync += total.eq(0)
            after = chain
        m.d.comb += self.sum.eq(after)
        return m
