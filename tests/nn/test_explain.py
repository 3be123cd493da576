"""Confidence, activation map and step of the decision, for both kinds of model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rasca_nn.calibrate import batches
from rasca_nn.config import RaScaNetConfig
from rasca_nn.errors import RascaError
from rasca_nn.explain import activation_map, explain
from rasca_nn.quantize import quantize
from rasca_nn.random_model import random_int8_model
from rasca_nn.termination import Rule, run

from .conftest import photo_bytes, trained


def test_with_one_linear_layer_the_map_is_the_paper_s(tiny: RaScaNetConfig) -> None:
    config = replace(tiny, classifier_hidden=0, pool="mean")
    model, photos = trained(config), photo_bytes(config, 1)
    found = explain(model, photos[0], Rule())
    (image,) = batches(photos)
    with torch.no_grad():
        states, weight = model.scan(image)[:, :, 0], model.classifier[0].weight.detach()
        logits = model.steps(image).logits[0]
    wanted = torch.einsum("d,tdn->tn", weight[1] - weight[0], states)
    np.testing.assert_allclose(found.activation, wanted.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.confidence, logits.softmax(-1)[:, 1], rtol=1e-5)
    # The mean of the map is the margin, but for the bias.
    bias = model.classifier[0].bias.detach()
    margin = found.activation.mean(1) + float(bias[1] - bias[0])
    np.testing.assert_allclose(margin, logits[:, 1] - logits[:, 0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("hidden", [0, 8])
def test_the_integer_model_s_map_is_near_the_float_one_s(tiny: RaScaNetConfig, hidden: int) -> None:
    config = replace(tiny, width=96, channels=(6, 8, 10, 12), hidden=12, attention=6, classifier_hidden=hidden)
    model, photos = trained(config, 3), photo_bytes(config, 32)
    integers, _ = quantize(model, photos)
    exact, found = explain(model, photos[0], Rule()), explain(integers, photos[0], Rule())
    assert found.activation.shape == exact.activation.shape == (4, 6)
    assert np.corrcoef(found.activation.ravel(), exact.activation.ravel())[0, 1] > 0.95
    assert np.abs(found.confidence - exact.confidence).max() < 0.1


def test_the_step_is_where_the_rule_decides(tiny: RaScaNetConfig) -> None:
    config = replace(tiny, height=60)
    model, photos = random_int8_model(config, 11), photo_bytes(config, 8)
    for rule in (Rule(0.52, 1), Rule(0.52, 2, 0.45), Rule(0.999, 3)):
        steps = run(model, torch.from_numpy(photos), rule).steps.tolist()
        found = [explain(model, photo, rule) for photo in photos]
        assert [one.step for one in found] == steps
        if rule.lower is None:
            assert all(one.probability == pytest.approx(one.confidence[one.step - 1]) for one in found)


def test_float_rules(tiny: RaScaNetConfig) -> None:
    model, photo = trained(tiny), photo_bytes(tiny, 1)[0]
    confidence = explain(model, photo, Rule()).confidence
    sure = Rule(float(confidence.min()) * 0.9, 3)
    assert explain(model, photo, sure).step == 3
    assert explain(model, photo, sure).early
    with pytest.raises(RascaError, match="is explained with an integer model"):
        explain(model, photo, Rule(0.9, 1, 0.1))
    map_ = activation_map(torch.ones(2, 3, 4), torch.ones(2, 3), lambda p: torch.stack([p.sum(1), 2 * p.sum(1)], 1))
    assert (map_ == 3).all()
