"""Weights from SPI flash into a memory after reset, and whether they are the right ones.

The image in the flash, little-endian::

    magic "RASC" | version u32 | model hash u32 | length u32, in words | words of 16 bits | CRC-32 of all before

The CRC is that of zlib and Ethernet. All of the header is known when the hardware is generated, so it is compared with
constants; a change in any byte of the image is an error.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from amaranth.hdl import Array, Cat, Const, Elaboratable, Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .crc import Crc32
from .flash import PINS, WAKE_CYCLES, FlashReader

MAGIC = b"RASC"
VERSION = 1
WORD_BYTES = 2
CRC_BYTES = 4
HEADER_WORDS = 8

OFFSET = 0x20000
"""Place of the image by default: behind the bitstream of an iCE40 UP5K, 104,161 bytes at most."""

RETRY_CYCLES = 1 << 20
"""At 24 MHz 44 ms."""

CRC_STEP = 2
"""Bits a cycle of :class:`Crc32`: as fast as a flash with four lines delivers them."""
STEPS = 8 // CRC_STEP
"""Cycles a byte."""


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
    return MAGIC + b"".join(value.to_bytes(4, "little") for value in (VERSION, model_hash, words))


class BootLoader(wiring.Component):
    """Copies the image's words to a memory, starting by itself after reset.

    A word is written as soon as it has come, before the CRC is known: until `done` the memory's content means nothing.
    After an error all is done again, the flash's wake-up too, until an image is good: a flash that recovers or is
    written anew starts by itself. Nothing is written from an image with a wrong header. From reset or `reload` to
    `done` it takes `wake_cycles` for each command and, for each byte, 16 cycles or 4 with `quad`.

    Parameters
    ----------
    model_hash : first 32 bits of the model's hash.
    words : length of the image.
    offset, quad, wake_cycles : see :class:`~rasca_hw.flash.FlashReader`.
    retry_cycles : pause after an error.

    Members
    -------
    flash : the pins.
    reload : start over, as after a reset; `done` and `error` fall a cycle later.
    address, word, write : a word is written in each cycle in which `write` is 1; it cannot wait.
    done : the memory holds the whole image and the CRC was right; until reset or `reload`.
    error : of the last try; steady during the next one.
    """

    def __init__(
        self,
        *,
        model_hash: int,
        words: int,
        offset: int = OFFSET,
        quad: bool = False,
        wake_cycles: int = WAKE_CYCLES,
        retry_cycles: int = RETRY_CYCLES,
    ) -> None:
        if words < 1:
            raise ValueError(f"words must be 1 or more, not {words!r}")
        if retry_cycles < 2:
            raise ValueError(f"retry_cycles must be 2 or more, not {retry_cycles!r}")
        self.words = words
        self.header = header(model_hash=model_hash, words=words)
        self.reader = FlashReader(offset=offset, quad=quad, wake_cycles=wake_cycles)
        self.retry_cycles = retry_cycles
        super().__init__(
            {
                "flash": Out(PINS),
                "reload": In(1),
                "address": Out(range(max(2, words))),
                "word": Out(16),
                "write": Out(1),
                "done": Out(1),
                "error": Out(BootError),
            }
        )

    def elaborate(self, platform: Any) -> Elaboratable:
        m = Module()
        m.submodules.reader = reader = self.reader
        connect(m, reader.flash, flipped(self.flash))
        whole, intact = self._words(m)
        expected = Array(
            Const(int.from_bytes(self.header[i : i + WORD_BYTES], "little"), 16)
            for i in range(0, len(self.header), WORD_BYTES)
        )
        number = Signal(range(max(HEADER_WORDS, self.words)))
        timer = Signal(range(self.retry_cycles))
        m.d.comb += self.address.eq(number)
        with m.If(whole):
            m.d.sync += number.eq(number + 1)

        with m.FSM():
            with m.State("begin"):
                m.d.sync += [number.eq(0), timer.eq(0)]
                m.next = "header"
            with m.State("header"):
                m.d.comb += reader.run.eq(1)
                with m.If(whole):
                    with m.If(self.word != expected[number]):
                        m.d.sync += self.error.eq(Array(HEADER_ERRORS)[number])
                        m.next = "pause"
                    with m.Elif(number == HEADER_WORDS - 1):
                        m.d.sync += number.eq(0)
                        m.next = "payload"
            with m.State("payload"):
                m.d.comb += [reader.run.eq(1), self.write.eq(whole)]
                with m.If(whole & (number == self.words - 1)):
                    m.d.sync += number.eq(0)
                    m.next = "crc"
            with m.State("crc"):
                m.d.comb += reader.run.eq(1)
                with m.If(whole & (number == CRC_BYTES // WORD_BYTES - 1)):
                    with m.If(intact):
                        m.d.sync += self.error.eq(BootError.NONE)
                        m.next = "done"
                    with m.Else():
                        m.d.sync += self.error.eq(BootError.CRC)
                        m.next = "pause"
            with m.State("pause"):
                m.d.sync += timer.eq(timer + 1)
                with m.If(timer == self.retry_cycles - 1):
                    m.next = "begin"
            with m.State("done"):
                m.d.comb += self.done.eq(1)
        return ResetInserter(self.reload)(m)

    def _words(self, m: Module) -> tuple[Signal, Any]:
        """Bytes to `word` and the CRC, `CRC_STEP` bits a cycle, lowest first.

        Returns
        -------
        1 for the cycle in which `word` is complete; and whether the bytes up to there end with their CRC.
        """
        m.submodules.crc = crc = Crc32()
        run, byte = self.reader.run, self.reader.bytes
        bits = Signal(8)
        busy = Signal()
        step = Signal(range(STEPS * WORD_BYTES))
        last = step[: (STEPS - 1).bit_length()] == STEPS - 1
        whole = Signal()
        m.d.comb += [
            byte.ready.eq(~busy | last),
            crc.start.eq(~run),
            crc.data.eq(bits[:CRC_STEP]),
            crc.valid.eq(busy),
        ]
        m.d.sync += whole.eq(busy & (step == STEPS * WORD_BYTES - 1))
        with m.If(busy):
            m.d.sync += [
                bits.eq(bits[CRC_STEP:]),
                self.word.eq(Cat(self.word[CRC_STEP:], bits[:CRC_STEP])),
                step.eq(step + 1),
                busy.eq(~last),
            ]
        with m.If(byte.valid & byte.ready):
            m.d.sync += [bits.eq(byte.payload), busy.eq(1)]
        with m.If(~run):
            m.d.sync += [busy.eq(0), step.eq(0)]
        return whole, crc.intact
