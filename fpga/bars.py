"""Confidence after each row group as the length of a bar: softmax by comparison, without an exponential.

The length is the number of k in 1 to levels - 1 with margin >= threshold(k), the margin being the logit of class 1 less
that of class 0: the probability of class 1 times `levels`, rounded down.
"""

from __future__ import annotations

from math import ceil, log
from typing import Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from rasca_hw.interfaces import confidence_layout

CLASSES = 2
MARGIN_BITS = 33


def threshold(k: int, levels: int, scale: float) -> int:
    """The least margin whose probability is k / levels or more; `scale` is that of the logits."""
    return ceil(log(k / (levels - k)) / scale)


class Bars(wiring.Component):
    """A bar takes `levels` + 5 cycles; a confidence that comes meanwhile waits.

    Parameters
    ----------
    levels : of the length; a power of two.
    scale : of the logits.

    Members
    -------
    confidences : of the accelerator.
    step, length, valid : a bar; `step` counts from 0.
    """

    def __init__(self, *, levels: int, scale: float) -> None:
        limit = 1 << (MARGIN_BITS - 1)
        self.levels = levels
        self.thresholds = [max(-limit, min(limit - 1, threshold(k, levels, scale))) for k in range(1, levels)]
        super().__init__(
            {
                "confidences": In(stream.Signature(confidence_layout(CLASSES))),
                "step": Out(8),
                "length": Out(range(levels)),
                "valid": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        mask = (1 << MARGIN_BITS) - 1
        init = [t & mask for t in self.thresholds]
        m.submodules.rom = rom = memory.Memory(shape=MARGIN_BITS, depth=len(init), init=init)
        read = rom.read_port()
        item = self.confidences.payload
        margin = Signal(signed(MARGIN_BITS))
        limit = Signal(signed(MARGIN_BITS))
        # Behind the address: the ROM, the register behind it, the comparison.
        valid = Signal(3)
        reached = Signal()
        m.d.comb += valid[0].eq(0)
        m.d.sync += [limit.eq(read.data), reached.eq(margin >= limit), valid[1:].eq(valid)]
        counted = Signal()
        m.d.sync += counted.eq(valid[2])
        with m.If(counted & reached):
            m.d.sync += self.length.eq(self.length + 1)
        m.d.sync += self.valid.eq(0)
        with m.FSM():
            with m.State("Wait"):
                m.d.comb += self.confidences.ready.eq(1)
                m.d.sync += [margin.eq(item.logits[1] - item.logits[0]), self.step.eq(item.step - 1)]
                m.d.sync += read.addr.eq(0)
                with m.If(self.confidences.valid):
                    m.d.sync += self.length.eq(0)
                    m.next = "Compare"
            with m.State("Compare"):
                m.d.comb += valid[0].eq(1)
                m.d.sync += read.addr.eq(read.addr + 1)
                with m.If(read.addr == len(init) - 1):
                    m.next = "Drain"
            with m.State("Drain"):
                with m.If(~valid.any() & ~counted):
                    m.d.sync += self.valid.eq(1)
                    m.next = "Wait"
        return m
