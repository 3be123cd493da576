"""What host and board say to each other over the UART: the packets, defined once for both sides.

Everything is little-endian. A packet is two sync bytes, a body, and the CRC-32 (as in zlib and Ethernet) of the body::

    host to board    a5 5a | kind u8, frame u16, height u16, width u16 | pixels: height * width * (r, g, b) | crc u32
    board to host    5a a5 | kind u8, length u8 | fields of that kind, `length` bytes                       | crc u32

Pixels follow a header of kind FRAME only. The board answers each request with exactly one packet, in order. Bytes that
are no packet are skipped; once the line has been quiet for the time-out, the board reports what it gave up.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

TO_BOARD = b"\xa5\x5a"
TO_HOST = b"\x5a\xa5"
CRC_BYTES = 4
VERSION = 1
BAUD = 3_000_000
TIMEOUT_S = 0.1
"""A pause inside a packet after which the board gives it up; longer than a busy host's scheduler needs."""


class Kind(IntEnum):
    """First byte of a body."""

    FRAME = 0x01
    IDENTIFY = 0x02
    RESULT = 0x81
    IDENTITY = 0x82
    FAULT = 0x8F


class Fault(IntEnum):
    """Why a request has no answer."""

    NONE = 0
    NO_SYNC = 1
    """Bytes came that belong to no packet (`frame` is 0)."""
    HEADER = 2
    """Unknown kind, or not the network's height and width."""
    CRC = 3
    """A byte was changed or doubled."""
    TIMEOUT = 4
    """Bytes are missing."""
    FRAMING = 5
    """A stop bit was missing: wrong baud rate or noise."""
    OVERFLOW = 6
    """Bytes came faster than the accelerator takes them."""
    LOADING = 8
    """The weights are being read from the flash; 8 + :class:`rasca_hw.boot.BootError` while that has failed."""
    WEIGHTS_MISSING = 9
    WEIGHTS_FOREIGN = 10
    WEIGHTS_LENGTH = 11
    WEIGHTS_DAMAGED = 12


@dataclass(frozen=True)
class Field:
    """An integer of `size` bytes."""

    name: str
    size: int
    signed: bool = False


@dataclass(frozen=True)
class Layout:
    """Fields in the order they are sent. The hardware derives its struct from the same fields."""

    fields: tuple[Field, ...]

    @property
    def size(self) -> int:
        """Bytes of all fields."""
        return sum(field.size for field in self.fields)

    def pack(self, **values: int) -> bytes:
        """The bytes of the fields; OverflowError where a value does not fit."""
        return b"".join(values[f.name].to_bytes(f.size, "little", signed=f.signed) for f in self.fields)

    def unpack(self, raw: bytes) -> dict[str, int]:
        """The inverse of :meth:`pack`."""
        values, at = {}, 0
        for f in self.fields:
            values[f.name] = int.from_bytes(raw[at : at + f.size], "little", signed=f.signed)
            at += f.size
        return values


HEADER = Layout((Field("kind", 1), Field("frame", 2), Field("height", 2), Field("width", 2)))
REPLY = Layout((Field("kind", 1), Field("length", 1)))
FAULT = Layout((Field("frame", 2), Field("fault", 1)))
IDENTITY = Layout(
    (
        Field("frame", 2),
        Field("version", 1),
        Field("classes", 1),
        Field("height", 2),
        Field("width", 2),
        Field("model", 4),  # first 32 bits of the model's hash
        Field("scale", 4),  # scale of the logits, a float32
    )
)


def result(classes: int) -> Layout:
    """The answer to a frame: the accelerator's result with one field a logit."""
    logits = tuple(Field(f"logit{index}", 4, signed=True) for index in range(classes))
    return Layout((Field("frame", 2), Field("class", 1), Field("step", 1), Field("errors", 1), *logits))


def request(kind: Kind, *, frame: int, height: int = 0, width: int = 0, pixels: bytes = b"") -> bytes:
    """A packet for the board."""
    body = HEADER.pack(kind=kind, frame=frame, height=height, width=width) + pixels
    return TO_BOARD + body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")


@dataclass(frozen=True)
class Identity:
    """What a bitstream is: asked for by the host before it sends a photo.

    Parameters
    ----------
    height, width : input of the network in pixels.
    classes : logits in a result.
    model : first 32 bits of the model's hash.
    scale : scale of the logits, rounded to a float32; softmax(logits * scale) is the probability.
    """

    height: int
    width: int
    classes: int
    model: int
    scale: float

    def values(self) -> dict[str, int]:
        """As fields of IDENTITY, without `frame`."""
        scale = int.from_bytes(struct.pack("<f", self.scale), "little")
        return {**vars(self), "version": VERSION, "scale": scale}

    @classmethod
    def from_values(cls, values: dict[str, int]) -> Identity:
        """The inverse of :meth:`values`; `frame` and `version` are ignored."""
        (scale,) = struct.unpack("<f", values["scale"].to_bytes(4, "little"))
        return cls(values["height"], values["width"], values["classes"], values["model"], scale)


@dataclass(frozen=True)
class Reply:
    """A packet from the board whose CRC was right."""

    kind: Kind
    values: dict[str, int]


class ReplyReader:
    """Finds the board's packets in a stream of bytes; what is no packet with a right CRC is skipped."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, raw: bytes) -> list[Reply]:
        """Take some bytes; the packets that are complete now."""
        self._buffer += raw
        replies = []
        while (start := self._buffer.find(TO_HOST)) >= 0:
            del self._buffer[:start]
            body = bytes(self._buffer[len(TO_HOST) :])
            if len(body) < REPLY.size or len(body) < (end := REPLY.size + body[1]) + CRC_BYTES:
                break
            right = zlib.crc32(body[:end]) == int.from_bytes(body[end : end + CRC_BYTES], "little")
            reply = _reply(body[:end]) if right else None
            if reply:
                replies.append(reply)
                del self._buffer[: len(TO_HOST) + end + CRC_BYTES]
            else:
                del self._buffer[:1]
        return replies


def _reply(body: bytes) -> Reply | None:
    """The packet, or None if its kind or length is unknown."""
    kind, fields = body[0], body[REPLY.size :]
    layouts: dict[int, Layout] = {Kind.IDENTITY: IDENTITY, Kind.FAULT: FAULT}
    if kind == Kind.RESULT:
        layouts[kind] = result((len(fields) - result(0).size) // 4)
    if kind not in layouts or layouts[kind].size != len(fields):
        return None
    values = layouts[kind].unpack(fields)
    return Reply(Kind(kind), values) if values.get("fault", 0) in list(Fault) else None
