"""Early termination in the integer model, against the rule applied to one image after another."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from rasca_nn.config import RaScaNetConfig
from rasca_nn.errors import RascaError
from rasca_nn.int8_file import Int8Model
from rasca_nn.integer import IntegerNet, step_logits
from rasca_nn.random_model import random_int8_model
from rasca_nn.termination import Rule, Tally, TerminatingEngine, run


def images_of(config: RaScaNetConfig, batch: int) -> torch.Tensor:
    """Noise under ramps of different brightness, so that steps differ."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 120, (batch, config.height, config.width, 3))
    ramp = np.linspace(0, 135, config.height)[None, :, None, None] * rng.integers(0, 2, (batch, 1, 1, 3))
    return torch.from_numpy((noise + ramp).astype(np.uint8))


def alone(model: Int8Model, image: torch.Tensor, rule: Rule) -> tuple[list[bool], int, list[int]]:
    """Steps made, step of the decision, its logits; one image, as docs/numerics.md says it."""
    net, scale = IntegerNet(model), model.scales["classifier.output"]
    hidden, streak, skip, ran = net.start(1), 0, False, []
    for t, group in enumerate(net.groups(image[None])[0]):
        ran.append(not skip)
        if skip:
            skip = False
            continue
        hidden = net.recur(net.project(net.heads(group[None], {}), hidden, {}), hidden, {})
        logits = net.classify(hidden, {})[0].tolist()
        margin = logits[1] - max(logits[:1] + logits[2:])
        decided = t + 1, logits
        streak = streak + 1 if margin >= math.log(rule.threshold / (1 - rule.threshold)) / scale else 0
        if streak == rule.consecutive:
            break
        skip = rule.lower is not None and margin <= math.log(rule.lower / (1 - rule.lower)) / scale
    return ran + [False] * (model.config.steps - len(ran)), *decided


@pytest.mark.parametrize(
    "rule", [Rule(0.6, 1), Rule(0.55, 2), Rule(0.7, 1, 0.4), Rule(0.52, 3, 0.45), Rule(0.999, 1, 0.5)]
)
@pytest.mark.parametrize("classes", [2, 4])
def test_batch_equals_one_after_another(tiny: RaScaNetConfig, rule: Rule, classes: int) -> None:
    config = replace(tiny, height=60, classes=classes)
    model, images = random_int8_model(config, 11), images_of(config, 12)
    found = run(model, images, rule)
    for i, image in enumerate(images):
        ran, step, logits = alone(model, image, rule)
        assert found.ran[i].tolist() == ran
        assert (int(found.steps[i]), found.final[i].tolist()) == (step, logits)
        assert torch.equal(found.logits[i][found.ran[i]][-1], found.final[i])
    engine = TerminatingEngine(model, rule)
    assert np.array_equal(engine(images.numpy()), found.final.numpy())
    assert engine.tally.steps == found.steps.tolist()


def test_a_rule_that_never_holds_changes_nothing(tiny: RaScaNetConfig) -> None:
    model, images = random_int8_model(tiny, 2), images_of(tiny, 4)
    found = run(model, images, Rule(1 - 1e-12, 255))
    assert found.ran.all()
    assert torch.equal(found.logits, step_logits(model, images))


def test_limits_are_the_margins_of_the_probabilities() -> None:
    scale = 0.003
    threshold, lower = Rule(0.99, 1, 0.005).limits(scale)

    def probability(margin: int) -> float:
        return 1 / (1 + math.exp(-margin * scale))

    assert probability(threshold - 1) < 0.99 <= probability(threshold)
    assert probability(lower) <= 0.005 < probability(lower + 1)
    assert Rule(0.5, 1).limits(scale) == (0, 0)
    assert Rule(1 - 1e-15, 1, 1e-15).limits(1e-12) == (2**31 - 1, -(2**31))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"threshold": 1.0}, "threshold must be above 0 and below 1, not 1.0"),
        ({"threshold": 0.0}, "threshold must be above 0 and below 1, not 0.0"),
        ({"threshold": float("nan")}, "threshold must be above 0 and below 1, not nan"),
        ({"consecutive": 0}, "consecutive must be 1 to 255, not 0"),
        ({"consecutive": 256}, "consecutive must be 1 to 255, not 256"),
        ({"lower": 0.0}, "lower must be above 0 and below 1, not 0.0"),
        ({"threshold": 0.5, "lower": 0.5}, "lower 0.5 must be below threshold 0.5"),
    ],
)
def test_rules_out_of_range(fields: dict, message: str) -> None:
    with pytest.raises(RascaError, match=message):
        Rule(**fields)


@pytest.mark.parametrize(
    "data", [{}, {"threshold": 0.9, "consecutive": 1}, {"threshold": True, "consecutive": 1, "lower": None}]
)
def test_rules_from_wrong_values(data: dict) -> None:
    with pytest.raises(RascaError, match="early termination: "):
        Rule.from_dict(data)


def test_tally() -> None:
    tally = Tally(10)
    tally.add(np.array([4, 10]), np.array([3, 10]))
    assert tally.report() == {"steps": 10, "mean_step": 7.0, "mean_groups": 6.5, "saved": 1 - 0.65}
