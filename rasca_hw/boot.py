"""Weights from SPI flash into a memory after reset, and whether they are the right ones.

The image in the flash, numbers and words with the highest byte first, as a flash gives the highest bit first::

    magic "RASC" | version u32 | model hash u32 | length u32, in words | words of 16 bits | CRC-32 of all before

The CRC is that of zlib and Ethernet, of bytes whose bits are reversed: the highest one counts first. All of the header
is known when the hardware is generated, so it is compared with constants; a change in any byte is an error.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .crc import Crc32
from .flash import PINS, FlashReader
from .spram import LOAD

MAGIC = b"RASC"
VERSION = 1
WORD_BYTES = 2
WORD_BITS = 8 * WORD_BYTES
CRC_BYTES = 4
HEADER_WORDS = 8
MAX_WORDS = 1 << 16

OFFSET = 0x20000
"""Place of the image by default: behind the bitstream of an iCE40 UP5K, 104,161 bytes at most."""


class BootError(IntEnum):
    """Why the weights are not there."""

    NONE = 0
    MISSING = 1
    """No image at this place of the flash, or no flash."""
    FOREIGN = 2
    """An image for another model or of another version of the format."""
    LENGTH = 3
    """An image of another length."""
    CRC = 4
    """The image is damaged or not complete."""


HEADER_ERRORS = [BootError.MISSING] * 2 + [BootError.FOREIGN] * 4 + [BootError.LENGTH] * 2
"""The error that a wrong word of the header is."""


def header(*, model_hash: int, words: int) -> bytes:
    """The first bytes of an image; OverflowError where a value does not fit."""
    return MAGIC + b"".join(value.to_bytes(4, "big") for value in (VERSION, model_hash, words))


class BootLoader(wiring.Component):
    """Copies the image's words to a memory, starting by itself after reset.

    A word is written as soon as it has come, before the CRC is known: until `done` the memory's content means nothing.
    After an error all is done again, the flash's wake-up too, until an image is good: a flash that recovers or is
    written anew starts by itself. Nothing is written from an image with a wrong header. A byte takes 16 cycles, or 4
    with `quad`.

    Parameters
    ----------
    model_hash : first 32 bits of the model's hash.
    words : length of the image.
    offset, quad : see :class:`~rasca_hw.flash.FlashReader`.

    Members
    -------
    flash : the pins.
    pulse : for the flash's pauses, see :class:`~rasca_hw.flash.FlashReader`.
    retry : 1 for a cycle now and then; a new try begins with the second one after an error.
    load : the words, from address 0 on.
    done : the memory holds the whole image and the CRC was right; until reset.
    error : of the last try; steady during the next one.
    """

    def __init__(self, *, model_hash: int, words: int, offset: int = OFFSET, quad: bool = False) -> None:
        if not 1 <= words <= MAX_WORDS:
            raise ValueError(f"words must be from 1 to {MAX_WORDS}, not {words!r}")
        self.words = words
        self.header = header(model_hash=model_hash, words=words)
        self.reader = FlashReader(offset=offset, quad=quad)
        super().__init__(
            {
                "flash": Out(PINS),
                "pulse": In(1),
                "retry": In(1),
                "load": Out(LOAD),
                "done": Out(1),
                "error": Out(BootError),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.reader = reader = self.reader
        lines = reader.lines
        m.submodules.crc = crc = Crc32(lines)
        connect(m, reader.flash, flipped(self.flash))
        data, valid = reader.data[::-1], reader.valid  # the first one lowest
        part = Signal(range(WORD_BITS // lines))
        number = Signal(16)
        whole = Signal()
        """1 for the cycle in which the word is there."""
        m.d.comb += [
            reader.pulse.eq(self.pulse),
            crc.start.eq(~reader.run),
            crc.data.eq(data),
            crc.valid.eq(valid),
            self.load.address.eq(number),
        ]
        m.d.sync += whole.eq(valid & part.all())
        with m.If(valid):
            m.d.sync += [self.load.lane.eq(Cat(reader.data, self.load.lane[:-lines])), part.eq(part + 1)]
        with m.If(~reader.run):
            m.d.sync += part.eq(0)
        with m.If(whole):
            m.d.sync += number.eq(number + 1)

        head = "".join(f"{byte:08b}" for byte in self.header)
        place = Cat(part, number[: (HEADER_WORDS - 1).bit_length()])
        expected = Const(int(head[::-1], 2), len(head)).word_select(place, lines)

        with m.FSM():
            with m.State("header"):
                m.d.comb += reader.run.eq(1)
                with m.If(valid & (data != expected)):
                    m.d.sync += self.error.eq(Array(HEADER_ERRORS)[number[:3]])
                    m.next = "wait"
                with m.If(whole & (number == HEADER_WORDS - 1)):
                    m.d.sync += number.eq(0)
                    m.next = "payload"
            with m.State("payload"):
                m.d.comb += [reader.run.eq(1), self.load.write.eq(whole)]
                with m.If(whole & (number == self.words - 1)):
                    m.d.sync += number.eq(0)
                    m.next = "crc"
            with m.State("crc"):
                m.d.comb += [reader.run.eq(1), crc.tail.eq(1)]
                with m.If(whole & number[0]):
                    m.d.sync += self.error.eq(BootError.NONE)
                    m.next = "done"
                with m.If(valid & (data != crc.crc)):
                    m.d.sync += self.error.eq(BootError.CRC)
                    m.next = "wait"
            with m.State("wait"):
                m.d.sync += number.eq(0)
                with m.If(self.retry):
                    m.next = "again"
            with m.State("again"), m.If(self.retry):
                m.next = "header"
            with m.State("done"):
                m.d.comb += self.done.eq(1)
        return m
