"""UART at pin level: 8 data bits, no parity, one stop bit, least significant bit first.

Fast links leave few clock cycles a bit (80 MHz / 3 Mbaud = 26.7), so the bit time is kept in sixteenths of a cycle:
a tick is at most one cycle off, and the error does not add up over a byte.

::

    rx pin -> synchroniser -> majority of 3 -> bit timer, shift register -> stream of Byte
    stream of bytes -> shift register, bit timer -> tx pin
"""

# No `from __future__ import annotations`: data.Struct reads the annotations as shapes, strings make it empty.
from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

FRACTION = 16
"""Parts of a clock cycle in which a bit time is counted."""

BITS = 10
"""Bits on the line for one byte: start, 8 data, stop."""


class Byte(data.Struct):
    """A received byte."""

    data: 8
    framing: 1
    """The stop bit was missing: the byte is not to be trusted."""


def bit_time(clock_hz: float, baud: float) -> int:
    """Clock cycles a bit in units of 1/16 cycle.

    Raises
    ------
    ValueError
        If a bit is shorter than 8 cycles or longer than 65,535, which the circuits here do not serve.
    """
    time = round(clock_hz * FRACTION / baud) if baud > 0 else 0
    if not 8 * FRACTION <= time < 65536 * FRACTION:
        raise ValueError(f"baud must be from {clock_hz / 65535:.0f} to {clock_hz / 8:.0f}, not {baud!r}")
    return time


class Receiver(wiring.Component):
    """Pin to bytes.

    A start bit is checked again in its middle, so a glitch starts nothing; each bit is sampled in its middle. After a
    missing stop bit the line must go idle before the next start bit is looked for.

    Parameters
    ----------
    time : bit time from :func:`bit_time`.

    Members
    -------
    rx : the pin, asynchronous; idle is 1.
    bytes : the bytes, each a cycle after the middle of its stop bit. One byte is held while it is not taken.
    overflow : 1 for a cycle where a byte was dropped because the one before it was not taken in time.
    """

    def __init__(self, *, time: int) -> None:
        self.time = time
        super().__init__({"rx": In(1, init=1), "bytes": Out(stream.Signature(Byte)), "overflow": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        synced = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, synced, init=1)
        history = Signal(3, init=0b111)
        line = Signal(init=1)
        m.d.sync += history.eq(Cat(synced, history[:2]))
        m.d.comb += line.eq((history[0] & history[1]) | (history[0] & history[2]) | (history[1] & history[2]))

        timer = Signal(range(2 * self.time))
        tick = Signal()
        left = Signal(range(BITS))
        bits = Signal(8)
        m.d.comb += tick.eq(timer < FRACTION)
        m.d.sync += timer.eq(timer - FRACTION)
        with m.If(self.bytes.ready):
            m.d.sync += self.bytes.valid.eq(0)

        with m.FSM():
            with m.State("idle"):
                m.d.sync += [timer.eq(self.time // 2), left.eq(BITS - 1)]
                with m.If(~line):
                    m.next = "bits"
            with m.State("bits"):
                with m.If(tick):
                    m.d.sync += [timer.eq(timer + (self.time - FRACTION)), left.eq(left - 1)]
                    with m.If((left == BITS - 1) & line):
                        m.next = "idle"
                    with m.Elif(left == 0):
                        with m.If(self.bytes.valid & ~self.bytes.ready):
                            m.d.comb += self.overflow.eq(1)
                        with m.Else():
                            m.d.sync += [
                                self.bytes.valid.eq(1),
                                self.bytes.payload.data.eq(bits),
                                self.bytes.payload.framing.eq(~line),
                            ]
                        m.next = "stop"
                    with m.Else():
                        m.d.sync += bits.eq(Cat(bits[1:], line))
            with m.State("stop"), m.If(line):
                m.next = "idle"
        return m


class Transmitter(wiring.Component):
    """Bytes to pin; a byte takes ten bit times and a clock cycle.

    Parameters
    ----------
    time : bit time from :func:`bit_time`.

    Members
    -------
    bytes : the bytes; ready while the line is idle.
    tx : the pin; idle is 1.
    """

    def __init__(self, *, time: int) -> None:
        self.time = time
        super().__init__({"bytes": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        timer = Signal(range(2 * self.time))
        bits = Signal(BITS - 1, init=0x1FF)
        left = Signal(range(BITS + 1))
        m.d.comb += self.bytes.ready.eq(left == 0)
        with m.If(left == 0):
            with m.If(self.bytes.valid):
                m.d.sync += [
                    self.tx.eq(0),
                    bits.eq(Cat(self.bytes.payload, 1)),
                    left.eq(BITS),
                    timer.eq(self.time - FRACTION),
                ]
        with m.Elif(timer < FRACTION):
            m.d.sync += [
                self.tx.eq(bits[0]),
                bits.eq(Cat(bits[1:], 1)),
                left.eq(left - 1),
                timer.eq(timer + (self.time - FRACTION)),
            ]
        with m.Else():
            m.d.sync += timer.eq(timer - FRACTION)
        return m
