"""Features on their way from the heads' engine to the next one, and who may touch them.

The heads' words wait here for a free cycle of the receiving memory's write port. One set of features exists at a time:

    free --credit_taken--> filling --all words written--> full --taken--> in use --given--> free
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out


class FeatureLink(wiring.Component):
    """Parameters
    ----------
    groups, columns, address_width : of the sender's groups and the receiver's memory.
    words : words in a set; step : address distance between the groups' features.
    depth : words that can wait, for each group; the generator proves that no more ever do.

    Members
    -------
    put, address, word : for each group a word to send.
    get, out_address, out_word, ready : a word to write, taken when ready.
    credit, credit_taken, full, taken, given : see above.
    cut, cut_due, cut_taken : the sender gave up a frame; due once all sets before it are used, no credit until taken.
    """

    def __init__(self, *, groups: int, columns: int, address_width: int, words: int, step: int, depth: int) -> None:
        self.groups = groups
        self.words = words
        self.step = step
        self.depth = depth
        self.word_layout = data.ArrayLayout(8, columns)
        self.address_width = address_width
        super().__init__(
            {
                "put": In(groups),
                "address": In(address_width),
                "word": In(self.word_layout).array(groups),
                "get": Out(1),
                "out_address": Out(address_width),
                "out_word": Out(self.word_layout),
                "ready": In(1),
                "credit": Out(1),
                "credit_taken": In(1),
                "full": Out(1),
                "taken": In(1),
                "given": In(1),
                "cut": In(1),
                "cut_due": Out(1),
                "cut_taken": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        fifos = []
        for group in range(self.groups):
            fifo = SyncFIFOBuffered(width=self.address_width + self.word_layout.size, depth=self.depth)
            m.submodules[f"fifo{group}"] = fifo
            address = Signal(self.address_width, name=f"address{group}")
            m.d.comb += [
                address.eq(self.address + group * self.step),
                fifo.w_en.eq(self.put[group]),
                fifo.w_data.eq(Cat(address, self.word[group])),
            ]
            fifos.append(fifo)

        def offer(candidates: list[SyncFIFOBuffered]) -> None:
            """The first group that has a word."""
            fifo, *others = candidates
            with m.If(fifo.r_rdy):
                m.d.comb += [
                    self.get.eq(1),
                    Cat(self.out_address, self.out_word).eq(fifo.r_data),
                    fifo.r_en.eq(self.ready),
                ]
            if others:
                with m.Else():
                    offer(others)

        offer(fifos)
        written = Signal(range(self.words + 1))
        with m.If(self.get & self.ready):
            m.d.sync += written.eq(written + 1)
        cut = Signal()
        with m.If(self.cut):
            m.d.sync += cut.eq(1)
        with m.If(self.cut_taken):
            m.d.sync += cut.eq(0)
        with m.FSM():
            with m.State("Free"):
                m.d.comb += [self.credit.eq(~cut), self.cut_due.eq(cut)]
                with m.If(self.credit_taken):
                    m.next = "Filling"
            with m.State("Filling"):
                with m.If(written == self.words):
                    m.d.sync += written.eq(0)
                    m.next = "Full"
            with m.State("Full"):
                m.d.comb += self.full.eq(1)
                with m.If(self.taken):
                    m.next = "In use"
            with m.State("In use"):
                with m.If(self.given):
                    m.next = "Free"
        return m
