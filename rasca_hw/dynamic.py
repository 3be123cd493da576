"""Weights that are computed: for the products of two activations in spatial attention.

V A: row r of the array leaves V's channels r, R + r, ... in its own scratch memory, column after column, which is the
order in which V A takes them as weights. H^T K: a word of the operand memory holds C columns of one channel of H; the
array's rows take R neighbouring lanes of it.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .array import delay
from .program import Weights

LATENCY = 4
"""Cycles from a tap's address to its weights; the feeder's."""
FIXED_LATENCY = 3
"""Cycles from a tap's address to `fixed` and `operand`."""


class DynamicWeights(wiring.Component):
    """Members
    -------
    source, address, lane_group : of a tap.
    fixed, operand : words of the weight memory and of the operand memory, `FIXED_LATENCY` later.
    word : the chosen weights, `LATENCY` later.
    values, write, filling : for each row a value, whether to keep it, and whether its layer is one that fills the
        scratch memories; each such layer fills them from the start.
    """

    def __init__(self, *, rows: int, columns: int, depth: int) -> None:
        self.rows = rows
        self.columns = columns
        self.depth = depth
        super().__init__(
            {
                "source": In(Weights),
                "address": In(range(depth)),
                "lane_group": In(range(max(2, -(-columns // rows)))),
                "fixed": In(8 * rows),
                "operand": In(8 * columns),
                "word": Out(8 * rows),
                "values": In(data.ArrayLayout(8, rows)),
                "write": In(rows),
                "filling": In(rows),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kept = []
        for r in range(self.rows):
            m.submodules[f"scratch{r}"] = scratch = memory.Memory(shape=8, depth=self.depth, init=[])
            read, write = scratch.read_port(), scratch.write_port()
            m.d.comb += [
                read.addr.eq(self.address),
                write.data.eq(self.values[r]),
                write.en.eq(self.write[r] & self.filling[r]),
            ]
            place = Signal(range(self.depth), name=f"place{r}")
            m.d.comb += write.addr.eq(place)
            with m.If(~self.filling[r]):
                m.d.sync += place.eq(0)
            with m.Elif(self.write[r]):
                m.d.sync += place.eq(place + 1)
            kept.append(delay(m, read.data, FIXED_LATENCY - 1, name=f"kept{r}"))
        width = 8 * self.rows
        groups = [self.operand[start : start + width] for start in range(0, 8 * self.columns, width)]
        lanes = Array(groups)[delay(m, self.lane_group, FIXED_LATENCY, name="lane_group")]
        source = delay(m, self.source, FIXED_LATENCY, name="source")
        word = Signal(width, reset_less=True)
        m.d.sync += word.eq(Mux(source == Weights.ROM, self.fixed, Mux(source == Weights.SCRATCH, Cat(*kept), lanes)))
        m.d.comb += self.word.eq(word)
        return m
