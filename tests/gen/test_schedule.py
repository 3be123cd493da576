"""The schedule against a replay of every word: no word is read before it is written, nor when another tensor has taken
its place; no two words are written at once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from rasca_hw.issue import LAYER_OVERHEAD, ROW_OVERHEAD, STEP_OVERHEAD
from rasca_hw.latency import operand_delay
from rasca_hw.program import Mode
from rasca_nn.config import preset
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import EngineBuild, build
from rtl_gen.places import Places, Region, overlaid, pools_overlaid
from rtl_gen.schedule import LayerPlan, operand_times, pooled_times, read_times, write_times
from rtl_gen.target import load_target
from sim.fuzz import random_case
from tests.hw.whole import BROADCAST, SINGLE

STATE = {"gru.candidate", "state.clear"}
RECEIVED = {"the other engine"}
TARGETS = ["ecp5-85f", "up5k", *(pytest.param(str(path), id=path.stem) for path in (BROADCAST, SINGLE))]


def producers(plan: LayerPlan, plans: tuple[LayerPlan, ...]) -> set[str]:
    """The layers whose results a layer reads from memory; written down apart from the generator."""
    names = {p.op.name for p in plans}
    name = plan.op.name
    head = name.rpartition(".")[0]
    mine = f"{head}." if head else ""
    spatial = {n for n in names if n.startswith("spatial")}
    heads = {n for n in names if n.endswith(("conv4", ".restore"))} or RECEIVED
    projected = "projection.1" if "projection.1" in names else "projection.0"
    if name.endswith(("conv2", "conv3", "conv4")):
        return {f"{mine}conv{int(name[-1]) - 1}"}
    if name in spatial:
        kind = name.split(".")[1]
        return {
            "key": heads,
            "value": heads,
            "scores": {f"{head.split('.')[0]}.key"},
            "mix": {n for n in spatial if n.startswith(f"{head}.scores")},
        }[kind]
    attended = {n for n in names if n.endswith(".mix")} or heads
    return {
        "attention.squeeze": attended | STATE,
        "attention.scaled": {"attention.squeeze"},
        "projection.0": {"attention.scaled"} if "attention.scaled" in names else attended,
        "projection.1": {"projection.0"},
        "gru.reset": {projected} | STATE,
        "gru.update": {projected} | STATE,
        "gru.candidate": {projected, "gru.reset"},
        "classifier.hidden": {"gru.candidate, pooled"},
        "classifier.output": {"classifier.hidden" if "classifier.hidden" in names else "gru.candidate, pooled"},
    }[name]


@dataclass
class Word:
    """What a word holds: whose result, whole from which cycle on, and when it is read for the last time."""

    owner: str
    whole: int
    read: int = -1


class Memory:
    """Words by their place."""

    def __init__(self) -> None:
        self.words: dict[Any, Word] = {}

    def read(self, layer: str, expected: set[str], place: Any, first: int, last: int) -> None:
        word = self.words[place]
        assert word.owner in expected, f"{layer} finds {word.owner}'s word {place}"
        assert word.whole < first, f"{layer} reads word {place} too early"
        word.read = max(word.read, last)

    def write(self, layer: str, place: Any, begun: int, whole: int) -> None:
        word = self.words.get(place)
        assert word is None or max(word.read, word.whole) < begun, f"{layer} writes word {place} too early"
        self.words[place] = Word(layer, whole)


def operand_place(engine: EngineBuild, address: int, gate: bool = False) -> Any:
    """Where an engine that runs all keeps the gate: with the features; the others have a memory for it."""
    state = engine.params.gate_depth
    offset = address - engine.params.operand_base
    if gate:
        return ("features", offset) if engine.params.reads_lines else ("gate", offset)
    return ("state", offset) if offset < state else ("features", offset - state)


def replay(engine: EngineBuild, steps: int) -> None:
    """Two frames of an engine that never waits for another."""
    plans, loop, params = engine.plans, engine.params.loop, engine.params
    memory, operands = Memory(), Memory()
    writes: Counter[int] = Counter()
    end = 0
    for _ in range(2):
        for step in range(steps):
            if params.receives_features:
                first, last = params.operand_base + params.gate_depth, params.operand_base + params.operand_depth
                for word in range(first, last):
                    memory.words[word] = operands.words[operand_place(engine, word)] = Word(*RECEIVED, end)
            for plan in plans[0 if step == 0 else loop :]:
                op, name = plan.op, plan.op.name
                start = end + LAYER_OVERHEAD + plan.delay + ROW_OVERHEAD
                if op.products:
                    expected = set() if op.lines else producers(plan, plans)
                    words, times = (a.tolist() for a in read_times(plan))
                    _, later = (a.tolist() for a in read_times(plan, last=True))
                    for word, first, last in zip(words, times, later, strict=True):
                        memory.read(name, expected, word, start + first, start + last)
                words, times = (a.tolist() for a in operand_times(plan, params))
                for word, time in zip(words, times, strict=True):
                    # Of the state, the state; of the features, the features.
                    other = RECEIVED | {n for n in (p.op.name for p in plans) if n.endswith(("conv4", ".mix"))}
                    expected = STATE if word < params.operand_base + params.gate_depth else other
                    operands.read(name, expected, operand_place(engine, word), start + time, start + time)
                    if op.mode == Mode.BLEND:
                        operands.read(
                            name, {"gru.update"}, operand_place(engine, word, gate=True), start + time, start + time
                        )
                words, times = (a.tolist() for a in write_times(plan, params))
                _, begun = (a.tolist() for a in write_times(plan, params, begun=True))
                for word, first, time in zip(words, begun, times, strict=True):
                    writes[start + time] += 1
                    if op.to & {"memory", "softmax"}:
                        memory.write(name, word, start + first, start + time)
                    for to in op.to & {"operand", "gate"}:
                        held = start + time + operand_delay(params)
                        operands.write(name, operand_place(engine, word, to == "gate"), start + first, held)
                if op.state:
                    for channel, time in enumerate(pooled_times(plan, params).tolist()):
                        writes[start + time] += 1
                        memory.write(f"{name}, pooled", op.state.base + channel, start + time, start + time)
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


@pytest.mark.parametrize(
    "target", ["ecp5-85f", "up5k", str(BROADCAST), str(SINGLE)], ids=["two", "up5k", "broadcast", "single"]
)
@pytest.mark.parametrize("name", ["released-210x240", "released-105x120"])
def test_released(name: str, target: str) -> None:
    large = replace(load_target(target), block_rams=1000)
    made = build(random_int8_model(preset(name), 0), large)
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


def test_a_tensor_over_one_in_use_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the schedule cannot see, as no layer waits for it, the replay above does."""

    def wrong(*arguments: Any) -> Places:
        places = overlaid(*arguments)
        return replace(places, between=replace(places.between, base=places.state.base))

    model, target = random_int8_model(preset("tiny"), 0), load_target(str(BROADCAST))
    (engine,) = build(model, target).engines
    replay(engine, 2)
    monkeypatch.setattr("rtl_gen.build.overlaid", wrong)
    (engine,) = build(model, target).engines
    with pytest.raises(AssertionError, match=r"gru\.reset finds projection\.0's word"):
        replay(engine, 2)


def test_a_layer_over_its_own_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def close(*arguments: Any) -> list[Region]:
        first, second, third = pools_overlaid(*arguments)
        return [replace(first, base=second.base), second, third]

    monkeypatch.setattr("rtl_gen.build.pools_overlaid", close)
    with pytest.raises(ValueError, match=r"head0\.conv2 writes over words that it reads later"):
        build(random_int8_model(preset("tiny"), 0), load_target(str(BROADCAST)))
