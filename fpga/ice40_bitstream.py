"""Whether a bitstream of an iCE40 is whole, by the CRC-16 that the part checks too, and where it ends.

The format is that of Project IceStorm: a comment, the preamble, and commands. A command is a byte, its lower half the
bytes of its operand; data of a bank follow the command to write them, and two bytes of zeros. Behind the last command
icepack writes a byte of zeros.
"""

from __future__ import annotations

from binascii import crc_hqx

from rasca_nn.errors import RascaError

PREAMBLE = b"\x7e\xaa\x99\x7e"
PREAMBLE_END = 1024
"""The preamble comes within so many bytes: before it, there is only a comment."""
CRC_INIT = 0xFFFF
ACTION, BANK, CRC, SPEED, WIDTH, HEIGHT, OFFSET, FLAGS = 0x00, 0x10, 0x20, 0x50, 0x60, 0x70, 0x80, 0x90
WRITE_CONFIGURATION, WRITE_RAM, RESET_CRC, WAKE_UP = 1, 3, 5, 6
"""Operands of ACTION."""
PADDING = b"\x00"
SPEEDS = 3


class BitstreamError(RascaError):
    """No bitstream, or a damaged one."""


def bitstream_end(raw: bytes) -> int:
    """The place behind the bitstream that `raw` begins with, and behind its padding. Raises BitstreamError."""
    start = raw.find(PREAMBLE, 0, PREAMBLE_END)
    if start < 0:
        raise BitstreamError("does not begin with an iCE40 bitstream")
    place = start + len(PREAMBLE)
    width = height = 0
    covered, right = place, False
    while place < len(raw):
        kind, size = raw[place] & 0xF0, raw[place] & 0x0F
        operand = int.from_bytes(raw[place + 1 : place + 1 + size], "big")
        place += 1 + size
        if kind == ACTION and operand in (WRITE_CONFIGURATION, WRITE_RAM):
            place += width * height // 8 + 2
        elif kind == ACTION and operand == RESET_CRC:
            covered = place
        elif kind == CRC:
            right = crc_hqx(raw[covered:place], CRC_INIT) == 0
            if not right:
                break
        elif kind == ACTION and operand == WAKE_UP and right and place <= len(raw):
            return place + raw.startswith(PADDING, place)
        elif kind == WIDTH:
            width = operand + 1
        elif kind == HEIGHT:
            height = operand
        elif not ((kind == SPEED and operand < SPEEDS) or kind in (BANK, OFFSET, FLAGS)):
            break
    raise BitstreamError("holds a damaged iCE40 bitstream (by its commands or its CRC)")
