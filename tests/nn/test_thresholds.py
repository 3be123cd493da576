"""The table of rules against frames really run under each of them, and the choice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rasca_nn.config import RaScaNetConfig
from rasca_nn.data import Photos
from rasca_nn.errors import RascaError
from rasca_nn.random_model import random_int8_model
from rasca_nn.rows import Row
from rasca_nn.termination import Rule, run
from rasca_nn.thresholds import Outcome, Scores, choose, draw, outcome, score, table, whole

from .conftest import photo_bytes


def photos_of(config: RaScaNetConfig, number: int) -> Photos:
    rows = tuple(Row(Path("x"), f"{i}.png", i % 2, "val", "") for i in range(number))
    return Photos(rows, photo_bytes(config, number), np.arange(number) % 2)


@pytest.mark.parametrize("classes", [2, 3])
def test_every_rule_equals_the_frames_run_under_it(tiny: RaScaNetConfig, classes: int) -> None:
    config = replace(tiny, height=60, classes=classes)
    model, photos = random_int8_model(config, 11), photos_of(config, 24)
    scores = score(model, photos)
    for found in table(scores, (0.52, 0.6, 0.7, 0.99), (1, 2, 3)):
        frames = run(model, torch.from_numpy(photos.images), Rule(found.threshold, found.consecutive))
        positive = photos.labels == 1
        decisions = (frames.final.argmax(1) == 1).numpy()
        assert found.accuracy == (decisions == positive).mean()
        steps = frames.steps.numpy()
        assert found.steps == pytest.approx(steps.mean())
        assert found.saved == pytest.approx(1 - frames.ran.double().mean().item())
        assert found.steps_positive == pytest.approx(steps[positive].mean())
        assert found.early_positive == pytest.approx((steps[positive] < 12).mean())
    assert whole(scores)["accuracy"] == ((frames_whole(model, photos) == 1) == (photos.labels == 1)).mean()


def frames_whole(model, photos: Photos) -> np.ndarray:
    from rasca_nn.integer import logits

    return logits(model, torch.from_numpy(photos.images)).argmax(1).numpy()


def test_the_choice() -> None:
    """Four photos of six steps; a margin of 5 units of 1 is a confidence of 0.993."""
    margins = np.array([[0, 5, 5, 5, 5, 5], [0, 0, 0, 5, -1, 2], [-5] * 6, [5, -5, -5, -5, -5, -5]])
    scores = Scores(margins, margins > 0, np.array([1, 1, 0, 0]), 1.0)
    one, two = outcome(scores, Rule(0.99, 1)), outcome(scores, Rule(0.99, 2))
    assert (one.accuracy, one.steps, one.steps_positive) == (0.75, (2 + 4 + 6 + 1) / 4, 3.0)
    assert (two.accuracy, two.steps, two.early, two.early_positive) == (1.0, (3 + 6 + 6 + 6) / 4, 0.25, 0.5)
    assert two.saved_positive == pytest.approx(1 - 4.5 / 6)
    assert choose([one, two], 1.0) == two
    assert choose([one, two], 1.0, tolerance=0.25) == one
    assert choose([one], 1.0) is None
    assert isinstance(two, Outcome)


def test_picture_and_errors(tiny: RaScaNetConfig, tmp_path: Path) -> None:
    model, photos = random_int8_model(tiny, 1), photos_of(tiny, 8)
    draw(score(model, photos), Rule(0.6, 1), tmp_path / "h.png")
    assert (tmp_path / "h.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(RascaError, match="the picture is a PNG"):
        draw(score(model, photos), Rule(), tmp_path / "h.pdf")
    with pytest.raises(RascaError, match="photos of both labels"):
        score(model, replace(photos, labels=np.ones(8, np.int64)))
