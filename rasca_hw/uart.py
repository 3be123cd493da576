"""UART at pin level: 8 data bits, no parity, one stop bit, least significant bit first.

Fast links leave few clock cycles a bit (80 MHz / 3 Mbaud = 26.7), so the bit time is kept in sixteenths of a cycle:
a tick is at most one cycle off, and the error does not add up over a byte. Bytes pass bit by bit, as they are on the
line: who wants them whole keeps them.

::

    rx pin -> synchroniser -> majority of 3 -> bit timer -> bits
    bits -> bit timer -> tx pin
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

FRACTION = 16
"""Parts of a clock cycle in which a bit time is counted."""

BITS = 8
"""Data bits of a byte."""


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


class _Timer:
    """Ticks a bit time apart: a counter that goes below zero once a bit.

    Parameters
    ----------
    begin : 1 starts it; the first tick comes `first` later.
    """

    def __init__(self, m: Module, *, time: int, begin: Any, first: int) -> None:
        left = Signal(signed((2 * time).bit_length() + 1), name="timer", reset_less=True)
        self.tick = Signal(name="tick")
        m.d.comb += self.tick.eq(left < 0)
        m.d.sync += left.eq(left + Mux(self.tick, time - FRACTION, -FRACTION))
        with m.If(begin):
            m.d.sync += left.eq(first - 2 * FRACTION)


class Receiver(wiring.Component):
    """Pin to bits.

    A start bit is checked again in its middle, so a glitch starts nothing; each bit is sampled in its middle. After a
    missing stop bit the line must go idle before the next start bit is looked for.

    Parameters
    ----------
    time : bit time from :func:`bit_time`.

    Members
    -------
    rx : the pin, asynchronous; idle is 1.
    bit, number, shift : a data bit and its place in the byte, in each cycle in which `shift` is 1.
    end : 1 for a cycle in the middle of the stop bit.
    framing : with `end`: the stop bit is missing; the byte is not to be trusted.
    """

    def __init__(self, *, time: int) -> None:
        self.time = time
        super().__init__(
            {
                "rx": In(1, init=1),
                "bit": Out(1),
                "number": Out(range(BITS)),
                "shift": Out(1),
                "end": Out(1),
                "framing": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        synced = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, synced, init=1)
        history = Signal(3, init=0b111)
        line = Signal(init=1)
        m.d.sync += history.eq(Cat(synced, history[:2]))
        m.d.comb += line.eq((history[0] & history[1]) | (history[0] & history[2]) | (history[1] & history[2]))
        # What is told outside is registers: who hears it has much to do in the cycle.
        number = Signal.like(self.number)
        m.d.sync += [
            self.bit.eq(line),
            self.framing.eq(~line),
            self.number.eq(number),
            self.shift.eq(0),
            self.end.eq(0),
        ]

        idle = Signal()
        timer = _Timer(m, time=self.time, begin=idle, first=self.time // 2)
        with m.FSM():
            with m.State("idle"):
                m.d.comb += idle.eq(1)
                with m.If(~line):
                    m.next = "start"
            with m.State("start"):
                with m.If(timer.tick):
                    m.next = "data"
                    with m.If(line):
                        m.next = "idle"
            with m.State("data"):
                m.d.sync += self.shift.eq(timer.tick)
                with m.If(timer.tick):
                    m.d.sync += number.eq(number + 1)
                    with m.If(number == BITS - 1):
                        m.next = "stop"
            with m.State("stop"):
                m.d.sync += self.end.eq(timer.tick)
                with m.If(timer.tick):
                    m.next = "wait"
            with m.State("wait"), m.If(line):
                m.next = "idle"
        return m


class Transmitter(wiring.Component):
    """Bits to pin; a byte takes ten bit times and a clock cycle.

    Parameters
    ----------
    time : bit time from :func:`bit_time`.

    Members
    -------
    send : there is a byte; looked at while the line is idle.
    bit, number, shift : the data bit of that number is taken in each cycle in which `shift` is 1.
    tx : the pin; idle is 1.
    """

    def __init__(self, *, time: int) -> None:
        self.time = time
        super().__init__(
            {"send": In(1), "bit": In(1), "number": Out(range(BITS)), "shift": Out(1), "tx": Out(1, init=1)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        idle = Signal()
        timer = _Timer(m, time=self.time, begin=idle, first=self.time)
        with m.FSM():
            with m.State("idle"):
                m.d.comb += idle.eq(1)
                with m.If(self.send):
                    m.d.sync += self.tx.eq(0)
                    m.next = "data"
            with m.State("data"):
                m.d.comb += self.shift.eq(timer.tick)
                with m.If(timer.tick):
                    m.d.sync += [self.tx.eq(self.bit), self.number.eq(self.number + 1)]
                    with m.If(self.number == BITS - 1):
                        m.next = "last"
            with m.State("last"), m.If(timer.tick):
                m.d.sync += self.tx.eq(1)
                m.next = "stop"
            with m.State("stop"), m.If(timer.tick):
                m.next = "idle"
        return m
