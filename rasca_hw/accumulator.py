"""A sum that starts again at any time, at one lookup table a bit.

On an ECP5 the carry chain is instantiated: Yosys spends a second table a bit on leaving out the old sum. Elsewhere it
is plain logic.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Instance, Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

TABLE = 0xAA5A
"""A + (C and not D) in both halves of a CCU2C: what it propagates; its lowest four bits, A, are what it generates."""


class Accumulator(wiring.Component):
    """`sum <= (0 if first else sum) + value`.

    Parameters
    ----------
    value, sum : shapes; the sum wraps.
    """

    def __init__(self, value: Any, sum: Any) -> None:
        super().__init__({"value": In(value), "first": In(1), "sum": Out(sum)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        total = Signal.like(self.sum, name="total", reset_less=True)
        m.d.comb += self.sum.eq(total)
        if not str(getattr(platform, "device", "")).startswith("LFE5U"):
            m.d.sync += total.eq(Mux(self.first, 0, total) + self.value)
            return m
        width = len(total)
        even = width + width % 2
        value = Signal(Shape(even, Shape.cast(self.value.shape()).signed))
        old, after = Signal(even), Signal(even)
        m.d.comb += [value.eq(self.value), old.eq(total)]
        carry: Any = Const(0, 1)
        for low in range(0, even, 2):
            words = {"A": value[low:], "B": Const(0, 2), "C": old[low:], "D": self.first.replicate(2)}
            carry_out = Signal(name=f"carry{low + 2}")
            m.submodules[f"bits{low}"] = Instance(
                "CCU2C",
                **{f"p_INIT{i}": Const(TABLE, 16) for i in range(2)},
                **{f"p_INJECT1_{i}": "NO" for i in range(2)},
                **{f"i_{pin}{i}": word[i] for pin, word in words.items() for i in range(2)},
                **{f"o_S{i}": after[low + i] for i in range(2)},
                i_CIN=carry,
                o_COUT=carry_out,
            )
            carry = carry_out
        m.d.sync += total.eq(Cat(after[:width]))
        return m
