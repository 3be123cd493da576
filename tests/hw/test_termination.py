"""Early termination in the whole accelerator on Icarus: streams of frames under a rule, good ones and bad ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rasca_hw.counters import REGISTERS, RULE
from rasca_nn.config import preset
from rasca_nn.integer import step_logits
from rasca_nn.termination import Rule
from rtl_gen.estimate import estimate
from sim.compare import compare
from sim.frames import pixel_stream
from sim.icarus import run_accelerator
from sim.simulate import settings, traces
from tests.hw.whole import BROADCAST, SINGLE, Whole

CONFIG = replace(preset("tiny"), name="tall", height=42, width=16)
FRAMES = 8
TARGETS = {"two-engines": "small", "single-engine": str(SINGLE), "broadcast": str(BROADCAST)}


def on(name: str, *values: Any, slow: bool = False) -> Any:
    """A case on one of the targets."""
    return pytest.param(TARGETS[name], *values, id=name, marks=pytest.mark.slow if slow else ())


def pictures(count: int) -> NDArray[np.uint8]:
    """Noise under ramps of different brightness, so that steps differ."""
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 100, (count, CONFIG.height, CONFIG.width, 3))
    ramp = np.linspace(0, 155, CONFIG.height)[None, :, None, None] * rng.integers(0, 2, (count, 1, 1, 3))
    return (noise + ramp).astype(np.uint8)


def probabilities(whole: Whole, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of class 1 after every step."""
    scale = whole.model.scales["classifier.output"]
    return (step_logits(whole.model, torch.from_numpy(images)) * scale).softmax(-1)[..., 1].double().numpy()


def rule_for(whole: Whole, images: NDArray[np.uint8], consecutive: int, *, skips: bool) -> Rule:
    """One that some of the frames meet early, some late, some never."""
    likely = probabilities(whole, images)
    lower = float(np.quantile(likely, 0.3)) if skips else None
    return Rule(float(np.quantile(likely, 0.8)), consecutive, lower)


@pytest.mark.parametrize(
    ("target", "consecutive", "skips"),
    [
        on("two-engines", 1, True),
        on("single-engine", 2, False),
        on("two-engines", 2, False, slow=True),
        on("single-engine", 1, True, slow=True),
        on("broadcast", 1, True, slow=True),
        on("broadcast", 2, False, slow=True),
    ],
)
def test_frames_under_a_rule(target: str, consecutive: int, skips: bool) -> None:
    """Words, decisions, cycles and products: those of the steps that the rule leaves, and of no other."""
    whole = Whole.random(CONFIG, target, seed=19)
    images = pictures(FRAMES)
    rule = rule_for(whole, images, consecutive, skips=skips)
    expected, ran = traces(whole.model, images, rule)
    last = [int(np.flatnonzero(row)[-1]) for row in ran]
    assert len({*last}) > 2
    assert (
        not skips
        or (~ran[range(FRAMES), np.array(last) - 1]).any()
        or any(not row[: e + 1].all() for row, e in zip(ran, last, strict=True))
    )
    pixels = np.concatenate([pixel_stream(image) for image in images])
    run = run_accelerator(
        whole.build.params, pixels, FRAMES, limit=whole.limit(2 * FRAMES), settings=settings(whole.model, rule)
    )
    for comparison in compare(whole.build, run, expected):
        assert comparison.first is None
        assert comparison.compared > 0
    np.testing.assert_array_equal(run.results["step"], np.array(last) + 1)
    np.testing.assert_array_equal(run.results["errors"], np.zeros(FRAMES))
    products = sum(engine.products for engine in whole.build.engines)
    for f, cycles in enumerate(estimate(whole.build, FRAMES, ran.tolist())):
        counted = dict(zip(REGISTERS, run.counters[f].tolist(), strict=False))
        assert (counted["frame_cycles"], counted["latency"]) == (cycles.frame_cycles, cycles.latency)
        assert f == 0 or counted["interval"] == cycles.interval
        assert counted["groups"] == ran[f].sum()
        assert run.counters[f][len(REGISTERS) :].sum() == ran[f].sum() * products
        assert counted["active"] > 0


def test_rules_changed_in_mid_frame() -> None:
    """A rule set while a frame comes in acts on the next frame, all of it at once."""
    whole = Whole.random(CONFIG, "small", seed=19)
    images = pictures(FRAMES)
    rules = [rule_for(whole, images, 1, skips=True), rule_for(whole, images, 2, skips=False), None, Rule(0.5, 1, None)]
    per_rule = FRAMES // len(rules)
    found = [traces(whole.model, images, rule) for rule in rules]
    ran = np.stack([found[f // per_rule][1][f] for f in range(FRAMES)])
    last = [int(np.flatnonzero(row)[-1]) for row in ran]
    streams = [pixel_stream(image) for image in images]
    middle = len(streams[0]) // 2
    later = {
        (i * per_rule - 1) * len(streams[0]) + middle: settings(whole.model, rule) if rule else {RULE: 0}
        for i, rule in enumerate(rules)
        if i
    }
    run = run_accelerator(
        whole.build.params,
        np.concatenate(streams),
        FRAMES,
        limit=whole.limit(2 * FRAMES),
        settings=settings(whole.model, rules[0]),
        later=later,
    )
    for comparison in compare(whole.build, run, [found[f // per_rule][0][f] for f in range(FRAMES)]):
        assert comparison.first is None
    np.testing.assert_array_equal(run.results["step"], np.array(last) + 1)
    np.testing.assert_array_equal(run.results["errors"], np.zeros(FRAMES))


@pytest.mark.parametrize("target", [on("two-engines"), on("single-engine", slow=True), on("broadcast", slow=True)])
def test_cut_frames_under_a_rule(target: str) -> None:
    """A frame cut off before or after its early decision; the good frame after it is exact."""
    whole = Whole.random(CONFIG, target, seed=19)
    images = pictures(FRAMES)
    rule = rule_for(whole, images, 1, skips=True)
    expected, ran = traces(whole.model, images, rule)
    parts, good = [], []
    for i, image in enumerate(images):
        whole_frame = pixel_stream(image)
        cut = whole_frame[: CONFIG.width * (3 + 5 * i) + i]
        good.append(len(parts) + 1)
        parts += [cut, whole_frame]
    frames = len(parts)
    run = run_accelerator(
        whole.build.params,
        np.concatenate(parts),
        frames,
        limit=whole.limit(2 * frames),
        settings=settings(whole.model, rule),
    )
    results = run.results[good]
    last = [int(np.flatnonzero(row)[-1]) for row in ran]
    np.testing.assert_array_equal(results["errors"], np.zeros(FRAMES))
    np.testing.assert_array_equal(results["step"], np.array(last) + 1)
    logits = np.stack([steps[-1]["classifier.output"].ravel() for steps in expected])
    np.testing.assert_array_equal(results["logits"], logits)
