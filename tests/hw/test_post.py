"""Post-processing of a row on Icarus against the integer model's functions: every kind of layer, in one stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rasca_hw import post, serial_post
from rasca_hw.post import PostParams, RowControl, RowPost
from rasca_hw.program import Mode
from rasca_hw.serial_post import TABLE_READ, SerialPost
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


def drawn(rng: np.random.Generator, kind: Kind, *, half: bool) -> tuple[Layer, int, Any, Any, Any]:
    """A layer with its shift, a bias, sums, operands x and u; some sums end where rounding turns."""
    shift = int(rng.integers(0, 18))
    layer = Layer("test", np.zeros((1, 1, 1, 1), np.int8), np.zeros(1, np.int32), np.array([shift], np.uint8))
    bias = int(rng.integers(-(1 << 20), 1 << 20) >> rng.integers(0, 16))
    wanted = rng.integers(-300, 300, COLUMNS)
    acc = (wanted << shift) - bias + rng.integers(-1, 2, COLUMNS) + (int(layer.half[0]) if half else 0)
    x = rng.integers(0, 256, COLUMNS) - (0 if kind.operand_unsigned else 128)
    return layer, bias, np.clip(acc, -(1 << 24), 1 << 24), x, rng.integers(0, 256, COLUMNS)


@pytest.mark.parametrize(
    ("tables", "idle", "spatial"),
    [(True, "none", False), (True, "random:2:40", False), (False, "none", False), (True, "random:3:30", True)],
)
def test_row_post(tables: bool, idle: str, spatial: bool) -> None:
    kinds = (KINDS if tables else PLAIN) + (RESIDUALS if spatial else ())
    words = tuple(tuple(int(v) & 255 for v in t) for t in TABLES) if tables else ()
    params = PostParams(BITS, COLUMNS, words, spatial)
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
        layer, bias, acc, x, u = drawn(rng, kind, half=p % 2 == 1)
        shift = int(layer.shift[0])
        hardware_bias = bias + int(layer.half[0])
        ports, control = stimulus.ports, stimulus.control
        ports["bias"][at + post.BIAS_LOAD] = hardware_bias
        ports["shift"][at + post.BIAS_LOAD] = shift
        control[at + post.BIAS_LOAD]["bias_load"] = 1
        if tables:
            ports["operand"][at + post.OPERAND_LOAD] = lanes((x - 128 * kind.operand_unsigned)[None])[0]
            ports["gate"][at + post.OPERAND_LOAD] = lanes(u[None])[0]
            control[at + post.OPERAND_LOAD]["operand_load"] = 1
        value = kind.expected(layer, torch.from_numpy(acc + bias), torch.from_numpy(x), torch.from_numpy(u)).numpy()
        for c in range(COLUMNS):
            now = at + c
            ports["sum"][now] = int(acc[c]) & ((1 << BITS) - 1)
            control[now + post.CLAMP]["relu"] = kind.relu
            if kind.table is not None:
                control[now + post.TABLE]["table"] = kind.table
                control[now + post.SELECT]["use_table"] = 1
            control[now + post.ELEMENTWISE]["mode"] = int(kind.mode)
            control[now + post.ELEMENTWISE]["operand_unsigned"] = kind.operand_unsigned
            control[now + post.ELEMENTWISE]["residual"] = kind.residual
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


@pytest.mark.parametrize("elementwise", [True, False])
def test_serial_post(elementwise: bool) -> None:
    """Layer after layer with the pipeline empty between them, channel after channel without a pause."""
    rng = np.random.default_rng(12)
    ports: dict[str, list[int]] = {}
    widths = {"sum": BITS, "bias": BITS, "shift": 5, "relu": 1, "use_table": 1, "mode": 3, "unsigned": 1}
    widths |= {"operand_unsigned": 1, "table_value": 8, "operand": 8, "gate": 8}
    expected: list[tuple[int, str, int]] = []
    totals: list[tuple[int, int]] = []
    size = 300 * COLUMNS
    for name, bits in widths.items():
        ports[name] = [int(v) for v in rng.integers(0, 1 << bits, size)]
    at = 0
    for kind in KINDS if elementwise else PLAIN:
        start = at
        for channel in range(15):
            layer, bias, acc, x, u = drawn(rng, kind, half=channel % 2 == 1)
            value = kind.expected(layer, torch.from_numpy(acc + bias), torch.from_numpy(x), torch.from_numpy(u)).numpy()
            looked = requantise(layer, torch.from_numpy(acc + bias)[None, None, None], -128, 127)[0, 0, 0].numpy()
            for c in range(COLUMNS):
                ports["sum"][at] = int(acc[c]) & ((1 << BITS) - 1)
                ports["bias"][at] = (bias + int(layer.half[0])) & ((1 << BITS) - 1)
                ports["shift"][at + 1] = int(layer.shift[0])
                if kind.table is not None:
                    ports["table_value"][at + TABLE_READ + 1] = int(TABLES[kind.table][looked[c] + 128]) & 0xFF
                ports["operand"][at + TABLE_READ + 1] = (int(x[c]) - 128 * kind.operand_unsigned) & 0xFF
                ports["gate"][at + TABLE_READ + 1] = int(u[c])
                where = f"{kind.name}, channel {channel}, column {c}"
                expected.append((at + serial_post.LATENCY, where, (int(value[c]) - 128 * kind.unsigned) & 0xFF))
                totals.append((at + serial_post.TOTAL, int(acc[c]) + bias + int(layer.half[0])))
                at += 1
        at += serial_post.LATENCY
        for cycle in range(start, at):
            ports["relu"][cycle], ports["use_table"][cycle] = kind.relu, kind.table is not None
            ports["mode"][cycle], ports["unsigned"][cycle] = int(kind.mode), kind.unsigned
            ports["operand_unsigned"][cycle] = kind.operand_unsigned
    inputs = {name: (values[: at + 1], widths[name]) for name, values in ports.items()}
    seen = play(SerialPost(acc_width=BITS, elementwise=elementwise), inputs, "value", "total")
    for cycle, where, stored in expected:
        assert seen["value"][cycle] == stored, where
    np.testing.assert_array_equal(signed(seen["total"], BITS)[[c for c, _ in totals]], [v for _, v in totals])
