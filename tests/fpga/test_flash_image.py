"""The flash's content: what is where, byte for byte."""

from __future__ import annotations

import zlib

import pytest

from fpga.flash_image import programming_image, weight_image
from rasca_hw.boot import OFFSET
from rasca_nn.errors import RascaError

WORDS = [0x1234, 0xFFFF, 0]
BODY = b"RASC" + bytes.fromhex("00000001 deadbeef 00000003 1234 ffff 0000")


def reversed_bits(raw: bytes) -> bytes:
    return bytes(sum((byte >> n & 1) << 7 - n for n in range(8)) for byte in raw)


def test_weight_image():
    crc = zlib.crc32(reversed_bits(BODY)).to_bytes(4, "little")
    assert weight_image(WORDS, model_hash=0xDEADBEEF) == BODY + reversed_bits(crc)


@pytest.mark.parametrize("word", [1 << 16, -1])
def test_a_word_that_is_none(word):
    with pytest.raises(OverflowError):
        weight_image([word], model_hash=1)


@pytest.mark.parametrize("size", [0, 104_161, OFFSET])
def test_programming_image(size):
    bitstream = bytes(range(256)) * (size // 256) + bytes(size % 256)
    image = programming_image(bitstream, BODY)
    assert image[:size] == bitstream
    assert image[size:OFFSET] == b"\xff" * (OFFSET - size)
    assert image[OFFSET:] == BODY


def test_overlap_is_refused():
    with pytest.raises(RascaError, match="has 65 bytes and overlaps the weights, which begin at 64"):
        programming_image(bytes(65), BODY, offset=64)
