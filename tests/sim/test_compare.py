"""The comparison finds every word that differs, is missing or should not be there; runs are made up from the model."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from rasca_hw.counters import REGISTERS
from rasca_nn.config import preset
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import Build, build
from rtl_gen.target import load_target
from sim.compare import Comparison, Trace, _words, compare, expected_tensors
from sim.cxxrtl import Run
from sim.simulate import traces

FRAMES = 2


@cache
def right() -> tuple[Build, Run, list[list[Trace]]]:
    """Two frames as the hardware writes them: each layer's words step by step, the prologue's once a frame."""
    made = build(random_int8_model(preset("tiny"), seed=1), load_target("small"))
    config = made.model.config
    photos = np.random.default_rng(1).integers(0, 256, (FRAMES, config.height, config.width, 3), np.uint8)
    frames, _ = traces(made.model, photos)
    found = []
    kinds = [(e, g) for e, engine in enumerate(made.params.engines) for g in range(engine.groups)]
    for trace, (e, g) in enumerate(kinds):
        engine = made.engines[e]
        for i, plan in enumerate(engine.plans):
            for frame in frames:
                for step in frame[:1] if i < engine.params.loop else frame:
                    for _, base, tensor, unsigned in expected_tensors(plan, g, step):
                        words = _words(tensor, plan.columns, unsigned).reshape(-1, plan.columns)
                        found += [(0, base + a, trace, i, word.tolist()) for a, word in enumerate(words)]
    columns = made.params.engines[0].columns
    kind = [("cycle", "u8"), ("address", "u2"), ("trace", "u1"), ("instruction", "u1"), ("word", "u1", columns)]
    logits = np.concatenate([[step["classifier.output"] for step in frame] for frame in frames])
    confidences = np.zeros(len(logits), [("step", "<i4"), ("logits", "<i4", config.classes)])
    confidences["logits"] = logits
    counters = np.zeros((FRAMES, len(REGISTERS)), np.uint32)
    return made, Run(np.array(found, kind), confidences[:FRAMES], confidences, counters, 0), frames


def differs(run: Run) -> Comparison:
    """Both frames together."""
    made, _, frames = right()
    found = compare(made, run, frames)
    firsts = [c.first for c in found if c.first]
    return Comparison(sum(c.compared for c in found), sum(c.mismatches for c in found), firsts[0] if firsts else None)


def place(layer: str) -> tuple[int, int]:
    """Trace and instruction of a layer of the second engine, whose trace is the last."""
    made, run, _ = right()
    names = [plan.op.name for plan in made.engines[-1].plans]
    return int(run.writes["trace"].max()), names.index(layer)


def of(layer: str) -> np.ndarray:
    """Where the words of a layer of the second engine are."""
    trace, instruction = place(layer)
    writes = right()[1].writes
    return np.flatnonzero((writes["trace"] == trace) & (writes["instruction"] == instruction))


def test_all_is_equal() -> None:
    found = differs(right()[1])
    assert found.mismatches == 0 and found.first is None and found.compared > 0


def test_a_bit() -> None:
    writes = right()[1].writes.copy()
    at = of("gru.update")[-1]
    writes["word"][at, 0] ^= 1
    found = differs(replace(right()[1], writes=writes))
    assert found.mismatches == 1 and found.first is not None
    assert found.first.layer == "gru.update" and abs(int(found.first.expected or 0) - int(found.first.got or 0)) == 1


def test_a_word_that_is_missing() -> None:
    columns = right()[0].params.engines[0].columns
    found = differs(replace(right()[1], writes=np.delete(right()[1].writes, of("gru.update")[-1])))
    assert found.mismatches == columns
    assert str(found.first).startswith("gru.update") and str(found.first).endswith("got nothing")


def test_a_word_behind_the_last_step() -> None:
    """Written again, at its place and with its value, and yet too often."""
    run = right()[1]
    columns = right()[0].params.engines[0].columns
    found = differs(replace(run, writes=np.append(run.writes, run.writes[of("gru.update")[-1:]])))
    assert found.mismatches == columns
    assert "gru.update" in str(found.first) and "expected nothing" in str(found.first)


def test_the_prologue_of_a_frame_that_does_not_come() -> None:
    """It may begin, with the right words, and once."""
    run, trace = right()[1], place("gru.update")[0]
    first = run.writes[(run.writes["trace"] == trace) & (run.writes["instruction"] == 0)]
    half = first[: len(first) // FRAMES // 2]
    assert differs(replace(run, writes=np.append(run.writes, half))).mismatches == 0
    assert differs(replace(run, writes=np.append(run.writes, [*half, half[0]]))).mismatches > 0
    wrong = half.copy()
    wrong["word"][0, 0] ^= 1
    assert differs(replace(run, writes=np.append(run.writes, wrong))).mismatches == 1


def test_a_layer_that_is_not_there() -> None:
    word = right()[1].writes[-1:].copy()
    word["instruction"] = 200
    found = differs(replace(right()[1], writes=np.append(right()[1].writes, word)))
    assert found.mismatches and "instruction 200" in str(found.first)


def test_a_confidence_too_many() -> None:
    run = right()[1]
    found = differs(replace(run, confidences=np.append(run.confidences, run.confidences[-1:])))
    assert found.mismatches and "classifier.output" in str(found.first)
