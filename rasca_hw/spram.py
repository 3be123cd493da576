"""A memory of SPRAMs, the iCE40 UP5K's blocks of 16k words of 16 bits: filled by the boot loader, read as a ROM.

Yosys infers no SPRAM, so on that device they are instantiated, and their content is undefined after configuration.
Elsewhere the memory is a plain one that holds its content from the start, as after the boot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Cat, ClockSignal, Const, Instance, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .array import delay

LATENCY = 1
"""Cycles from address to word."""
BLOCK_WORDS = 16384
BLOCK_BITS = 16
BLOCKS = 4
"""What the device has."""

LOAD = wiring.Signature({"write": Out(1), "address": Out(16), "lane": Out(BLOCK_BITS)})
"""From the boot loader: writes a lane; the upper two bits of the address say into which block."""


def block_contents(words: Sequence[int], width: int) -> dict[str, list[int]]:
    """What each block holds, by its name in :class:`Spram`."""
    return {
        f"block{start // BLOCK_WORDS}_{lane}": [
            word >> (BLOCK_BITS * lane) & 0xFFFF for word in words[start : start + BLOCK_WORDS]
        ]
        for start in range(0, len(words), BLOCK_WORDS)
        for lane in range(width // BLOCK_BITS)
    }


class Spram(wiring.Component):
    """A word is one or more lanes of 16 bits, the lowest first; the loader writes one lane at a time. There is one
    port: what is read in a cycle with `write` is undefined.

    Parameters
    ----------
    words : depth.
    width : of a word: 16 times a power of two.
    init : the content, where the memory is no SPRAM.

    Members
    -------
    address : of a word.
    word : `LATENCY` cycles later.
    write, lane_address, lane : writes a lane; the address counts lanes, so lane l of word w is at w * lanes + l. Behind
        the words, up to the blocks' end, a write changes nothing that is read.
    """

    def __init__(self, *, words: int, width: int, init: Sequence[int] = ()) -> None:
        lanes = width // BLOCK_BITS
        if words < 1:
            raise ValueError(f"words must be 1 or more, not {words!r}")
        if width % BLOCK_BITS or lanes < 1 or lanes & lanes - 1:
            raise ValueError(f"width must be {BLOCK_BITS} times a power of two, not {width!r}")
        self.words = words
        self.init = init
        self.width = width
        self.lanes = lanes
        super().__init__(
            {
                "address": In(range(max(2, words))),
                "word": Out(width),
                "write": In(1),
                "lane_address": In(range(self.blocks * BLOCK_WORDS)),
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
        # Wide enough for all of a block: what is written behind the words must not come back to the first ones.
        address = Signal(range(self.blocks // self.lanes * BLOCK_WORDS))
        m.d.comb += address.eq(Mux(self.write, self.lane_address[lane_bits:], self.address))
        bank_bits = (BLOCK_WORDS - 1).bit_length()
        banks = -(-self.words // BLOCK_WORDS)
        contents = block_contents(self.init, self.width)
        outputs = []
        for bank in range(banks):
            lanes = []
            for lane in range(self.lanes):
                write, read = Signal(name=f"write{bank}_{lane}"), Signal(BLOCK_BITS, name=f"read{bank}_{lane}")
                here = (address[bank_bits:] == bank) & (self.lane_address[:lane_bits] == lane)
                m.d.comb += write.eq(self.write & here)
                depth = min(BLOCK_WORDS, self.words - bank * BLOCK_WORDS)
                name = f"block{bank}_{lane}"
                self._block(m, platform, name, depth, contents.get(name, []), address[:bank_bits], write, read)
                lanes.append(read)
            outputs.append(Cat(lanes))
        m.d.comb += self.word.eq(
            Array(outputs)[delay(m, address[bank_bits:], LATENCY, name="bank") if banks > 1 else 0]
        )
        return m

    def _block(
        self,
        m: Module,
        platform: Any,
        name: str,
        depth: int,
        init: list[int],
        address: Any,
        write: Signal,
        read: Signal,
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
        m.submodules[name] = block = memory.Memory(shape=BLOCK_BITS, depth=max(2, depth), init=init)
        write_port, read_port = block.write_port(), block.read_port()
        m.d.comb += [
            write_port.addr.eq(address),
            write_port.data.eq(self.lane),
            write_port.en.eq(write & (address < depth)),
            read_port.addr.eq(address),
            read.eq(read_port.data),
        ]
