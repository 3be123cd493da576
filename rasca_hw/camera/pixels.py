"""A sensor's data lines to pixels: RGB565 in two bytes, and grey of 8 bits in one clock, two or eight."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


@dataclass(frozen=True)
class Bus:
    """`clocks` of pclk a pixel, in each of which `lines` data lines count, D[0] upwards."""

    lines: int
    clocks: int
    grey: bool


class Format(Enum):
    """How pixels travel on the data lines."""

    RGB565 = Bus(lines=8, clocks=2, grey=False)
    GREY8 = Bus(lines=8, clocks=1, grey=True)
    GREY4 = Bus(lines=4, clocks=2, grey=True)
    GREY1 = Bus(lines=1, clocks=8, grey=True)


class Assembler(wiring.Component):
    """Puts pixels together. Colours of 5 or 6 bits become bytes by repeating their highest bits; 31 and 63 become 255.

    Parameters
    ----------
    format : of the data.
    high_first : whether the first clock of a pixel carries its highest bits.

    Members
    -------
    active, data : a clock of a line, and its data.
    ended : the line ended (not together with `active`).
    valid, colours : a pixel is complete in this clock; r lowest, 24 bits.
    partial : with `ended`: the line's last pixel is not complete, and is dropped.
    """

    def __init__(self, *, format: Format, high_first: bool) -> None:
        self.format = format
        self.high_first = high_first
        super().__init__(
            {
                "active": In(1),
                "data": In(8),
                "ended": In(1),
                "valid": Out(1),
                "colours": Out(24),
                "partial": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bus = self.format.value
        lines = self.data[: bus.lines]
        count = Signal(range(bus.clocks))
        before = Signal(bus.lines * (bus.clocks - 1))
        word = Cat(lines, before) if self.high_first else Cat(before, lines)
        with m.If(self.active):
            m.d.sync += count.eq(count + 1)
            m.d.sync += before.eq(word if self.high_first else word[bus.lines :])
            with m.If(count == bus.clocks - 1):
                m.d.sync += count.eq(0)
        with m.If(self.ended):
            m.d.sync += count.eq(0)
        if bus.grey:
            colours = Cat(word, word, word)
        else:
            r, g, b = word[11:], word[5:11], word[:5]
            colours = Cat(r[2:], r, g[4:], g, b[2:], b)
        m.d.comb += [
            self.valid.eq(self.active & (count == bus.clocks - 1)),
            self.partial.eq(self.ended & (count != 0)),
            self.colours.eq(colours),
        ]
        return m
