"""The tables entry by entry, and made-up models."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import torch

from rasca_nn.config import preset
from rasca_nn.errors import RascaError
from rasca_nn.integer import run
from rasca_nn.random_model import Kind, random_int8_model
from rasca_nn.tables import hardswish_table, sigmoid_table, tanh_table, up

from .conftest import photo_bytes


def test_up_covers_zero_to_one() -> None:
    units = up(np.arange(256)).tolist()
    assert units == [*range(128), *range(129, 257)]


def test_sigmoid_is_the_nearest_gate() -> None:
    table = sigmoid_table().tolist()
    for i, g in enumerate(table):
        wanted = 1 / (1 + math.exp(-(i - 128) / 16))
        off = [abs((k + (k >> 7)) / 256 - wanted) for k in range(256)]
        assert off[g] == min(off)
        assert off.index(min(off)) == g
    assert table == sorted(table)
    assert (table[0], table[128], table[255]) == (0, 127, 255)


def test_tanh() -> None:
    table = tanh_table().tolist()
    assert table == [math.floor(127 * math.tanh(i / 32) + 0.5) for i in range(-128, 128)]
    assert all(abs(table[128 + i] + table[128 - i]) <= 1 for i in range(128))
    assert (table[0], table[255]) == (-127, 127)


def test_hardswish() -> None:
    table = hardswish_table(1 / 20, 1 / 40).tolist()
    for i in range(-128, 128):
        x = i / 20
        wanted = math.floor(x * min(max(x + 3, 0), 6) / 6 * 40 + 0.5)
        assert table[i + 128] == max(-128, min(127, wanted))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_made_up_models_are_the_same_again(kind: Kind) -> None:
    config = preset("tiny")
    assert random_int8_model(config, 7, kind).hash == random_int8_model(config, 7, kind).hash
    if kind != "zeros":
        assert random_int8_model(config, 7, kind).hash != random_int8_model(config, 8, kind).hash


def test_uniform_models_use_their_range() -> None:
    """Neither dead nor clamped: in no tensor of a step is one value most of it, zeros of a ReLU apart."""
    config = preset("released-105x120")
    trace = run(random_int8_model(config, 1), torch.from_numpy(photo_bytes(config, 2)))[-1]
    for name, value in trace.items():
        alive = value[value != 0]
        assert len(alive) > 0.05 * value.numel(), name
        assert (alive == alive.mode().values).float().mean() < 0.5 or value.numel() < 40, name


def test_saturated_models_clamp() -> None:
    config = preset("released-105x120")
    trace = run(random_int8_model(config, 1, "saturate"), torch.from_numpy(photo_bytes(config, 1)))[-1]
    assert (trace["head0.conv1"] == 255).float().mean() > 0.2


def test_unknown_kind() -> None:
    with pytest.raises(RascaError, match=r"kind must be one of zeros, .*, not 'odd'"):
        random_int8_model(preset("tiny"), 0, "odd")  # type: ignore[arg-type]
