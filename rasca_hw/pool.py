"""Pooling of the hidden state for the classifier: mean, or mean + max, over the columns.

`p = clamp((S * m + 2^13) >> 14)` or `p = clamp((S * m + M * 2^14 + 2^14) >> 15)`, m = round(2^14 / n); see
docs/numerics.md.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .array import delay
from .multiplier import LATENCY as MULTIPLIER_LATENCY
from .multiplier import Multiplier

FRACTION = 14
LATENCY = MULTIPLIER_LATENCY + 5
"""Cycles from a row's last value to its `pooled`."""


class StatePool(wiring.Component):
    """One multiplier for all rows, whose ends come a cycle apart.

    Members
    -------
    values, valid, end : for each row a signed value of the state; `end` with the last column of a channel.
    pooled, done : p, `LATENCY` cycles after `end` of some row, in the order of the rows.
    """

    def __init__(self, *, rows: int, columns: int, with_max: bool) -> None:
        self.rows = rows
        self.columns = columns
        self.with_max = with_max
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
        total_shape = signed(8 + self.columns.bit_length())
        chosen_sum = Signal(total_shape)
        chosen_max = Signal(signed(8))
        chosen = Signal()
        for r in range(self.rows):
            total = Signal(total_shape, name=f"sum{r}", reset_less=True)
            maximum = Signal(signed(8), name=f"max{r}", reset_less=True)
            fresh = Signal(name=f"fresh{r}", init=1)
            value = self.values[r]
            with m.If(self.valid[r]):
                m.d.sync += [
                    total.eq(Mux(fresh, 0, total) + value),
                    maximum.eq(Mux(fresh | (value > maximum), value, maximum)),
                    fresh.eq(self.end[r]),
                ]
            ended = delay(m, self.end[r], 1, name=f"end{r}", reset_less=False)
            with m.If(ended):
                m.d.sync += [chosen_sum.eq(total), chosen_max.eq(maximum)]
        m.d.sync += chosen.eq(delay(m, self.end, 1, name="ends", reset_less=False).any())

        reciprocal = ((1 << FRACTION) * 2 + self.columns) // (2 * self.columns)
        m.submodules.multiplier = multiplier = Multiplier(chosen_sum.shape().width, FRACTION + 2)
        m.d.comb += [multiplier.a.eq(chosen_sum), multiplier.b.eq(reciprocal)]
        product = delay(m, multiplier.product, 1, name="product")
        maximum = delay(m, chosen_max, MULTIPLIER_LATENCY + 1, name="max")
        p = Signal(signed(16))
        if self.with_max:
            m.d.sync += p.eq((product + (maximum << FRACTION) + (1 << FRACTION)) >> (FRACTION + 1))
        else:
            m.d.sync += p.eq((product + (1 << (FRACTION - 1))) >> FRACTION)
        m.d.sync += self.pooled.eq(Mux(p < -128, -128, Mux(p > 127, 127, p)))
        m.d.comb += self.done.eq(delay(m, chosen, MULTIPLIER_LATENCY + 3, name="done", reset_less=False))
        return m
