"""UART receiver and transmitter at pin level."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import Module

from rasca_hw.uart import FRACTION, Receiver, Transmitter, bit_time

from .line import receive, send, simulate

BYTES = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, *random.Random(1).randbytes(6)]


@pytest.mark.parametrize(("clock", "baud"), [(80e6, 3e6), (100e6, 3e6), (25e6, 115200), (24e6, 3e6)])
def test_bit_time_is_within_two_percent(clock, baud):
    assert abs(bit_time(clock, baud) / FRACTION * baud / clock - 1) < 0.02


@pytest.mark.parametrize("baud", [1, 80e6 / 7])
def test_rates_that_cannot_be_served(baud):
    with pytest.raises(ValueError, match="baud must be"):
        bit_time(80e6, baud)


def run_receiver(stimulus, *, cycles: float, take=True):
    """The bytes and framing flags a receiver gives for a stimulus, and the number of overflows."""
    dut = Receiver(time=round(cycles * FRACTION))
    got, overflows = [], []

    async def drive(ctx):
        await stimulus(ctx, dut.rx)
        await ctx.tick().repeat(round(4 * cycles))

    async def watch(ctx):
        ctx.set(dut.bytes.ready, take)
        while True:
            if ctx.get(dut.bytes.valid) and take:
                got.append((ctx.get(dut.bytes.payload.data), ctx.get(dut.bytes.payload.framing)))
            overflows.append(ctx.get(dut.overflow))
            await ctx.tick()

    simulate(dut, drive, background=[watch])
    return got, sum(overflows)


@pytest.mark.parametrize(
    ("cycles", "mismatch"), [(8, 0.99), (8, 1), (8, 1.01), *((c, m) for c in (26.67, 33.33) for m in (0.97, 1, 1.03))]
)
def test_receives_at_a_host_that_is_a_bit_off(cycles, mismatch):
    async def stimulus(ctx, pin):
        await ctx.tick().repeat(5)
        await send(ctx, pin, BYTES, cycles * mismatch)

    got, overflows = run_receiver(stimulus, cycles=cycles)
    assert [data for data, _ in got] == BYTES
    assert not any(framing for _, framing in got)
    assert overflows == 0


def test_a_glitch_is_no_start_bit():
    async def stimulus(ctx, pin):
        for width in (1, 2, 10):
            ctx.set(pin, 0)
            await ctx.tick().repeat(width)
            ctx.set(pin, 1)
            await ctx.tick().repeat(40)
        await send(ctx, pin, [0x5A], 27)

    assert run_receiver(stimulus, cycles=27)[0] == [(0x5A, 0)]


def test_a_missing_stop_bit_is_flagged_and_the_next_byte_is_right():
    async def stimulus(ctx, pin):
        await send(ctx, pin, [0x12], 27, stop=0)
        await ctx.tick().repeat(60)
        await send(ctx, pin, [0x34], 27)

    assert run_receiver(stimulus, cycles=27)[0] == [(0x12, 1), (0x34, 0)]


def test_a_byte_that_is_not_taken_is_held_and_the_next_is_an_overflow():
    async def stimulus(ctx, pin):
        await send(ctx, pin, [1, 2, 3], 16)

    assert run_receiver(stimulus, cycles=16, take=False) == ([], 2)


@pytest.mark.parametrize("cycles", [8, 26.67, 33.33])
def test_transmitter_sends_what_a_receiver_reads(cycles):
    dut = Transmitter(time=round(cycles * FRACTION))
    got = []

    async def drive(ctx):
        for value in BYTES:
            ctx.set(dut.bytes.payload, value)
            ctx.set(dut.bytes.valid, 1)
            await ctx.tick().until(dut.bytes.ready)
        ctx.set(dut.bytes.valid, 0)
        begin = len(got)
        await ctx.tick().repeat(round(20 * cycles))
        assert len(got) - begin <= 2

    async def listen(ctx):
        await receive(ctx, dut.tx, cycles, got.append)

    simulate(dut, drive, background=[listen])
    assert got == BYTES


def test_both_ends_together():
    m = Module()
    m.submodules.tx = tx = Transmitter(time=427)
    m.submodules.rx = rx = Receiver(time=427)
    m.d.comb += rx.rx.eq(tx.tx)
    got = []

    async def drive(ctx):
        for value in BYTES:
            ctx.set(tx.bytes.payload, value)
            ctx.set(tx.bytes.valid, 1)
            await ctx.tick().until(tx.bytes.ready)
        ctx.set(tx.bytes.valid, 0)

    async def collect(ctx):
        ctx.set(rx.bytes.ready, 1)
        for _ in BYTES:
            await ctx.tick().until(rx.bytes.valid)
            got.append(ctx.get(rx.bytes.payload.data))

    simulate(m, drive, collect)
    assert got == BYTES
