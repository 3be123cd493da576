"""Stands for the accelerator: a result that tells which pixels came, and whether their marks were right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from fpga.protocol import Identity
from rasca_hw.interfaces import Pixel, confidence_layout, result_layout
from rasca_hw.spram import LOAD

IDENTITY = Identity(height=3, width=4, classes=2, model=0xCAFE1234, scale=0.25)


MASK = (1 << 31) - 1


def expected(pixels: np.ndarray) -> tuple[int, int]:
    """The two logits for a photo ``[height, width, 3]``: minus the sum of all bytes, and a checksum of their order."""
    check = 0
    for r, g, b in pixels.reshape(-1, 3).tolist():
        check = ((check << 1) & MASK | check >> 30) ^ (r | g << 8 | b << 16)
    return -int(pixels.sum(dtype=int)), check


class Stub(wiring.Component):
    """Sum and checksum of each frame; `errors` is not 0 where `first` or `last` is wrong; `pace` cycles a pixel."""

    def __init__(self, identity: Identity, *, pace: int = 1) -> None:
        self.identity = identity
        self.pace = pace
        super().__init__(
            {
                "pixels": In(stream.Signature(Pixel)),
                "results": Out(stream.Signature(result_layout(identity.classes))),
                "confidences": Out(stream.Signature(confidence_layout(identity.classes))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        size = self.identity.height * self.identity.width
        pixel, result = self.pixels.payload, self.results.payload
        place = Signal(range(1, size + 1), init=1)
        column = Signal(range(self.identity.width))
        wrong = Signal()
        wait = Signal(range(self.pace + 1))
        end = column == self.identity.width - 1
        check = result.logits[1]

        m.d.comb += self.pixels.ready.eq((wait == 0) & ~self.results.valid)
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(self.results.ready & self.results.valid):
            m.d.sync += [self.results.valid.eq(0), wrong.eq(0)]
            m.d.sync += [logit.eq(0) for logit in (result.logits[0], check)]
        with m.If(self.pixels.valid & self.pixels.ready):
            m.d.sync += [
                wait.eq(self.pace - 1),
                result.logits[0].eq(result.logits[0] - (pixel.r + pixel.g + pixel.b)),
                check.eq(Cat(check[30], check[:30]) ^ Cat(pixel.r, pixel.g, pixel.b)),
                place.eq(place + 1),
                column.eq(column + 1),
            ]
            with m.If((pixel.first != (place == 1)) | (pixel.last != end)):
                m.d.sync += wrong.eq(1)
            with m.If(end):
                m.d.sync += column.eq(0)
            with m.If(place == size):
                m.d.sync += [place.eq(1), self.results.valid.eq(1)]
        m.d.comb += [result.klass.eq(check[0]), result.step.eq(7), result.errors.reserved.eq(wrong)]
        return m


class Loaded(wiring.Component):
    """An accelerator, or a stub, with words to be loaded. They change nothing, but unless all came, in order, each
    result has an error flag.
    """

    def __init__(self, accelerator: Any, words: Sequence[int]) -> None:
        self.accelerator = accelerator
        self.words = words
        ports = accelerator.signature.members
        super().__init__({name: ports[name] for name in ("pixels", "results", "confidences")} | {"load": In(LOAD)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.accelerator = accelerator = self.accelerator
        connect(m, flipped(self.pixels), accelerator.pixels)
        connect(m, accelerator.results, flipped(self.results))
        connect(m, accelerator.confidences, flipped(self.confidences))
        # As an SPRAM: not reset, and written while the rest is held in reset.
        check, wrong = Signal(32, reset_less=True), Signal()
        with m.If(self.load.write):
            before = Mux(self.load.address == 0, 0, check)
            m.d.sync += check.eq(mixed(before, self.load.address, self.load.lane))
        expected: Any = 0
        for address, word in enumerate(self.words):
            expected = mixed(expected, address, word)
        m.d.comb += wrong.eq(check != expected)
        with m.If(wrong):
            m.d.comb += self.results.payload.errors.reserved.eq(0xF)
        return m


def mixed(check: Any, address: Any, lane: Any) -> Any:
    """A checksum of words in their order, for numbers and for signals."""
    return ((check << 1 | check >> 31) ^ (address << 16 | lane)) & 0xFFFFFFFF
