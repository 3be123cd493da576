"""CRC-32 of zlib and Ethernet, a bit or a few at a time: one logic cell of an iCE40 for each of its 32 bits."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

POLYNOMIAL = 0xEDB88320
START = 0xFFFFFFFF


PORT = wiring.Signature({"start": Out(1), "data": Out(1), "valid": Out(1), "tail": Out(1), "crc": In(1)})
"""Of a unit that uses a :class:`Crc32` of one bit; several can share one if the outputs of the idle ones are 0."""


class Crc32(wiring.Component):
    """The CRC leaves by shifting, as the message came in; so the receiver of a message compares bit by bit.

    Parameters
    ----------
    bits : taken at a time.

    Members
    -------
    start : begin anew.
    data, valid : the next bits of the message, the first one lowest.
    tail : with `valid`: shift the CRC out instead; `data` is ignored.
    crc : its next bits.
    """

    def __init__(self, bits: int = 1) -> None:
        self.bits = bits
        super().__init__({"start": In(1), "data": In(bits), "valid": In(1), "tail": In(1), "crc": Out(bits)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        register = Signal(32, init=START)
        value: Any = register
        for n in range(self.bits):
            feedback = Signal(name=f"feedback{n}")
            m.d.comb += feedback.eq((value[0] ^ self.data[n]) & ~self.tail)
            value = value[1:] ^ Mux(feedback, POLYNOMIAL, 0)
        with m.If(self.valid):
            m.d.sync += register.eq(value)
        with m.If(self.start):
            m.d.sync += register.eq(START)
        m.d.comb += self.crc.eq(~register[: self.bits])
        return m
