"""A weight memory of SPRAMs, the iCE40 UP5K's blocks of 16k words of 16 bits: filled by the boot loader, read as a ROM.

Yosys infers no SPRAM, so on that device they are instantiated. Elsewhere the memory is a plain one of the same
behaviour, for simulators. The content is undefined after configuration.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, ClockSignal, Const, Instance, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .array import delay
from .rom import LATENCY

BLOCK_WORDS = 16384
BLOCK_BITS = 16

LOAD = wiring.Signature({"write": Out(1), "address": Out(16), "lane": Out(16)})
"""Writes a lane of 16 bits in each cycle in which `write` is 1; the address counts lanes over all blocks."""


class Spram(wiring.Component):
    """As :class:`~rasca_hw.rom.Rom` to its reader, with the same latency.

    A word is one or more lanes of 16 bits, the lowest first; the loader writes one lane at a time. There is one port:
    what is read in a cycle with `write` is undefined.

    Parameters
    ----------
    words : depth.
    width : of a word: 16 times a power of two.

    Members
    -------
    address : of a word.
    word : `LATENCY` cycles later.
    write, lane_address, lane : writes a lane; the address counts lanes, so lane l of word w is at w * lanes + l.
    """

    def __init__(self, *, words: int, width: int) -> None:
        lanes = width // BLOCK_BITS
        if words < 1:
            raise ValueError(f"words must be 1 or more, not {words!r}")
        if width % BLOCK_BITS or lanes < 1 or lanes & lanes - 1:
            raise ValueError(f"width must be {BLOCK_BITS} times a power of two, not {width!r}")
        self.words = words
        self.width = width
        self.lanes = lanes
        super().__init__(
            {
                "address": In(range(max(2, words))),
                "word": Out(width),
                "write": In(1),
                "lane_address": In(range(max(2, words * lanes))),
                "lane": In(BLOCK_BITS),
            }
        )

    @property
    def blocks(self) -> int:
        """SPRAMs it takes."""
        return self.lanes * -(-self.words // BLOCK_WORDS)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        lane_bits = (self.lanes - 1).bit_length()
        address = Signal.like(self.address)
        m.d.comb += address.eq(Mux(self.write, self.lane_address[lane_bits:], self.address))
        bank_bits = (BLOCK_WORDS - 1).bit_length()
        banks = -(-self.words // BLOCK_WORDS)
        outputs = []
        for bank in range(banks):
            lanes = []
            for lane in range(self.lanes):
                write, read = Signal(name=f"write{bank}_{lane}"), Signal(BLOCK_BITS, name=f"read{bank}_{lane}")
                here = (address[bank_bits:] == bank) & (self.lane_address[:lane_bits] == lane)
                m.d.comb += write.eq(self.write & here)
                depth = min(BLOCK_WORDS, self.words - bank * BLOCK_WORDS)
                self._block(m, platform, f"block{bank}_{lane}", depth, address[:bank_bits], write, read)
                lanes.append(read)
            outputs.append(delay(m, Cat(lanes), 1, name=f"word{bank}"))
        selected = delay(m, address[bank_bits:], LATENCY - 1, name="bank") if banks > 1 else 0
        word = Signal(self.width, reset_less=True)
        m.d.sync += word.eq(Array(outputs)[selected])
        m.d.comb += self.word.eq(word)
        return m

    def _block(
        self, m: Module, platform: Any, name: str, depth: int, address: Any, write: Signal, read: Signal
    ) -> None:
        """One SPRAM, or what stands for it."""
        if str(getattr(platform, "device", "")).startswith("iCE40UP"):
            whole = Signal(14, name=f"{name}_address")
            m.d.comb += whole.eq(address)
            m.submodules[name] = Instance(
                "SB_SPRAM256KA",
                i_CLOCK=ClockSignal(),
                i_ADDRESS=whole,
                i_DATAIN=self.lane,
                i_WREN=write,
                i_MASKWREN=Const(0b1111, 4),
                i_CHIPSELECT=Const(1),
                i_STANDBY=Const(0),
                i_SLEEP=Const(0),
                i_POWEROFF=Const(1),
                o_DATAOUT=read,
            )
            return
        m.submodules[name] = block = memory.Memory(shape=BLOCK_BITS, depth=depth, init=[])
        write_port, read_port = block.write_port(), block.read_port()
        m.d.comb += [
            write_port.addr.eq(address),
            write_port.data.eq(self.lane),
            write_port.en.eq(write),
            read_port.addr.eq(address),
            read.eq(read_port.data),
        ]
