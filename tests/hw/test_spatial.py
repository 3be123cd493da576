"""Softmax unit and dynamic weights on Icarus: values, and the cycle each comes in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rasca_hw import dynamic, softmax
from rasca_hw.dynamic import DynamicWeights
from rasca_hw.program import Weights
from rasca_hw.softmax import SCORE_BITS, SoftmaxUnit
from rasca_nn.config import BAND
from rasca_nn.integer import softmax as expected_weights
from rasca_nn.tables import exp_table
from tests.hw.player import lanes, play, split


@pytest.mark.parametrize("banded", [False, True])
@pytest.mark.parametrize(("rows", "lanes_", "columns"), [(4, 15, 15), (3, 5, 13), (2, 8, 7), (1, 3, 1), (3, 4, 22)])
def test_softmax(rows: int, lanes_: int, columns: int, banded: bool) -> None:
    """Every score row once, in passes as close as they may come; equal scores, far ones and the ends of the range."""
    rng = np.random.default_rng(columns)
    scores = rng.integers(-400, 400, (columns, columns)) >> rng.integers(0, 8, (columns, 1))
    scores[0] = 2047
    scores[-1] = rng.choice([-2048, 2047], columns)
    fraction = 3
    groups = -(-columns // rows)
    spacing = max(columns, rows * softmax.slot_cycles(columns))
    cycles = groups * spacing + softmax.word_latency(columns) + rows * softmax.slot_cycles(columns) + columns + 40
    ports = {name: np.zeros((cycles, rows), np.int64) for name in ("scores", "valid", "end", "channels")}
    mask, fractions = np.zeros((cycles, rows), np.int64), np.zeros(cycles, np.int64)
    words = -(-columns // lanes_)
    due = []
    for g in range(groups):
        end = g * spacing + columns - 1
        valid = min(rows, columns - g * rows)
        mask[end, :valid] = 1
        fractions[end] = fraction
        for r in range(valid):
            channel = g * rows + r
            span = slice(g * spacing + r, g * spacing + r + columns)
            ports["scores"][span, r] = scores[channel]
            ports["valid"][span, r] = 1
            ports["channels"][span, r] = channel
            ports["end"][end + r, r] = 1
            last = np.minimum(np.arange(1, words + 1) * lanes_, columns) - 1
            due += (end + softmax.word_latency(columns) + r * softmax.slot_cycles(columns) + last).tolist()
    width = max(1, (columns - 1).bit_length())
    seen = play(
        SoftmaxUnit(rows=rows, lanes=lanes_, columns=columns, banded=banded, table=exp_table().tolist()),
        {
            "scores": (lanes(ports["scores"], SCORE_BITS), SCORE_BITS * rows),
            "valid": (lanes(ports["valid"], 1), rows),
            "end": (lanes(ports["end"], 1), rows),
            "channels": (lanes(ports["channels"], width), width * rows),
            "mask": (lanes(mask, 1), rows),
            "fraction": (fractions, 3),
        },
        "word",
        "complete",
    )
    masked = scores.copy()
    if banded:
        away = np.abs(np.arange(columns)[:, None] - np.arange(columns)[None, :])
        masked[away > BAND] = 0
    table = torch.from_numpy(exp_table().astype(np.int32))
    weights = expected_weights(table, torch.from_numpy(masked), fraction).numpy()
    assert np.flatnonzero(seen["complete"]).tolist() == due
    got = split([seen["word"][cycle] for cycle in due], lanes_, signed=False).reshape(columns, -1)[:, :columns]
    np.testing.assert_array_equal(got, weights)


def test_dynamic_weights() -> None:
    """Each source, changing from tap to tap; scratch memories filled twice from the start."""
    rows, columns, depth = 3, 7, 10
    rng = np.random.default_rng(2)
    cycles = 120
    values = rng.integers(0, 256, (cycles, rows))
    write = rng.integers(0, 2, (cycles, rows))
    filling = np.zeros((cycles, rows), np.int64)
    kept = np.zeros((rows, depth), np.int64)
    for r in range(rows):
        for first in (2 + r, 40 + r):
            filling[first : first + 30, r] = 1
            write[np.flatnonzero(write[:, r] & filling[:, r] & (np.arange(cycles) >= first))[depth:], r] = 0
        for first in (2 + r, 40 + r):
            places = first + np.flatnonzero(write[first : first + 30, r])
            kept[r, : len(places)] = values[places, r]
    source = rng.integers(0, 3, cycles)
    address = rng.integers(0, depth, cycles)
    group = rng.integers(0, -(-columns // rows), cycles)
    fixed = rng.integers(0, 256, (cycles, rows))
    operand = rng.integers(0, 256, (cycles, columns))
    seen = play(
        DynamicWeights(rows=rows, columns=columns, depth=depth),
        {
            "source": (source, 2),
            "address": (address, 4),
            "lane_group": (group, 2),
            "fixed": (lanes(fixed), 8 * rows),
            "operand": (lanes(operand), 8 * columns),
            "values": (lanes(values), 8 * rows),
            "write": (lanes(write, 1), rows),
            "filling": (lanes(filling, 1), rows),
        },
        "word",
    )
    got = split(seen["word"], rows, signed=False)
    padded = np.pad(operand, ((0, 0), (0, rows)))
    for tap in range(80, cycles - dynamic.LATENCY):
        late = tap + dynamic.FIXED_LATENCY
        first = group[tap] * rows
        right = {
            Weights.ROM: fixed[late],
            Weights.SCRATCH: kept[:, address[tap]],
            Weights.LANES: padded[late, first : first + rows],
        }[Weights(int(source[tap]))]
        valid = min(rows, columns - first) if source[tap] == Weights.LANES else rows
        np.testing.assert_array_equal(got[tap + dynamic.LATENCY][:valid], right[:valid], f"tap {tap}")
