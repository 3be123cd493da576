"""SPI flash at pin level: wakes it and reads from one address on.

::

    run -> pause -> 0xAB wake -> pause -> [0x50, 0x31 quad enable, each with a pause] -> 0x03 or 0x6B, address -> data

An FPGA that has read its bitstream leaves the flash in power-down (0xB9), hence 0xAB. SPI mode 0; the SPI clock is half
the system clock, and its data are sampled at the end of the system clock cycle in which it is low: board, flash and
pins together must answer within one system clock cycle (41 ns at 24 MHz).
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Elaboratable, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

WAKE = 0xAB
VOLATILE_WRITE_ENABLE = 0x50
WRITE_STATUS_2 = 0x31
QUAD_ENABLE = 0x02
READ = 0x03
QUAD_READ = 0x6B
DUMMY_CLOCKS = 8
ADDRESS_BYTES = 3

PAUSE_CYCLES = 1024
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
    """What lies from `offset` on, for as long as `run` is 1. A byte takes 16 cycles, or 4 with `quad`.

    Quad reads need the flash's bit QE. It is set with 0x50 and 0x31 in the volatile status register 2: nothing wears
    out, and nothing is changed for good. Winbond's W25Q..JV and W25Q..FV know these commands; parts that ship with QE
    set and fixed ignore them. Flashes that do not (Micron, Macronix) must be read with one line, and so must boards on
    which DQ2 and DQ3 are not wired.

    Parameters
    ----------
    offset : byte address.
    quad : data on four lines.

    Members
    -------
    flash : the pins.
    pulse : 1 for a cycle now and then. Chip select is high between two pulses before each command, the time from 0xAB
        to the next: `PAUSE_CYCLES` between them are enough.
    run : 0 ends at once what is going on, 1 begins anew; at least a cycle long.
    data, valid : what is read, a bit or four in each cycle in which `valid` is 1, every second one; a byte's highest
        bits first.
    """

    def __init__(self, *, offset: int, quad: bool = False) -> None:
        if not 0 <= offset < 1 << 8 * ADDRESS_BYTES:
            raise ValueError(f"offset must fit {ADDRESS_BYTES} bytes, not {offset!r}")
        self.offset = offset
        self.quad = quad
        self.lines = 4 if quad else 1
        super().__init__({"flash": Out(PINS), "pulse": In(1), "run": In(1), "data": Out(self.lines), "valid": Out(1)})

    def elaborate(self, platform: Any) -> Elaboratable:
        m = Module()
        flash = self.flash
        sent = commands(offset=self.offset, quad=self.quad)
        bits = "".join(f"{byte:08b}" for command in sent for byte in command)
        ends = [8 * sum(map(len, sent[: n + 1])) - 1 for n in range(len(sent) - 1)]
        clocks = len(bits) + DUMMY_CLOCKS * self.quad
        position = Signal(range(clocks + 1))
        selected, reading = Signal(), Signal()
        # Without a reset, so that the flash has let go of the lines before they are driven again.
        released = Signal(reset_less=True)

        with m.FSM():
            with m.State("idle"), m.If(self.pulse):
                m.next = "pause"
            with m.State("pause"), m.If(self.pulse):
                m.d.comb += selected.eq(1)
                m.next = "send"
            with m.State("send"):
                m.d.comb += selected.eq(1)
                with m.If(flash.clk):
                    m.d.sync += position.eq(position + 1)
                    for end in ends:
                        with m.If(position == end):
                            m.d.comb += selected.eq(0)
                            m.next = "idle"
                    with m.If(position == clocks - 1):
                        m.next = "read"
                m.d.sync += flash.clk.eq(~flash.clk)
            with m.State("read"):
                m.d.comb += [selected.eq(1), reading.eq(1)]
                m.d.sync += flash.clk.eq(~flash.clk)
        m.d.sync += [
            flash.cs_n.eq(~selected),
            self.data.eq(flash.dq_in if self.quad else flash.dq_in[1]),
            self.valid.eq(reading & ~flash.clk),
            released.eq(position >= len(bits) if self.quad else 0),
        ]
        bit = Const(int(bits[::-1], 2), len(bits)).bit_select(position, 1)
        # /WP and /HOLD are 1 as long as the flash may take them for that.
        m.d.comb += [flash.dq_out.eq(Cat(bit, 0, 1, 1)), flash.dq_enable.eq(Cat(~released, 0, ~released, ~released))]
        return ResetInserter(~self.run)(m)
