"""UART receiver and transmitter at pin level."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import Module

from rasca_hw.uart import BITS, FRACTION, Receiver, Transmitter, bit_time

from .line import receive, send, simulate

BYTES = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, *random.Random(1).randbytes(6)]


@pytest.mark.parametrize(("clock", "baud"), [(80e6, 3e6), (100e6, 3e6), (25e6, 115200), (24e6, 3e6)])
def test_bit_time_is_within_two_percent(clock, baud):
    assert abs(bit_time(clock, baud) / FRACTION * baud / clock - 1) < 0.02


@pytest.mark.parametrize("baud", [1, 80e6 / 7])
def test_rates_that_cannot_be_served(baud):
    with pytest.raises(ValueError, match="baud must be"):
        bit_time(80e6, baud)


class Listener:
    """Puts a receiver's bits together, as pairs of byte and framing flag."""

    def __init__(self, dut: Receiver) -> None:
        self.dut = dut
        self.got: list[tuple[int, int]] = []
        self._bits: list[int] = []

    def look(self, ctx) -> None:
        """To be called in each cycle."""
        if ctx.get(self.dut.shift):
            assert ctx.get(self.dut.number) == len(self._bits)
            self._bits.append(ctx.get(self.dut.bit))
        if ctx.get(self.dut.end):
            assert len(self._bits) == BITS
            self.got.append((sum(bit << n for n, bit in enumerate(self._bits)), ctx.get(self.dut.framing)))
            self._bits.clear()


def run_receiver(stimulus, *, cycles: float):
    """The bytes and framing flags a receiver gives for a stimulus."""
    dut = Receiver(time=round(cycles * FRACTION))
    listener = Listener(dut)

    async def drive(ctx):
        await stimulus(ctx, dut.rx)
        await ctx.tick().repeat(round(4 * cycles))

    async def watch(ctx):
        while True:
            listener.look(ctx)
            await ctx.tick()

    simulate(dut, drive, background=[watch])
    return listener.got


async def feed(ctx, dut: Transmitter, values) -> None:
    """Hands bytes to a transmitter, bit by bit; returns when the last bit is taken."""
    ctx.set(dut.send, 1)
    for value in values:
        for number in range(BITS):
            ctx.set(dut.bit, value >> number & 1)
            (seen,) = await ctx.tick().sample(dut.number).until(dut.shift)
            assert seen == number
    ctx.set(dut.send, 0)


@pytest.mark.parametrize(
    ("cycles", "mismatch"), [(8, 0.99), (8, 1), (8, 1.01), *((c, m) for c in (26.67, 33.33) for m in (0.97, 1, 1.03))]
)
def test_receives_at_a_host_that_is_a_bit_off(cycles, mismatch):
    async def stimulus(ctx, pin):
        await ctx.tick().repeat(5)
        await send(ctx, pin, BYTES, cycles * mismatch)

    assert run_receiver(stimulus, cycles=cycles) == [(value, 0) for value in BYTES]


def test_a_glitch_is_no_start_bit():
    async def stimulus(ctx, pin):
        for width in (1, 2, 10):
            ctx.set(pin, 0)
            await ctx.tick().repeat(width)
            ctx.set(pin, 1)
            await ctx.tick().repeat(40)
        await send(ctx, pin, [0x5A], 27)

    assert run_receiver(stimulus, cycles=27) == [(0x5A, 0)]


def test_a_missing_stop_bit_is_flagged_and_the_next_byte_is_right():
    async def stimulus(ctx, pin):
        await send(ctx, pin, [0x12], 27, stop=0)
        await ctx.tick().repeat(60)
        await send(ctx, pin, [0x34], 27)

    assert run_receiver(stimulus, cycles=27) == [(0x12, 1), (0x34, 0)]


@pytest.mark.parametrize("cycles", [8, 26.67, 33.33])
def test_transmitter_sends_what_a_receiver_reads(cycles):
    dut = Transmitter(time=round(cycles * FRACTION))
    got = []

    async def drive(ctx):
        await feed(ctx, dut, BYTES)
        assert len(got) == len(BYTES) - 1
        await ctx.tick().repeat(round(3 * cycles))

    async def listen(ctx):
        await receive(ctx, dut.tx, cycles, got.append)

    simulate(dut, drive, background=[listen])
    assert got == BYTES


def test_both_ends_together():
    m = Module()
    m.submodules.tx = tx = Transmitter(time=427)
    m.submodules.rx = rx = Receiver(time=427)
    m.d.comb += rx.rx.eq(tx.tx)
    listener = Listener(rx)

    async def drive(ctx):
        await feed(ctx, tx, BYTES)
        await ctx.tick().repeat(60)

    async def watch(ctx):
        while True:
            listener.look(ctx)
            await ctx.tick()

    simulate(m, drive, background=[watch])
    assert listener.got == [(value, 0) for value in BYTES]
