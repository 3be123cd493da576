"""The schedule against a brute-force replay: no word is read before it is written, no two words are written at once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from rasca_hw.issue import LAYER_OVERHEAD, ROW_OVERHEAD, STEP_OVERHEAD
from rasca_nn.config import preset
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import EngineBuild, build
from rtl_gen.schedule import pooled_times, read_times, write_times
from rtl_gen.target import load_target
from sim.fuzz import random_case


def replay(engine: EngineBuild, steps: int) -> None:
    """Two frames of an engine that never waits for another."""
    plans, loop = engine.plans, engine.params.loop
    written: dict[int, int] = {}
    writes: Counter[int] = Counter()
    end = 0
    for _ in range(2):
        for step in range(steps):
            for plan in plans[0 if step == 0 else loop :]:
                start = end + LAYER_OVERHEAD + plan.delay + ROW_OVERHEAD
                words, times = read_times(plan)
                for word, time in zip(words.tolist(), times.tolist(), strict=True):
                    assert written.get(word, -1) < start + time, f"{plan.op.name} reads word {word} too early"
                words, times = write_times(plan, engine.params)
                for word, time in zip(words.tolist(), times.tolist(), strict=True):
                    writes[start + time] += 1
                    if "memory" in plan.op.to:
                        written[word] = start + time
                if plan.op.state:
                    for channel, time in enumerate(pooled_times(plan, engine.params).tolist()):
                        writes[start + time] += 1
                        written[plan.op.state.base + channel] = start + time
                assert plan.cycles == start + plan.last_pass + plan.pass_cycles + plan.gap - end
                end += plan.cycles
            end += STEP_OVERHEAD
    assert max(writes.values()) == 1, "two words are written in one cycle"


@pytest.mark.parametrize("number", range(200))
def test_random(number: int) -> None:
    case = random_case(0, number)
    made = build(case.model(), case.target)
    for engine in made.engines:
        replay(engine, min(2, case.config.steps))


@pytest.mark.parametrize("name", ["released-210x240", "released-105x120"])
def test_released(name: str) -> None:
    made = build(random_int8_model(preset(name), 0), load_target("ecp5-85f"))
    for engine in made.engines:
        replay(engine, 2)


def test_reads_cover_the_source() -> None:
    made = build(random_int8_model(preset("tiny"), 0), load_target("small"))
    for engine in made.engines:
        for plan in engine.plans[engine.params.loop :]:
            if not plan.op.lines:
                words, _ = read_times(plan)
                source = plan.op.source
                assert set(words.tolist()) == set(np.arange(source.base, source.end).tolist())
