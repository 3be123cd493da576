"""What a board's flash holds: the bitstream at 0, and the weights behind it (:mod:`rasca_hw.boot` has the format)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from fpga.ice40_bitstream import bitstream_end
from rasca_hw.boot import CRC_BYTES, HEADER_WORDS, MAGIC, OFFSET, VERSION, WORD_BYTES, header
from rasca_nn.errors import RascaError

ERASED = b"\xff"
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def weight_image(words: Sequence[int], *, model_hash: int) -> bytes:
    """The image of a memory's words, 16 bits each; OverflowError where one has more, or is negative."""
    payload = b"".join(int(word).to_bytes(WORD_BYTES, "big") for word in words)
    body = header(model_hash=model_hash, words=len(words)) + payload
    return body + _crc(body)


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


def check(image: bytes, *, offset: int = OFFSET) -> None:
    """Raises RascaError unless the image is a whole bitstream alone, or one with erased bytes and whole weights behind.

    Whether they are those that the bitstream looks for, only the hardware can tell.
    """
    end = bitstream_end(image)
    if len(image) == end:
        return
    if image[end:offset].strip(ERASED):
        raise RascaError(f"holds something between the bitstream, which ends at {end}, and the weights at {offset}")
    if len(image) <= offset:
        raise RascaError(f"ends at {len(image)}, before its weights, which begin at {offset}")
    weights = image[offset:]
    if not weights.startswith(MAGIC):
        raise RascaError(f"holds no weights at {offset}")
    version, _, words = struct.unpack_from(">III", weights.ljust(HEADER_WORDS * WORD_BYTES), len(MAGIC))
    if version != VERSION:
        raise RascaError(f"holds weights in version {version} of the format, not {VERSION}")
    size = (HEADER_WORDS + words) * WORD_BYTES
    if weights[size : size + CRC_BYTES] != _crc(weights[:size]):
        raise RascaError("holds damaged weights (by their CRC)")
    if len(weights) > size + CRC_BYTES:
        raise RascaError(f"goes on behind its weights, which end at {offset + size + CRC_BYTES}")


def _crc(body: bytes) -> bytes:
    return zlib.crc32(body.translate(REVERSED)).to_bytes(CRC_BYTES, "little").translate(REVERSED)
