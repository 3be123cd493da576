"""Every word the engines wrote against the integer model, layer by layer and step by step, with no tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtl_gen.build import Build
from rtl_gen.schedule import LayerPlan
from sim.cxxrtl import Run

Trace = dict[str, NDArray[np.int64]]
"""One step of the integer model: name -> [channels, (height,) width]; see rasca_nn.integer.run."""


@dataclass(frozen=True)
class Mismatch:
    """The first difference."""

    layer: str
    step: int
    channel: int
    row: int
    column: int
    expected: int
    got: int

    def __str__(self) -> str:
        where = f"{self.layer}, step {self.step}, channel {self.channel}, row {self.row}, column {self.column}"
        return f"{where}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True)
class Comparison:
    """Values compared, how many differ, and the first that does (in the order of the data)."""

    compared: int
    mismatches: int
    first: Mismatch | None = None


def _words(values: NDArray[np.int64], columns: int, unsigned: bool) -> NDArray[np.uint8]:
    """Tensor [channels, rows, width] as stored words [row, channel, word, lane]; unused lanes hold a stored zero."""
    channels, rows, width = values.shape
    padded = np.zeros((channels, rows, -(-width // columns) * columns), np.int64)
    padded[:, :, :width] = values
    stored = (padded ^ (0x80 if unsigned else 0)) & 0xFF
    return stored.reshape(channels, rows, -1, columns).transpose(1, 0, 2, 3).astype(np.uint8)


def expected_tensors(plan: LayerPlan, group: int, step: Trace) -> Iterator[tuple[str, int, NDArray[np.int64], bool]]:
    """(name, first address, tensor [channels, rows, width], unsigned) of what a layer writes in a step."""
    op = plan.op
    # Of a layer cut into parts, the first part stands for all.
    if op.dest is None or op.first:
        return
    if op.traces:
        name = op.traces[group]
        value = step[name][op.traced :]
        tensor = value if value.ndim == 3 else value.reshape(value.shape[0], 1, -1)
        yield name, op.dest.base, tensor, op.unsigned
    else:
        yield op.name, op.dest.base, np.zeros((op.out_channels, 1, op.dest.width), np.int64), False
    if op.state:
        yield "pool", op.state.base, step["pool"].reshape(-1, 1, 1), False


def compare(build: Build, run: Run, frames: list[list[Trace]]) -> list[Comparison]:
    """One comparison a frame. `frames[f]` are the integer model's traces of the steps that frame f made."""
    traces = [(e, g) for e, engine in enumerate(build.params.engines) for g in range(engine.groups)]
    parts: list[list[Comparison]] = [[] for _ in frames]
    for trace, (e, g) in enumerate(traces):
        engine = build.engines[e]
        mine = run.writes[run.writes["trace"] == trace]
        for i, plan in enumerate(engine.plans):
            writes = mine[mine["instruction"] == i]
            before = 0
            for f, frame in enumerate(frames):
                steps = frame[:1] if i < engine.params.loop else frame
                parts[f].append(_layer(plan, g, writes, steps, before))
                before += len(steps)
    before = 0
    for f, frame in enumerate(frames):
        parts[f].append(_logits(run, frame, before))
        before += len(frame)
    return [_total(p) for p in parts]


def _layer(plan: LayerPlan, group: int, writes: NDArray[Any], steps: list[Trace], before: int) -> Comparison:
    """One layer of one frame; `before` steps were written by earlier frames."""
    sizes = [
        v.shape[0] * v.shape[1] * -(-v.shape[2] // plan.columns)
        for _, _, v, _ in expected_tensors(plan, group, steps[0])
    ]
    size = sum(sizes)
    compared = mismatches = 0
    first: Mismatch | None = None
    for t, step in enumerate(steps):
        got = writes[(before + t) * size : (before + t + 1) * size]
        for name, base, tensor, unsigned in expected_tensors(plan, group, step):
            want = _words(tensor, plan.columns, unsigned)
            compared += tensor.size
            words = {int(w["address"]): w["word"] for w in got}
            for index in np.ndindex(want.shape[:3]):
                address = base + (index[0] * want.shape[1] + index[1]) * want.shape[2] + index[2]
                word = words.get(address)
                wrong = np.arange(plan.columns) if word is None else np.flatnonzero(word != want[index])
                if len(wrong):
                    mismatches += len(wrong)
                    if first is None:
                        lane = int(wrong[0])
                        flip = 0x80 if unsigned else 0
                        read = -1 if word is None else _signed(int(word[lane]) ^ flip, unsigned)
                        right = _signed(int(want[index][lane]) ^ flip, unsigned)
                        column = index[2] * plan.columns + lane
                        first = Mismatch(name, t, index[1], index[0], column, right, read)
    return Comparison(compared, mismatches, first)


def _signed(byte: int, unsigned: bool) -> int:
    return byte if unsigned or byte < 128 else byte - 256


def _logits(run: Run, steps: list[Trace], before: int) -> Comparison:
    got = run.confidences["logits"][before : before + len(steps)]
    want = np.stack([s["classifier.output"] for s in steps])
    if got.shape != want.shape:
        return Comparison(want.size, want.size, Mismatch("classifier.output", len(got), 0, 0, 0, int(want[-1][0]), -1))
    wrong = np.argwhere(got != want)
    if not len(wrong):
        return Comparison(want.size, 0)
    t, c = (int(v) for v in wrong[0])
    return Comparison(want.size, len(wrong), Mismatch("classifier.output", t, c, 0, 0, int(want[t, c]), int(got[t, c])))


def _total(parts: list[Comparison]) -> Comparison:
    firsts = [p.first for p in parts if p.first]
    first = min(firsts, key=lambda m: m.step) if firsts else None
    return Comparison(sum(p.compared for p in parts), sum(p.mismatches for p in parts), first)
