"""One counter for everything that waits: time-outs, pauses, a light that blinks."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out


def period_bits(cycles: float) -> int:
    """Of the shortest period that is a power of two and not shorter than so many cycles."""
    return max(1, (round(cycles) - 1).bit_length())


class Heartbeat(wiring.Component):
    """Pulses at a steady rate. Who waits for two of them in a row waits for one period at least, and two at most.

    Parameters
    ----------
    short, long, blink : periods in cycles, each made longer to a power of two.

    Members
    -------
    short, long : 1 for a cycle in each period.
    blink : 1 for half of each period.
    """

    def __init__(self, *, short: float, long: float, blink: float = 2) -> None:
        self.periods = {"short": period_bits(short), "long": period_bits(long)}
        self.blink_bits = period_bits(blink)
        super().__init__({"short": Out(1), "long": Out(1), "blink": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        count = Signal(max(*self.periods.values(), self.blink_bits))
        m.d.sync += count.eq(count + 1)
        for name, bits in self.periods.items():
            top = Signal(name=f"{name}_top")
            m.d.sync += top.eq(count[bits - 1])
            m.d.comb += getattr(self, name).eq(top & ~count[bits - 1])
        m.d.comb += self.blink.eq(count[self.blink_bits - 1])
        return m
