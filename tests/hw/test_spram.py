"""The memory of SPRAMs on Icarus: Yosys' model of the block, and the plain memory that stands for it elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from numpy.typing import NDArray

from fpga.flash_image import weight_image
from fpga.flows import Platform
from rasca_hw.boot import BootLoader
from rasca_hw.spram import BLOCK_WORDS, LATENCY, Spram
from sim.benches.spram import UNDEFINED
from sim.flash_model import FlashModel
from sim.icarus import run_bench, to_verilog
from sim.ice40 import UP5K, cell_models
from tests.fpga.line import simulate
from tests.hw.flash import at_pins, pulses

SHAPES = [(BLOCK_WORDS + 40, 16, UP5K), (2 * BLOCK_WORDS, 32, UP5K), (100, 64, UP5K), (BLOCK_WORDS + 40, 32, None)]


def source(memory: Spram, platform: Platform | None) -> str:
    text = to_verilog(memory, platform)
    assert text.count("SB_SPRAM256KA") == (memory.blocks if platform else 0)
    return text + cell_models("SB_SPRAM256KA") if platform else text


def accesses(memory: Spram, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows (write, lane address, lane, address): some words' lanes in random order, then reads and rewrites."""
    ends = [*range(6), *range(memory.words - 6, memory.words)]
    around = [w for w in range(BLOCK_WORDS - 3, BLOCK_WORDS + 3) if w < memory.words]
    used = np.array(sorted({*ends, *around}))
    places = rng.permutation((used[:, None] * memory.lanes + np.arange(memory.lanes)).reshape(-1))
    first = np.stack(
        [np.ones_like(places), places, rng.integers(0, 1 << 16, len(places)), rng.choice(used, len(places))], 1
    )
    count = 150
    later = [
        rng.random(count) < 0.2,
        rng.choice(places, count),
        rng.integers(0, 1 << 16, count),
        rng.choice(used, count),
    ]
    flush = np.zeros((LATENCY, 4), np.int64)
    return np.concatenate([first, np.stack([np.asarray(x, np.int64) for x in later], 1), flush])


def expected(memory: Spram, inputs: NDArray[np.int64]) -> dict[int, list[int]]:
    """By cycle in which a word must be there: its lanes."""
    content: dict[int, int] = {}
    words = {}
    for cycle, (write, place, lane, address) in enumerate(inputs.tolist()):
        if write:
            content[place] = lane
            continue
        lanes = [content.get(address * memory.lanes + n) for n in range(memory.lanes)]
        if None not in lanes:
            words[cycle + LATENCY] = lanes
    return {cycle: lanes for cycle, lanes in words.items() if cycle < len(inputs)}


@pytest.mark.parametrize(("words", "width", "platform"), SHAPES)
def test_spram(words: int, width: int, platform: Platform | None) -> None:
    """Words on both sides of each block's end; each read is right, `LATENCY` cycles later."""
    memory = Spram(words=words, width=width)
    inputs = accesses(memory, np.random.default_rng(words))
    outcome: dict[str, Any] = run_bench(source(memory, platform), "spram", {"inputs": inputs})
    wanted = expected(memory, inputs)
    assert len(wanted) > 100
    got = {cycle: outcome["word"][cycle].tolist() for cycle in wanted}
    assert got == wanted
    # Yosys' model shows that a cycle with a write reads nothing.
    assert bool((outcome["word"][LATENCY + 1 : 8] == UNDEFINED).all()) == (platform is not None)


@pytest.mark.parametrize(("quad", "width"), [(False, 16), (True, 64)])
def test_filled_from_flash(quad: bool, width: int) -> None:
    """Flash, loader and memory together: each word is read as the generator laid it out."""
    size = 7
    lanes = np.random.default_rng(width).integers(0, 1 << 16, size * width // 16).tolist()
    m = Module()
    m.submodules.memory = spram = Spram(words=size, width=width)
    m.submodules.loader = loader = BootLoader(model_hash=1, words=len(lanes), offset=3, quad=quad)
    load = loader.load
    m.d.comb += [spram.write.eq(load.write), spram.lane_address.eq(load.address), spram.lane.eq(load.lane)]
    flash = FlashModel(bytes(3) + weight_image(lanes, model_hash=1), wake=7)
    read = []

    async def reader(ctx: Any) -> None:
        while not ctx.get(loader.done):
            await ctx.tick()
        for address in range(size):
            ctx.set(spram.address, address)
            await ctx.tick().repeat(LATENCY)
            read.append(ctx.get(spram.word))

    simulate(m, reader, background=[at_pins(loader.flash, flash), pulses(loader.pulse, 8)], limit=5000)
    words = np.array(lanes, np.uint16).reshape(size, -1)
    assert read == [int.from_bytes(word.astype("<u2").tobytes(), "little") for word in words]


@pytest.mark.parametrize(("words", "width", "blocks"), [(1, 16, 1), (16384, 32, 2), (16385, 32, 4), (65536, 16, 4)])
def test_blocks(words: int, width: int, blocks: int) -> None:
    assert Spram(words=words, width=width).blocks == blocks


@pytest.mark.parametrize(("words", "width"), [(0, 16), (4, 8), (4, 48), (4, 0)])
def test_wrong_shapes(words: int, width: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        Spram(words=words, width=width)
