"""SPI flash at pin level: wakes it and reads from one address on, a stream of bytes.

::

    run -> pause -> 0xAB wake -> pause -> [0x50, 0x31 quad enable, each with a pause] -> 0x03 or 0x6B, address -> bytes

An FPGA that has read its bitstream leaves the flash in power-down (0xB9), hence 0xAB. SPI mode 0; the SPI clock is half
the system clock, and its data are sampled at the end of the system clock cycle in which it is low: board, flash and
pins together must answer within one system clock cycle (41 ns at 24 MHz).
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

WAKE = 0xAB
VOLATILE_WRITE_ENABLE = 0x50
WRITE_STATUS_2 = 0x31
QUAD_ENABLE = 0x02
READ = 0x03
QUAD_READ = 0x6B
DUMMY_CLOCKS = 8
ADDRESS_BYTES = 3

WAKE_CYCLES = 1024
"""At 24 MHz 43 us; the flashes of the boards ask for 3 us, slow ones for 30 us."""

PINS = wiring.Signature(
    {"cs_n": Out(1, init=1), "clk": Out(1), "dq_out": Out(4), "dq_enable": Out(4), "dq_in": In(4, init=0xF)}
)
"""Chip select, clock, and the lines DQ0 (to the flash), DQ1 (from it), DQ2 (/WP) and DQ3 (/HOLD)."""


def commands(*, offset: int, quad: bool) -> list[bytes]:
    """What is sent, one item between two falls of chip select; the last one reads, dummy clocks not included."""
    place = offset.to_bytes(ADDRESS_BYTES, "big")
    if not quad:
        return [bytes([WAKE]), bytes([READ]) + place]
    enable = bytes([WRITE_STATUS_2, QUAD_ENABLE])
    return [bytes([WAKE]), bytes([VOLATILE_WRITE_ENABLE]), enable, bytes([QUAD_READ]) + place]


class FlashReader(wiring.Component):
    """Bytes from `offset` on, for as long as `run` is 1.

    A byte takes 16 cycles, or 4 with `quad`. The SPI clock waits while a byte is not taken; a byte taken in the first
    two cycles that show it costs no time.

    Quad reads need the flash's bit QE. It is set with 0x50 and 0x31 in the volatile status register 2: nothing wears
    out, and nothing is changed for good. Winbond's W25Q..JV and W25Q..FV know these commands; parts that ship with QE
    set and fixed ignore them. Flashes that do not (Micron, Macronix) must be read with one line, and so must boards on
    which DQ2 and DQ3 are not wired.

    Parameters
    ----------
    offset : byte address.
    quad : data on four lines.
    wake_cycles : cycles of chip select high before each command: the time from 0xAB to the next.

    Members
    -------
    flash : the pins.
    run : 0 ends at once what is going on, 1 begins anew; at least a cycle long. A byte not taken is then dropped.
    bytes : what is read.
    """

    def __init__(self, *, offset: int, quad: bool = False, wake_cycles: int = WAKE_CYCLES) -> None:
        if not 0 <= offset < 1 << 8 * ADDRESS_BYTES:
            raise ValueError(f"offset must fit {ADDRESS_BYTES} bytes, not {offset!r}")
        if wake_cycles < 4:
            raise ValueError(f"wake_cycles must be 4 or more, not {wake_cycles!r}")
        self.offset = offset
        self.quad = quad
        self.wake_cycles = wake_cycles
        super().__init__({"flash": Out(PINS), "run": In(1), "bytes": Out(stream.Signature(8))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        flash, byte = self.flash, self.bytes
        sent = commands(offset=self.offset, quad=self.quad)
        bits = [byte >> n & 1 for command in sent for byte in command for n in reversed(range(8))]
        ends = [8 * sum(map(len, sent[: n + 1])) - 1 for n in range(len(sent) - 1)]
        clocks = len(bits) + DUMMY_CLOCKS * self.quad
        lines = 4 if self.quad else 1

        wait = Signal(range(self.wake_cycles))
        position = Signal(range(clocks))
        count = Signal(range(8 // lines))
        # Without a reset, so that the flash has let go of the lines before they are driven again.
        released = Signal(reset_less=True)
        m.d.sync += released.eq(position >= len(bits) if self.quad else 0)
        with m.If(byte.ready):
            m.d.sync += byte.valid.eq(0)

        with m.FSM():
            with m.State("idle"):
                m.d.sync += [flash.cs_n.eq(1), flash.clk.eq(0)]
                m.d.sync += [wait.eq(0), position.eq(0), count.eq(0)]
                with m.If(self.run):
                    m.next = "pause"
            with m.State("pause"):
                m.d.sync += wait.eq(wait + 1)
                with m.If(~self.run):
                    m.next = "idle"
                with m.Elif(wait == self.wake_cycles - 1):
                    m.d.sync += [flash.cs_n.eq(0), wait.eq(0)]
                    m.next = "send"
            with m.State("send"):
                m.d.sync += flash.clk.eq(~flash.clk)
                with m.If(flash.clk):
                    m.d.sync += position.eq(position + 1)
                    with m.If(position == clocks - 1):
                        m.d.sync += position.eq(position)
                        m.next = "read"
                    for end in ends:
                        with m.If(position == end):
                            m.d.sync += flash.cs_n.eq(1)
                            m.next = "pause"
                with m.If(~self.run):
                    m.next = "idle"
            with m.State("read"):
                with m.If(flash.clk):
                    m.d.sync += flash.clk.eq(0)
                with m.Elif(~byte.valid | byte.ready):
                    data = flash.dq_in if self.quad else flash.dq_in[1]
                    m.d.sync += [
                        flash.clk.eq(1),
                        byte.payload.eq(Cat(data, byte.payload[:-lines])),
                        count.eq(count + 1),
                        byte.valid.eq(count == 8 // lines - 1),
                    ]
                with m.If(~self.run):
                    m.next = "idle"
        with m.If(~self.run):
            m.d.sync += byte.valid.eq(0)
        bit = Array([Const(b, 1) for b in bits])[position]
        # /WP and /HOLD are 1 as long as the flash may take them for that.
        m.d.comb += [flash.dq_out.eq(Cat(bit, 0, 1, 1)), flash.dq_enable.eq(Cat(~released, 0, ~released, ~released))]
        return m
