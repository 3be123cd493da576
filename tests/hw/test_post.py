"""Post-processing of a row on Icarus against the integer model's functions: every kind of layer, in one stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rasca_hw import post
from rasca_hw.post import PostParams, RowControl, RowPost
from rasca_hw.program import Mode
from rasca_hw.softmax import SCORE_BITS
from rasca_nn.int8_file import Layer
from rasca_nn.integer import requantise, shifted, up
from rasca_nn.tables import sigmoid_table, tanh_table
from sim.benches.streams import pattern
from tests.hw.player import lanes, play, signed

COLUMNS, BITS = 5, 26
TABLES = (sigmoid_table(), tanh_table())


@dataclass(frozen=True)
class Kind:
    """What a layer asks of a row, and the integer model's formula for it: f(z, x, u), x and u being the operands."""

    name: str
    relu: bool = False
    unsigned: bool = False
    table: int | None = None
    mode: Mode = Mode.PLAIN
    operand_unsigned: bool = False
    residual: int = 0

    def expected(self, layer: Layer, acc: Tensor, x: Tensor, u: Tensor) -> Tensor:
        value = requantise(layer, acc[None, None, None], 0 if self.relu else -128, 255 if self.relu else 127)[0, 0, 0]
        if self.table is not None:
            value = torch.from_numpy(TABLES[self.table].astype("int32"))[(value + 128).long()]
        if self.mode == Mode.RESIDUAL:
            return (value + shifted(x, self.residual)).clamp(-128, 127)
        if self.mode == Mode.GATE:
            return (x * up(value) + 128) >> 8
        if self.mode == Mode.BLEND:
            return value + ((up(u) * (x - value) + 128) >> 8)
        return value


PLAIN = (Kind("relu", relu=True, unsigned=True), Kind("signed"))
KINDS = (
    *PLAIN,
    Kind("sigmoid", table=0),
    Kind("tanh", table=1),
    Kind("scaled", table=0, mode=Mode.GATE, operand_unsigned=True, unsigned=True),
    Kind("reset", table=0, mode=Mode.GATE),
    Kind("candidate", table=1, mode=Mode.BLEND),
)
RESIDUALS = tuple(Kind(f"mix {a}", mode=Mode.RESIDUAL, operand_unsigned=True, residual=a) for a in range(8))


@dataclass
class Stimulus:
    """Ports cycle by cycle, filled pass by pass; what no pass sets is noise that must not matter."""

    cycles: int
    rng: np.random.Generator
    control: list[dict[str, int]] = field(init=False)
    ports: dict[str, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.control = [{} for _ in range(self.cycles)]
        widths = {"sum": BITS, "bias": BITS, "shift": 5, "operand": 8 * COLUMNS, "gate": 8 * COLUMNS}
        self.ports = {name: [int(v) for v in self.rng.integers(0, 1 << n, self.cycles)] for name, n in widths.items()}

    def inputs(self) -> dict[str, tuple[list[int], int]]:
        words = [RowControl.const(fields).as_bits() for fields in self.control]
        widths = {"sum": BITS, "bias": BITS, "shift": 5, "operand": 8 * COLUMNS, "gate": 8 * COLUMNS}
        ports: dict[str, Any] = {name: (values, widths[name]) for name, values in self.ports.items()}
        return {**ports, "control": (words, RowControl.as_shape().size)}


@pytest.mark.parametrize(
    ("tables", "idle", "spatial", "short"),
    [
        (True, "none", False, False),
        (True, "random:2:40", False, False),
        (False, "none", False, False),
        (True, "random:3:30", True, False),
        (True, "none", False, True),
        (True, "random:4:40", False, True),
    ],
)
def test_row_post(tables: bool, idle: str, spatial: bool, short: bool) -> None:
    kinds = (KINDS if tables else PLAIN) + (RESIDUALS if spatial else ())
    words = tuple(tuple(int(v) & 255 for v in t) for t in TABLES) if tables else ()
    params = PostParams(BITS, COLUMNS, words, spatial, short)
    rng = np.random.default_rng(11)
    go = pattern(idle)
    passes = 60
    stimulus = Stimulus(passes * COLUMNS * 5 + 40, rng)
    expected: list[tuple[int, str, int]] = []
    totals: list[tuple[int, int]] = []
    scores: list[tuple[int, int]] = []
    at = 0
    for p in range(passes):
        while not next(go):
            at += 1
        kind = kinds[p % len(kinds)]
        shift = int(rng.integers(0, 18))
        layer = Layer("test", np.zeros((1, 1, 1, 1), np.int8), np.zeros(1, np.int32), np.array([shift], np.uint8))
        bias = int(rng.integers(-(1 << 20), 1 << 20) >> rng.integers(0, 16))
        wanted = rng.integers(-300, 300, COLUMNS)
        # Sums of which some end on the boundary of rounding, and some far outside.
        acc = (wanted << shift) - bias + rng.integers(-1, 2, COLUMNS) + (int(layer.half[0]) if p % 2 else 0)
        acc = np.clip(acc, -(1 << 24), 1 << 24)
        x = rng.integers(0, 256, COLUMNS) - (0 if kind.operand_unsigned else 128)
        u = rng.integers(0, 256, COLUMNS)
        hardware_bias = bias + int(layer.half[0])
        ports, control = stimulus.ports, stimulus.control
        ports["bias"][at + post.BIAS_LOAD] = hardware_bias
        ports["shift"][at + post.BIAS_LOAD] = shift
        control[at + post.BIAS_LOAD]["bias_load"] = 1
        if tables:
            # In the short pipeline the words are held while the columns pass.
            held = range(1, COLUMNS + 1) if short else (0,)
            for cycle in (at + params.operand_load + k for k in held):
                ports["operand"][cycle] = lanes((x - 128 * kind.operand_unsigned)[None])[0]
                ports["gate"][cycle] = lanes(u[None])[0]
            control[at + params.operand_load]["operand_load"] = 1
        value = kind.expected(layer, torch.from_numpy(acc + bias), torch.from_numpy(x), torch.from_numpy(u)).numpy()
        for c in range(COLUMNS):
            now = at + c
            ports["sum"][now + (post.SUM_WAIT if short else 0)] = int(acc[c]) & ((1 << BITS) - 1)
            control[now + params.clamp]["relu"] = kind.relu
            if kind.table is not None:
                control[now + params.table]["table"] = kind.table
                control[now + params.select]["use_table"] = 1
            control[now + params.elementwise]["mode"] = int(kind.mode)
            control[now + params.elementwise]["operand_unsigned"] = kind.operand_unsigned
            control[now + params.elementwise]["residual"] = kind.residual
            control[now + params.value_stage - 1]["unsigned"] = kind.unsigned
            stored = (int(value[c]) - 128 * kind.unsigned) & 0xFF
            expected.append((now + params.value_stage, f"pass {p} ({kind.name}), column {c}", stored))
            totals.append((now + 4, int(acc[c]) + hardware_bias))
            scores.append((now + post.SCORE, max(-2048, min(2047, (int(acc[c]) + hardware_bias) >> shift))))
        at += COLUMNS
    seen = play(RowPost(params), stimulus.inputs(), "value", "total", "score")
    for cycle, where, stored in expected:
        assert seen["value"][cycle] == stored, where
    np.testing.assert_array_equal(signed(seen["total"], BITS)[[c for c, _ in totals]], [v for _, v in totals])
    if spatial:
        np.testing.assert_array_equal(signed(seen["score"], SCORE_BITS)[[c for c, _ in scores]], [v for _, v in scores])
