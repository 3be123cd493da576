"""Packets as bytes: the layouts are part of the interface, and the reader finds packets in anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpga.protocol import FAULT, IDENTITY, Identity, Kind, ReplyReader, request, result

from .board_model import packet


def test_a_request_is_these_bytes():
    raw = request(Kind.FRAME, frame=0x1234, height=1, width=2, pixels=bytes(range(6)))
    assert raw.hex(" ") == "a5 5a 01 34 12 01 00 02 00 00 01 02 03 04 05 dc ed 99 1f"


def test_a_value_that_does_not_fit():
    with pytest.raises(OverflowError):
        request(Kind.FRAME, frame=65536)


@given(classes=st.integers(2, 16), data=st.data())
def test_results_come_back(classes, data):
    logit = st.integers(-(2**31), 2**31 - 1)
    values = {"frame": 7, "class": 1, "step": 42, "errors": 0}
    values |= {f"logit{n}": data.draw(logit) for n in range(classes)}
    (reply,) = ReplyReader().feed(packet(Kind.RESULT, result(classes).pack(**values)))
    assert reply.values == values


def test_an_identity_comes_back():
    identity = Identity(height=210, width=240, classes=2, model=0xDEADBEEF, scale=0.03125)
    assert Identity.from_values(IDENTITY.unpack(IDENTITY.pack(frame=1, **identity.values()))) == identity


@given(junk=st.binary(max_size=40), cut=st.integers(1, 12))
def test_packets_are_found_behind_junk(junk, cut):
    """Whatever comes before, of several good packets the last is found; cut into pieces of any size."""
    good = packet(Kind.FAULT, FAULT.pack(frame=3, fault=3))
    raw = junk + good * 30
    reader, replies = ReplyReader(), []
    for at in range(0, len(raw), cut):
        replies += reader.feed(raw[at : at + cut])
    assert replies
    assert replies[-1].values == {"frame": 3, "fault": 3}


@given(raw=st.binary(max_size=200))
def test_junk_is_no_packet(raw):
    assert ReplyReader().feed(raw) == []


@pytest.mark.parametrize(
    "raw",
    [
        packet(Kind.FAULT, FAULT.pack(frame=1, fault=200)),
        packet(Kind.FAULT, b"123456"),
        packet(Kind.RESULT, b"1"),
        packet(Kind.FRAME, b""),
    ],
)
def test_unknown_contents_are_skipped(raw):
    assert ReplyReader().feed(raw) == []
