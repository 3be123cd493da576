"""Multiplier, systolic array, feeder, packer and state pool on Icarus against the integer model: values and latency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from amaranth.hdl import Module, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from fpga.flows import Platform
from rasca_hw import array, broadcast, feeder, multiplier, packed, pool
from rasca_hw.accumulator import Accumulator
from rasca_hw.array import SystolicArray
from rasca_hw.broadcast import BroadcastArray
from rasca_hw.feeder import Feeder, Tap
from rasca_hw.multiplier import LogicMultiplier, Multiplier
from rasca_hw.packed import PackedArray
from rasca_hw.packer import Packer
from rasca_hw.pool import StatePool
from rasca_hw.serial_pool import SerialPool
from rasca_nn.config import preset
from rasca_nn.int8_file import Layer
from rasca_nn.integer import IntegerNet, accumulate
from rasca_nn.random_model import random_int8_model
from sim.benches.streams import pattern
from sim.ecp5 import netlist
from sim.icarus import ECP5, to_verilog
from tests.hw.player import lanes, play, signed, split


def layer(weight: NDArray[np.int64]) -> Layer:
    """A convolution without bias."""
    return Layer("test", weight.astype(np.int8), np.zeros(len(weight), np.int32), np.zeros(len(weight), np.uint8))


def sums(weight: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.int64]:
    """The integer model's sums: weight [out, in, 1, kw], x [in, width] to [out, width]."""
    return accumulate(layer(weight), torch.from_numpy(x)[None, :, None])[0, :, 0].numpy()


@pytest.mark.parametrize(
    ("unit", "platform"),
    [(Multiplier, None), (Multiplier, ECP5), (LogicMultiplier, ECP5)],
    ids=["logic", "MULT18X18D", "additions"],
)
@pytest.mark.parametrize(("a_bits", "b_bits"), [(8, 8), (10, 10), (8, 16), (18, 18)])
def test_multiplier(a_bits: int, b_bits: int, unit: type[wiring.Component], platform: Platform | None) -> None:
    rng = np.random.default_rng(a_bits)
    a, b = (rng.integers(-(1 << n - 1), 1 << n - 1, 60) for n in (a_bits, b_bits))
    ends = [
        (i, j) for i in (-(1 << a_bits - 1), (1 << a_bits - 1) - 1) for j in (-(1 << b_bits - 1), (1 << b_bits - 1) - 1)
    ]
    a[:4], b[:4] = zip(*ends, strict=True)
    seen = play(unit(a_bits, b_bits), {"a": (a, a_bits), "b": (b, b_bits)}, "product", platform=platform)
    product = signed(seen["product"], a_bits + b_bits)
    late = multiplier.LATENCY
    np.testing.assert_array_equal(product[late:], (a * b)[:-late])


