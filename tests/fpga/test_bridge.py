"""The UART bridge at pin level with a stub behind it: good frames, and every way a frame can go wrong."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import connect

from fpga.packet_receiver import PacketReceiver
from fpga.packet_sender import PacketSender
from fpga.protocol import Fault, Identity, Kind, Reply, ReplyReader, request
from fpga.uart_bridge import UartBridge, share_crc
from rasca_hw.heartbeat import Heartbeat
from rasca_hw.uart import BITS

from .line import receive, send, simulate
from .stub import IDENTITY, Stub, expected

CYCLES = 10
TIMEOUT = 600
SHAPE = (IDENTITY.height, IDENTITY.width, 3)
PHOTOS = np.random.default_rng(2).integers(0, 256, (4, *SHAPE), dtype=np.uint8)


def photo_packet(number: int) -> bytes:
    """The request for photo `number`, whose frame number is 100 more."""
    return request(Kind.FRAME, frame=100 + number, height=SHAPE[0], width=SHAPE[1], pixels=PHOTOS[number % 4].tobytes())


def pulses(m: Module, cycles: int) -> Signal:
    """A heartbeat's slow pulse."""
    m.submodules.heartbeat = heartbeat = Heartbeat(short=2, long=cycles)
    return heartbeat.long


def at_pins(*turns: bytes, pace: int = 1, baud: float = 1, refusal: Fault = Fault.NONE) -> list[Reply]:
    """Send each turn through the pins and wait for its answer; all replies."""
    m = Module()
    m.submodules.bridge = bridge = UartBridge(IDENTITY, clock_hz=CYCLES, baud=1)
    m.submodules.stub = stub = Stub(IDENTITY, pace=pace)
    m.d.comb += [bridge.pulse.eq(pulses(m, TIMEOUT)), bridge.refusal.eq(refusal)]
    connect(m, bridge.pixels, stub.pixels)
    connect(m, stub.results, bridge.results)
    reader, replies = ReplyReader(), []

    async def host(ctx):
        for number, turn in enumerate(turns):
            await send(ctx, bridge.rx, turn, CYCLES / baud)
            while len(replies) <= number:
                await ctx.tick().repeat(50)
        await ctx.tick().repeat(2 * TIMEOUT + 2500)

    async def listen(ctx):
        await receive(ctx, bridge.tx, CYCLES, lambda value: replies.extend(reader.feed(bytes([value]))))

    simulate(m, host, background=[listen])
    return replies


def converse(*turns: bytes) -> list[Reply]:
    """As :func:`at_pins`, but a few cycles a byte and without the UART."""
    m = Module()
    m.submodules.into = into = PacketReceiver(height=SHAPE[0], width=SHAPE[1])
    m.submodules.out = out = PacketSender(IDENTITY)
    m.submodules.stub = stub = Stub(IDENTITY)
    m.d.comb += into.pulse.eq(pulses(m, 64))
    share_crc(m, into, out)
    connect(m, into.pixels, stub.pixels)
    connect(m, into.verdict, out.verdict)
    connect(m, stub.results, out.results)
    reader, replies = ReplyReader(), []

    async def host(ctx):
        for number, turn in enumerate(turns):
            for value in turn:
                ctx.set(into.shift, 1)
                for n in range(BITS):
                    ctx.set(into.number, n)
                    ctx.set(into.bit, value >> n & 1)
                    await ctx.tick()
                ctx.set(into.shift, 0)
                ctx.set(into.end, 1)
                await ctx.tick()
                ctx.set(into.end, 0)
                await ctx.tick().repeat(2)
            while len(replies) <= number:
                await ctx.tick().repeat(5)
        await ctx.tick().repeat(500)

    async def listen(ctx):
        number = value = 0
        while True:
            ctx.set(out.number, number)
            ctx.set(out.shift, 0)
            await ctx.tick().repeat(3)
            sending = ctx.get(out.send)
            if sending:
                value |= ctx.get(out.bit) << number
            ctx.set(out.shift, sending)
            await ctx.tick()
            if sending:
                number = (number + 1) % BITS
            if sending and not number:
                replies.extend(reader.feed(bytes([value])))
                value = 0

    simulate(m, host, background=[listen])
    return replies


def check_result(reply, number: int):
    assert reply.kind == Kind.RESULT
    first, second = expected(PHOTOS[number % 4])
    assert reply.values == {
        "frame": 100 + number,
        "class": second & 1,
        "step": 7,
        "errors": 0,
        "logit0": first,
        "logit1": second,
    }


def check_fault(reply, fault: Fault, frame: int):
    assert (reply.kind, reply.values) == (Kind.FAULT, {"frame": frame, "fault": fault})


