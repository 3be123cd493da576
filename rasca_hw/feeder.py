"""From words of activations to the array's operands: the three shifted windows of a 3-wide kernel, without im2col.

A wide tap group reads the previous, the current and the next word in three cycles; each read feeds one window, so
that one read a cycle is enough:

    read      previous   current    next
    window    {p[-1], c[0..C-2]}   {c[0..C-1]}   {c[1..C-1], n[0]}

A 1-wide tap reads and passes on the current word. Outside the image the window holds the stored form of zero.
"""

from typing import Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .array import delay

LATENCY = 4
SHORT_LATENCY = 2
"""Cycles from a tap's address to its operands; the short way has no register behind the memory and none behind the
windows.
"""


class Tap(data.Struct):
    """What the feeder has to know of a read, beside its address."""

    window: 2
    """0, 1, 2: left, centre, right."""
    left_edge: 1
    """The left window's first column is outside the image."""
    right_edge: 1
    """The right window's last column is outside the image."""
    pad_low: 1
    """Zero is stored as -128 (unsigned tensors), else as 0."""


class Feeder(wiring.Component):
    """Forms windows. `word` is the memory's output for the tap of the cycle before, with `reads_lines` it is
    `line_word` where `lines` says so; `operands` come `LATENCY` cycles after the tap, `SHORT_LATENCY` with `short`.
    """

    def __init__(self, columns: int, *, short: bool = False, reads_lines: bool = False) -> None:
        self.columns = columns
        self.short = short
        self.reads_lines = reads_lines
        word = data.ArrayLayout(signed(8), columns)
        lines = {"lines": In(1), "line_word": In(word)} if reads_lines else {}
        super().__init__({"tap": In(Tap), "word": In(word), **lines, "operands": Out(word)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        last = self.columns - 1
        # A block RAM's output comes late in its cycle: the long way chooses between two of them in the next one.
        behind = 0 if self.short else 1
        newer = Signal.like(self.word)
        m.d.comb += newer.eq(delay(m, self.word, behind, name="word"))
        if self.reads_lines:
            with m.If(delay(m, self.lines, behind, name="lines")):
                m.d.comb += newer.eq(delay(m, self.line_word, behind, name="line_word"))
        current = delay(m, newer, 1, name="current")
        older = delay(m, current, 1, name="older")
        tap = delay(m, self.tap, 2 if self.short else 3, name="tap")
        domain = m.d.comb if self.short else m.d.sync
        pad = Signal(signed(8))
        m.d.comb += pad.eq(tap.pad_low << 7)
        operands = Signal.like(self.operands, reset_less=not self.short)
        with m.Switch(tap.window):
            with m.Case(0):
                for lane in range(1, self.columns):
                    domain += operands[lane].eq(newer[lane - 1])
                domain += operands[0].eq(current[last])
                with m.If(tap.left_edge):
                    domain += operands[0].eq(pad)
            with m.Case(1):
                domain += operands.eq(current)
            with m.Default():
                for lane in range(self.columns - 1):
                    domain += operands[lane].eq(older[lane + 1])
                domain += operands[last].eq(current[0])
                with m.If(tap.right_edge):
                    domain += operands[last].eq(pad)
        m.d.comb += self.operands.eq(operands)
        return m
