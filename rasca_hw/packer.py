"""Values in raster order into words of C lanes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class Packer(wiring.Component):
    """Puts `value` into `lane` of `word` a cycle later; lane 0 first fills the others with `fill`.

    The word holds until its lane 0 comes again. Lanes past the end of a row so hold a stored zero, as the feeder
    expects.
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
        for lane in range(self.columns):
            byte = Signal(8, name=f"lane{lane}", reset_less=True)
            with m.If(self.valid & (self.lane == lane)):
                m.d.sync += byte.eq(self.value)
            with m.Elif(self.valid & (self.lane == 0)):
                m.d.sync += byte.eq(self.fill)
            m.d.comb += self.word[lane].eq(byte)
        return m