class Sum(wiring.Component):
    """An accumulator of a width that leaves half of the last carry cell, which starts again unless told to go on."""

    def __init__(self) -> None:
        super().__init__({"value": In(Shape(7, True)), "goes_on": In(1), "sum": Out(Shape(9, True))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.accumulator = unit = Accumulator(self.value.shape(), self.sum.shape())
        m.d.comb += [unit.value.eq(self.value), unit.first.eq(~self.goes_on), self.sum.eq(unit.sum)]
        return m


@pytest.mark.parametrize(
    "source", [to_verilog, partial(to_verilog, platform=ECP5), netlist], ids=["logic", "CCU2C", "netlist"]
)
def test_accumulator(source: Callable[[wiring.Component], str]) -> None:
    """Sums of different lengths, some of which wrap; with the ECP5's cells and after synthesis, too."""
    rng = np.random.default_rng(1)
    values, first = rng.integers(-64, 64, 300), rng.random(300) < 0.1
    first[0] = True
    sums = [int(values[np.flatnonzero(first[: i + 1])[-1] : i + 1].sum()) for i in range(len(values))]
    inputs = {"value": (values, 7), "goes_on": ((~first).astype(np.int64), 1)}
    seen = signed(play(Sum(), inputs, "sum", source=source(Sum()))["sum"], 9)
    assert max(map(abs, sums)) > 256
    np.testing.assert_array_equal(seen[1:], (np.array(sums[:-1]) + 256) % 512 - 256)


@pytest.mark.parametrize(("platform", "idle"), [(None, "none"), (None, "random:3:60"), (ECP5, "random:4:70")])
@pytest.mark.parametrize("kind", ["systolic", "packed"])
def test_systolic_array(kind: str, platform: Platform | None, idle: str) -> None:
    """Passes of different lengths, one after another and with idle cycles between."""
    rows, columns, bits = 3 if kind == "systolic" else 6, 5, 24
    unit: Any = SystolicArray(rows=rows, columns=columns, acc_width=bits)
    least, latency = -128, array.LATENCY
    if kind == "packed":
        unit = PackedArray(rows=rows, columns=columns, acc_width=bits, taps=3 * columns)
        least, latency = -127, packed.LATENCY
    rng = np.random.default_rng(1)
    go = pattern(idle)
    weights, activations, first, last, passes = [], [], [], [], []
    for taps in (columns, columns + 4, 3 * columns, columns, columns + 1):
        while not next(go):
            weights += lanes(np.full((1, rows), 127))
            activations.append(rng.integers(0, 1 << 32))
            first.append(0)
            last.append(0)
        w = rng.choice([least, -127, 127, *range(-9, 9)], (rows, taps, 1, 1))
        x = rng.choice([-128, 127, *range(-128, 128)], (taps, columns))
        weights += lanes(w[:, :, 0, 0].T)
        activations += lanes(x)
        first += [1] + [0] * (taps - 1)
        last += [0] * (taps - 1) + [1]
        passes.append((len(last) - 1, sums(w, x)))
    for values in (weights, activations, first, last):
        values += [0] * (latency + rows + columns)
    inputs = {
        "weights": (weights, 8 * rows),
        "activations": (activations, 8 * columns),
        "first": (first, 1),
        "last": (last, 1),
    }
    seen = play(unit, inputs, "sums", "valid", platform=platform)
    got = split(seen["sums"], rows, bits)
    valid = split(seen["valid"], rows, 1, signed=False)
    expected_valid = np.zeros_like(valid)
    for end, expected in passes:
        for r in range(rows):
            at = end + latency + r + np.arange(columns)
            expected_valid[at, r] = 1
            np.testing.assert_array_equal(got[at, r], expected[r], f"pass that ends in cycle {end}, row {r}")
    np.testing.assert_array_equal(valid, expected_valid)


@pytest.mark.parametrize(("rows", "columns", "idle"), [(1, 2, "none"), (2, 8, "none"), (3, 4, "random:5:60")])
def test_broadcast_array(rows: int, columns: int, idle: str) -> None:
    """Passes a cycle apart and with longer pauses of rubbish: every sum in its place, row after row."""
    rng = np.random.default_rng(rows)
    bits, count = 24, rows * columns
    go = pattern(idle)
    words: dict[str, list[int]] = {name: [] for name in ("weights", "activations", "active", "last")}
    passes = []
    for taps in (count - 1, count + 3, 5 * count, count - 1):
        free = 0
        while not next(go) or not free:
            free += 1
            for name, value in (("weights", 0x7F7F7F), ("activations", -1), ("active", 0), ("last", 0)):
                words[name].append(value & ((1 << 8 * columns) - 1))
        w = rng.choice([-128, -127, 127, *range(-9, 9)], (rows, taps, 1, 1))
        x = rng.integers(-128, 128, (taps, columns))
        words["weights"] += lanes(w[:, :, 0, 0].T)
        words["activations"] += lanes(x)
        words["active"] += [1] * taps
        words["last"] += [0] * (taps - 1) + [1]
        passes.append((len(words["last"]) - 1 + broadcast.LATENCY, sums(w, x).ravel()))
    widths = {"weights": 8 * rows, "activations": 8 * columns, "active": 1, "last": 1}
    inputs = {name: (values + [0] * (count + broadcast.LATENCY), widths[name]) for name, values in words.items()}
    seen = play(BroadcastArray(rows=rows, columns=columns, acc_width=bits), inputs, "sum", "start")
    got = signed(seen["sum"], bits)
    for start, expected in passes:
        at = start + np.arange(count)
        np.testing.assert_array_equal(got[at], expected, f"pass that leaves from cycle {start}")
    np.testing.assert_array_equal(np.flatnonzero(seen["start"]), [start - 1 for start, _ in passes])


@pytest.mark.parametrize(("low", "high"), [(127, -127), (-127, 127), (-127, -127), (127, 127)])
@pytest.mark.parametrize("activation", [-128, 127])
def test_longest_pass(low: int, high: int, activation: int) -> None:
    """The largest sums of either sign in a packed array made for just as many products."""
    taps, columns, bits = 252, 2, 23
    inputs = {
        "weights": (lanes(np.array([[low, high]] * taps)) + [0] * 20, 16),
        "activations": (lanes(np.full((taps, columns), activation)) + [0] * 20, 8 * columns),
        "first": ([1] + [0] * (taps + 19), 1),
        "last": ([0] * (taps - 1) + [1] + [0] * 20, 1),
    }
    seen = play(PackedArray(rows=2, columns=columns, acc_width=bits, taps=taps), inputs, "sums")
    sums = split(seen["sums"], 2, bits)
    for row, weight in enumerate((low, high)):
        assert sums[taps - 1 + packed.LATENCY + row, row] == taps * weight * activation


def test_packed_array_of_odd_height() -> None:
    with pytest.raises(ValueError, match="rows must be even, not 3"):
        PackedArray(rows=3, columns=2, acc_width=20, taps=9)


def test_broadcast_array_of_odd_width() -> None:
    with pytest.raises(ValueError, match="columns must be even, not 3"):
        BroadcastArray(rows=1, columns=3, acc_width=20)


@pytest.mark.parametrize(("width", "unsigned"), [(10, True), (13, True), (15, False)])
def test_feeder(width: int, unsigned: bool) -> None:
    """The three windows of each block are the integer model's image shifted by one column, zeros outside."""
    columns = 5
    words = -(-width // columns)
    rng = np.random.default_rng(width)
    x = np.zeros((1, words * columns), np.int64)
    x[:, :width] = rng.integers(0, 256, width) if unsigned else rng.integers(-128, 128, width)
    flip = 128 if unsigned else 0
    stored = [*lanes((x - flip).reshape(words, columns))]
    taps, read, expected = [], [], []
    for b in range(words):
        for window in range(3):
            edges = {"left_edge": b == 0, "right_edge": b == words - 1, "pad_low": unsigned}
            taps.append(Tap.const({"window": window, **edges}).as_bits())
            at = b + window - 1
            read.append(stored[at] if 0 <= at < words else 0x5A5A5A5A5A)
            one = np.zeros((1, 1, 1, 3), np.int64)
            one[..., window] = 1
            expected.append(sums(one, x)[0, b * columns : (b + 1) * columns] - flip)
    taps += [0] * (feeder.LATENCY + 1)
    read = [0, *read] + [0] * feeder.LATENCY
    inputs = {"tap": (taps, Tap.as_shape().size), "word": (read, 8 * columns)}
    seen = split(play(Feeder(columns), inputs, "operands")["operands"], columns)
    np.testing.assert_array_equal(seen[feeder.LATENCY :][: len(expected)], np.array(expected))


def test_feeder_narrow() -> None:
    """1-wide taps pass words on, one a cycle."""
    rng = np.random.default_rng(2)
    words = rng.integers(-128, 128, (20, 4))
    tap = Tap.const({"window": 1, "left_edge": 1, "right_edge": 1, "pad_low": 1}).as_bits()
    fill = [0] * feeder.LATENCY
    seen = play(Feeder(4), {"tap": ([tap] * 20 + fill, 5), "word": ([0, *lanes(words), *fill[1:]], 32)}, "operands")
    np.testing.assert_array_equal(split(seen["operands"], 4)[feeder.LATENCY :], words)


@pytest.mark.parametrize("idle", ["none", "random:5:50"])
def test_packer(idle: str) -> None:
    """Raster-order values in words; the lanes behind a row's end hold the fill."""
    columns, width = 5, 13
    rng = np.random.default_rng(7)
    go = pattern(idle)
    steps: list[tuple[int, int, int, int]] = []
    expected = []
    for fill in (0, 0x80, 0):
        row = rng.integers(0, 256, width)
        padded = np.full(-(-width // columns) * columns, fill)
        padded[:width] = row
        for i, value in enumerate(row):
            while not next(go):
                steps.append((0, 0xEE, int(rng.integers(columns)), 0xEE))
            steps.append((1, int(value), i % columns, fill))
            if i % columns == columns - 1 or i == width - 1:
                word = padded[i // columns * columns :][:columns]
                expected.append((len(steps) + 1, word))
    steps += [(0, 0, 0, 0)] * 2
    ports = [[s[i] for s in steps] for i in range(4)]
    ports[1] = [0, *ports[1][:-1]]  # values come a cycle later
    inputs = {
        name: (values, bits)
        for name, values, bits in zip(("valid", "value", "lane", "fill"), ports, (1, 8, 3, 8), strict=True)
    }
    seen = split(play(Packer(columns), inputs, "word")["word"], columns, signed=False)
    for cycle, word in expected:
        np.testing.assert_array_equal(seen[cycle], word, f"cycle {cycle}")


@pytest.mark.parametrize(
    ("columns", "kind", "idle"), [(7, "mean+max", "none"), (15, "mean", "random:4:70"), (2, "mean+max", "none")]
)
def test_state_pool(columns: int, kind: str, idle: str) -> None:
    """Rows a cycle apart; ordinary channels, and those of extreme values that the clamp meets."""
    rows, passes = 3, 6
    config = replace(preset("tiny"), width=16 * columns, pool=kind)
    rng = np.random.default_rng(columns)
    state = rng.integers(-128, 128, (rows * passes, columns))
    state[0], state[1], state[2] = 127, -128, np.sign(np.arange(columns) - columns // 2) * 127
    expected = IntegerNet(random_int8_model(config, 0)).pool(torch.from_numpy(state)[None])[0].numpy()
    go = pattern(idle)
    value: list[int] = []
    valid: list[int] = []
    end: list[int] = []
    ends = []
    for p in range(passes):
        for c in range(columns):
            while not next(go):
                value.append(99)
                valid.append(0)
                end.append(0)
            value.append(p * columns + c)
            valid.append(1)
            end.append(c == columns - 1)
        ends.append(len(end) - 1)
        for values in (value, valid, end):
            values += [0] * rows
    late = [0] * (pool.LATENCY + rows)
    ports = []
    for r in range(rows):
        data = [
            int(state[(v // columns) * rows + r, v % columns]) if ok else 77 for v, ok in zip(value, valid, strict=True)
        ]
        ports.append([[0] * r + values + late[r:] for values in (data, valid, end)])
    inputs = {
        "values": (lanes(np.array([p[0] for p in ports]).T), 8 * rows),
        "valid": (lanes(np.array([p[1] for p in ports]).T, 1), rows),
        "end": (lanes(np.array([p[2] for p in ports]).T, 1), rows),
    }
    unit = StatePool(rows=rows, columns=columns, with_max=kind == "mean+max")
    seen = play(unit, inputs, "pooled", "done")
    pooled = signed(seen["pooled"], 8)
    done = np.zeros(len(pooled), np.int64)
    for p, cycle in enumerate(ends):
        for r in range(rows):
            at = cycle + r + pool.LATENCY
            done[at] = 1
            assert pooled[at] == expected[p * rows + r], f"pass {p}, row {r}"
    np.testing.assert_array_equal(seen["done"], done)


@pytest.mark.parametrize(
    ("rows", "spacing", "columns", "kind"),
    [(2, 8, 7, "mean+max"), (2, 2, 15, "mean"), (3, 4, 13, "mean+max"), (1, 6, 1, "mean"), (1, 5, 40, "mean+max")],
)
def test_serial_pool(rows: int, spacing: int, columns: int, kind: str) -> None:
    """Rows one after another, in blocks of `spacing` columns; ordinary channels and extreme ones; a group that lacks
    rows.
    """
    passes = 5
    config = replace(preset("tiny"), width=16 * columns, pool=kind)
    rng = np.random.default_rng(columns)
    state = rng.integers(-128, 128, (rows * passes, columns))
    state[0], state[1], state[2] = 127, -128, np.sign(np.arange(columns) - columns // 2) * 127
    expected = IntegerNet(random_int8_model(config, 0)).pool(torch.from_numpy(state)[None])[0].numpy()
    unit = SerialPool(rows=rows, columns=columns, with_max=kind == "mean+max", spacing=spacing)
    steps: list[tuple[int, int, int]] = []
    ends = []
    for p in range(passes):
        for block in range(0, columns, spacing):
            for r in range(rows if p < passes - 1 else 1):
                for c in range(block, block + spacing):
                    row, there, last = 1 << r, c < columns, c == columns - 1
                    value = int(state[p * rows + r, c]) if there else 77
                    steps.append((value, row * there, row * last))
                    if last:
                        ends.append((len(steps) - 1 + unit.latency, p * rows + r))
        steps += [(55, 0, 0)] * (rows * spacing + 2)
    steps += [(0, 0, 0)] * unit.latency
    inputs = {
        "values": (lanes(np.array([[value] * rows for value, _, _ in steps])), 8 * rows),
        "valid": ([valid for _, valid, _ in steps], rows),
        "end": ([end for _, _, end in steps], rows),
    }
    seen = play(unit, inputs, "pooled", "done")
    pooled = signed(seen["pooled"], 8)
    assert [cycle for cycle, done in enumerate(seen["done"]) if done] == [cycle for cycle, _ in ends]
    for cycle, channel in ends:
        assert pooled[cycle] == expected[channel], f"channel {channel}"
