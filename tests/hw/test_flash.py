"""The flash reader alone: a reader that lets bytes wait, and one that stops and begins anew."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from rasca_hw.flash import FlashReader
from sim.flash_model import FlashModel
from tests.fpga.line import simulate
from tests.hw.flash import at_pins

CONTENT = random.Random(4).randbytes(64)
OFFSET = 5
WANTED = CONTENT[OFFSET : OFFSET + 30]
WAKE = 8


def read(
    *, quad: bool, runs: int = 1, count: int = 30, pauses: Sequence[int] = (0,), wake: int = WAKE, **kind: bool
) -> list[bytes]:
    """What each run yields; the reader of bytes waits for so many cycles, over and over, before it takes one."""
    dut = FlashReader(offset=OFFSET, quad=quad, wake_cycles=wake)
    flash = FlashModel(CONTENT, wake=WAKE - 1, **kind)
    got: list[bytearray] = []

    async def host(ctx):
        for run in range(runs):
            got.append(bytearray())
            ctx.set(dut.run, 1)
            while len(got[run]) < count:
                for _ in range(pauses[len(got[run]) % len(pauses)]):
                    await ctx.tick()
                ctx.set(dut.bytes.ready, 1)
                (byte,) = await ctx.tick().sample(dut.bytes.payload).until(dut.bytes.valid)
                ctx.set(dut.bytes.ready, 0)
                got[run].append(byte)
            # Stopped while a byte waits: it must not be the first one of the next run.
            await ctx.tick().repeat(40)
            ctx.set(dut.run, 0)
            await ctx.tick()

    simulate(dut, host, background=[at_pins(dut.flash, flash)], limit=20_000)
    return [bytes(g) for g in got]


@pytest.mark.parametrize("pauses", [[0], [1], [2], [3, 0, 40, 0, 0, 5, 17]])
@pytest.mark.parametrize("quad", [False, True])
def test_bytes_that_wait(quad, pauses):
    assert read(quad=quad, pauses=pauses) == [WANTED]


@pytest.mark.parametrize("quad", [False, True])
def test_stop_and_go(quad):
    assert read(quad=quad, runs=3, count=2) == [WANTED[:2]] * 3


@pytest.mark.parametrize("quad", [False, True])
def test_a_flash_that_is_not_awake_yet(quad):
    """The model holds the reader to the pause, to the cycle."""
    assert read(quad=quad, wake=WAKE) == [WANTED]
    assert read(quad=quad, wake=WAKE - 2) != [WANTED]


def test_quad_enable():
    """Set where it can be; a flash that was shipped with it needs no more; without it the read fails."""
    assert read(quad=True) == [WANTED]
    assert read(quad=True, quad_enabled=True, volatile=False) == [WANTED]
    assert read(quad=True, volatile=False) != [WANTED]


@pytest.mark.parametrize(("options", "message"), [({"offset": 1 << 24}, "offset must"), ({"wake_cycles": 3}, "wake")])
def test_wrong_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        FlashReader(**{"offset": 0, **options})
