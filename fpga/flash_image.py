"""What a board's flash holds: the bitstream at 0, and the weights behind it (:mod:`rasca_hw.boot` has the format)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from rasca_hw.boot import CRC_BYTES, OFFSET, WORD_BYTES, header
from rasca_nn.errors import RascaError

ERASED = b"\xff"
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def weight_image(words: Sequence[int], *, model_hash: int) -> bytes:
    """The image of a memory's words, 16 bits each; OverflowError where one has more, or is negative."""
    payload = b"".join(int(word).to_bytes(WORD_BYTES, "big") for word in words)
    body = header(model_hash=model_hash, words=len(words)) + payload
    crc = zlib.crc32(body.translate(REVERSED)).to_bytes(CRC_BYTES, "little")
    return body + crc.translate(REVERSED)


def programming_image(bitstream: bytes, weights: bytes, *, offset: int = OFFSET) -> bytes:
    """One file for the whole flash, to be written from address 0.

    Raises
    ------
    RascaError
        If the bitstream reaches into the weights.
    """
    if len(bitstream) > offset:
        raise RascaError(f"the bitstream has {len(bitstream)} bytes and overlaps the weights, which begin at {offset}")
    return bitstream + ERASED * (offset - len(bitstream)) + weights
