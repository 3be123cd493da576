"""The flash's content: what is where, byte for byte."""

from __future__ import annotations

import zlib

import pytest

from fpga.flash_image import check, programming_image, weight_image
from fpga.ice40_bitstream import PADDING, PREAMBLE, bitstream_end
from rasca_hw.boot import MAGIC, OFFSET
from rasca_nn.errors import RascaError

from .small_bitstream import COMMENT, small_bitstream

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


def test_a_changed_byte_anywhere_is_found():
    """Anywhere but in the comment, the speed of reading and the padding; of the erased bytes some are tried."""
    bitstream, weights = small_bitstream(), weight_image(WORDS, model_hash=7)
    good = programming_image(bitstream, weights)
    check(good)
    commands = len(COMMENT) + len(PREAMBLE)
    end = len(bitstream) - len(PADDING)
    erased = range(len(bitstream), OFFSET, 9973)
    for place in [*range(len(COMMENT), commands), *range(commands + 2, end), *erased, *range(OFFSET - 1, len(good))]:
        for change in (0x01, 0x80, 0xFF):
            bad = bytearray(good)
            bad[place] ^= change
            with pytest.raises(RascaError):
                check(bytes(bad))


def test_what_is_wrong_with_an_image():
    bitstream, weights = small_bitstream(), weight_image(WORDS, model_hash=7)
    bare = bitstream.removesuffix(PADDING)
    assert bitstream_end(bare) == len(bare)
    assert bitstream_end(bitstream + PADDING) == len(bitstream)
    for alone in (bare, bitstream):
        check(alone)
    for end in range(len(COMMENT) + 4, len(bare)):
        with pytest.raises(RascaError, match="holds a damaged iCE40 bitstream"):
            check(bitstream[:end])
    for end in range(len(MAGIC), len(weights)):
        with pytest.raises(RascaError, match=r"holds damaged weights|in version"):
            check(programming_image(bitstream, weights[:end]))
    whole = programming_image(bitstream, weights)
    for end in (len(bitstream) + 1, OFFSET - 1, OFFSET):
        with pytest.raises(RascaError, match=f"ends at {end}, before its weights, which begin at 131072"):
            check(whole[:end])
    for bad, message in (
        (b"RASC" + bytes(2000), "does not begin with an iCE40 bitstream"),
        (bitstream + PADDING, f"something between the bitstream, which ends at {len(bitstream)}, and the weights"),
        (whole + b"\xff", f"goes on behind its weights, which end at {len(whole)}"),
        (programming_image(bitstream, b"RASK" + weights[4:]), "holds no weights at 131072"),
        (programming_image(bitstream, weights[:7] + b"\x02" + weights[8:]), "in version 2 of the format, not 1"),
    ):
        with pytest.raises(RascaError, match=message):
            check(bad)
