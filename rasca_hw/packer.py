"""Values in raster order into words of C lanes."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class Packer(wiring.Component):
    """Puts `value` into `lane` of `word` a cycle later; lane 0 first fills the others with `fill`.

    The word holds until its lane 0 comes again. Lanes past the end of a row so hold a stored zero, as the feeder expects.
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
        with m.If(self.valid):
            with m.If(self.lane == 0):
                for lane in range(1, self.columns):
                    m.d.sync += self.word[lane].eq(self.fill)
            for lane in range(self.columns):
                with m.If(self.lane == lane):
                    m.d.sync += self.word[lane].eq(self.value)
        return m
