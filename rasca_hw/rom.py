"""A read-only memory deeper than one block RAM, as fast as one.

Block RAM outputs come late in their cycle, so each bank's are registered before one of them is selected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .array import delay

LATENCY = 3
"""Cycles from address to word: the read, the bank's register, the selection."""
BANK_WORDS = 2048
"""Words a bank: the depth of an 18-kbit block RAM with a byte (and a parity bit) a word; a power of two."""


def banks(words: Sequence[int]) -> list[Sequence[int]]:
    """The contents of each bank."""
    return [words[start : start + BANK_WORDS] for start in range(0, len(words), BANK_WORDS)]


class Rom(wiring.Component):
    """Members
    -------
    address : of a word.
    word : `LATENCY` cycles later.
    """

    def __init__(self, words: Sequence[int], *, width: int) -> None:
        self.words = words
        self.width = width
        super().__init__({"address": In(range(max(2, len(words)))), "word": Out(width)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        outputs = []
        for i, words in enumerate(banks(self.words)):
            m.submodules[f"bank{i}"] = bank = memory.Memory(shape=self.width, depth=max(2, len(words)), init=words)
            port = bank.read_port()
            m.d.comb += port.addr.eq(self.address)
            outputs.append(delay(m, port.data, 1, name=f"word{i}"))
        bits = (BANK_WORDS - 1).bit_length()
        selected = delay(m, self.address[bits:], LATENCY - 1, name="bank") if len(outputs) > 1 else 0
        word = Signal(self.width, reset_less=True)
        m.d.sync += word.eq(Array(outputs)[selected])
        m.d.comb += self.word.eq(word)
        return m
