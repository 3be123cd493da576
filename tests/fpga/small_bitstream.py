"""A bitstream in the format of an iCE40's, with next to nothing in it."""

from __future__ import annotations

from binascii import crc_hqx

from fpga.ice40_bitstream import CRC_INIT, PADDING, PREAMBLE

COMMENT = b"\xff\x00comment\x00\x00\xff"
SPEED, RESET_CRC, WAKE_UP = b"\x51\x00", b"\x01\x05", b"\x01\x06"


def small_bitstream() -> bytes:
    """One bank of 16 x 2 bits of configuration."""
    body = b"\x92\x00\x20" + b"\x62\x00\x0f" + b"\x72\x00\x02" + b"\x11\x00" + b"\x82\x00\x00"
    body += b"\x01\x01" + bytes([1, 2, 3, 4]) + bytes(2) + b"\x22"
    crc = crc_hqx(body, CRC_INIT).to_bytes(2, "big")
    return COMMENT + PREAMBLE + SPEED + RESET_CRC + body + crc + WAKE_UP + PADDING
