"""The flash reader alone: its pauses, and that it stops and begins anew."""

from __future__ import annotations

import random

import pytest

from rasca_hw.flash import FlashReader
from sim.flash_model import FlashModel
from tests.fpga.line import simulate
from tests.hw.flash import at_pins, pulses

CONTENT = random.Random(4).randbytes(64)
OFFSET = 5
WANTED = CONTENT[OFFSET : OFFSET + 30]
WAKE = 8


def read(*, quad: bool, runs: int = 1, count: int = 30, wake: int = WAKE, after: int = 0, **kind: bool) -> list[bytes]:
    """What each run yields with a pulse every `wake` cycles; it ends so many items `after` the last byte."""
    dut = FlashReader(offset=OFFSET, quad=quad)
    flash = FlashModel(CONTENT, wake=WAKE - 1, **kind)
    got: list[int] = []

    async def host(ctx):
        for _ in range(runs):
            value = 1
            ctx.set(dut.run, 1)
            for _ in range(count * 8 // dut.lines + after):
                (data,) = await ctx.tick().sample(dut.data).until(dut.valid)
                value = value << dut.lines | data
            got.append(value >> dut.lines * after)
            ctx.set(dut.run, 0)
            await ctx.tick()

    simulate(dut, host, background=[at_pins(dut.flash, flash), pulses(dut.pulse, wake)], limit=20_000)
    return [value.to_bytes(count + 1, "big")[1:] for value in got]


@pytest.mark.parametrize("quad", [False, True])
def test_bytes(quad):
    assert read(quad=quad) == [WANTED]


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("quad", [False, True])
def test_stop_and_go(quad, after):
    assert read(quad=quad, runs=3, count=2, after=after) == [WANTED[:2]] * 3


@pytest.mark.parametrize("quad", [False, True])
def test_a_flash_that_is_not_awake_yet(quad):
    """A pause lasts from one pulse to the next at least."""
    assert read(quad=quad, wake=WAKE) == [WANTED]
    assert read(quad=quad, wake=WAKE // 2 - 1) != [WANTED]


def test_quad_enable():
    """Set where it can be; a flash that was shipped with it needs no more; without it the read fails."""
    assert read(quad=True) == [WANTED]
    assert read(quad=True, quad_enabled=True, volatile=False) == [WANTED]
    assert read(quad=True, volatile=False) != [WANTED]


def test_wrong_parameters():
    with pytest.raises(ValueError, match="offset must"):
        FlashReader(offset=1 << 24)