@pytest.mark.parametrize("talk", [converse, at_pins, partial(at_pins, pace=90)])
def test_good_frames(talk):
    replies = talk(photo_packet(0), photo_packet(1))
    assert len(replies) == 2
    for number, reply in enumerate(replies):
        check_result(reply, number)


def test_what_comes_during_an_answer_is_lost_and_reported():
    replies = converse(photo_packet(0) + photo_packet(1)[:20], b"", photo_packet(2))
    check_result(replies[0], 0)
    check_fault(replies[1], Fault.NO_SYNC, 0)
    check_result(replies[2], 2)


def test_photos_are_refused_until_the_weights_are_there():
    """The fault that says why; the host may still ask who is there."""
    replies = at_pins(request(Kind.IDENTIFY, frame=9), photo_packet(0), refusal=Fault.WEIGHTS_DAMAGED)
    assert replies[0].kind == Kind.IDENTITY
    check_fault(replies[1], Fault.WEIGHTS_DAMAGED, 100)


def test_identity():
    (reply,) = converse(request(Kind.IDENTIFY, frame=9))
    assert reply.kind == Kind.IDENTITY
    assert reply.values["frame"] == 9
    assert Identity.from_values(reply.values) == IDENTITY


PACKET = photo_packet(0)
PLACES = {"header": 5, "first pixel": 9, "middle": 30, "last pixel": len(PACKET) - 5, "crc": len(PACKET) - 1}


@pytest.mark.parametrize("place", [PLACES[name] for name in ("first pixel", "middle", "last pixel", "crc")])
def test_a_changed_byte(place):
    bad = bytearray(PACKET)
    bad[place] ^= 1 << random.Random(place).randrange(8)
    replies = converse(bytes(bad), photo_packet(1))
    assert len(replies) == 2
    check_fault(replies[0], Fault.CRC, 100)
    check_result(replies[1], 1)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_lost_byte(place):
    replies = converse(PACKET[:place] + PACKET[place + 1 :], photo_packet(1))
    # A header that lacks a byte is read with the first pixel's in its place: the width is wrong.
    if place == PLACES["header"]:
        check_fault(replies[0], Fault.HEADER, replies[0].values["frame"])
    else:
        check_fault(replies[0], Fault.TIMEOUT, 100)
    check_result(replies[-1], 1)


@pytest.mark.parametrize("length", [1, 2, 4, 9, 10, 20, len(PACKET) - 4, len(PACKET) - 1])
def test_a_packet_that_breaks_off(length):
    replies = converse(PACKET[:length], photo_packet(1))
    assert len(replies) == 2
    fault = Fault.NO_SYNC if length < 2 else Fault.TIMEOUT
    check_fault(replies[0], fault, 100 if length >= 9 else 0)
    check_result(replies[1], 1)


def test_a_doubled_byte():
    replies = converse(PACKET[:30] + PACKET[29:], photo_packet(1))
    check_fault(replies[0], Fault.CRC, 100)
    check_result(replies[-1], 1)


@pytest.mark.parametrize("junk", [b"\x00", b"\xa5", b"\xa5\xa5", b"\xa5\x00\x5a", bytes(range(40))])
def test_junk_before_a_packet_is_skipped(junk):
    (reply,) = converse(junk + PACKET)
    check_result(reply, 0)


def test_junk_alone_is_reported():
    replies = converse(b"\x01\x02\x03", photo_packet(1))
    check_fault(replies[0], Fault.NO_SYNC, 0)
    check_result(replies[1], 1)


@pytest.mark.parametrize(("kind", "height", "width"), [(Kind.FRAME, 3, 5), (Kind.FRAME, 4, 4), (Kind.RESULT, 3, 4)])
def test_a_header_that_does_not_fit(kind, height, width):
    replies = converse(request(kind, frame=5, height=height, width=width), photo_packet(1))
    check_fault(replies[0], Fault.HEADER, 5)
    check_result(replies[-1], 1)


def test_an_accelerator_that_is_too_slow():
    replies = at_pins(PACKET, pace=1500)
    assert replies[0].kind == Kind.FAULT
    assert replies[0].values == {"frame": 100, "fault": Fault.OVERFLOW}


def test_a_wrong_baud_rate():
    (reply,) = at_pins(PACKET[:12], baud=0.4)
    check_fault(reply, Fault.FRAMING, 0)


def test_a_lost_byte_at_the_pins():
    replies = at_pins(PACKET[:30] + PACKET[31:], photo_packet(1))
    check_fault(replies[0], Fault.TIMEOUT, 100)
    check_result(replies[1], 1)
