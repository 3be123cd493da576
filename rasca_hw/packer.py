"""Values in raster order into words of C lanes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .array import delay


class Packer(wiring.Component):
    """Puts `value` into `lane` of `word`; lane 0 first fills the others with `fill`.

    `valid`, `lane` and `fill` come a cycle before the value, which is in `word` a cycle after it came. The word holds
    until its lane 0 comes again. Lanes past the end of a row so hold a stored zero, as the feeder expects.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        super().__init__(
            {
                "valid": In(1),
                "value": In(8),
                "lane": In(range(columns)),
                "fill": In(8),
                "word": Out(data.ArrayLayout(8, columns)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        fill = delay(m, self.fill, 1, name="fill")
        for lane in range(self.columns):
            byte = Signal(8, name=f"lane{lane}", reset_less=True)
            mine = Signal(name=f"mine{lane}")
            write = Signal(name=f"write{lane}")
            m.d.sync += [
                mine.eq(self.lane == lane),
                write.eq(self.valid & ((self.lane == lane) | (self.lane == 0))),
            ]
            with m.If(write):
                m.d.sync += byte.eq(Mux(mine, self.value, fill))
            m.d.comb += self.word[lane].eq(byte)
        return m
