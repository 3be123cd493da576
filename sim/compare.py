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
    """The first difference. `got` is None for a word that was not written, `expected` for one that was written though
    the layer has none there, or none left.
    """

    layer: str
    step: int
    channel: int
    row: int
    column: int
    expected: int | None
    got: int | None

    def __str__(self) -> str:
        where = f"{self.layer}, step {self.step}, channel {self.channel}, row {self.row}, column {self.column}"
        expected, got = ("nothing" if value is None else value for value in (self.expected, self.got))
        return f"{where}: expected {expected}, got {got}"


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
    """One comparison a frame. `frames[f]` are the integer model's traces of the steps that frame f made.

    What a layer writes behind its last step counts as the last frame's; only the prologue of a frame that never comes
    may begin, and is compared too.
    """
    traces = [(e, g) for e, engine in enumerate(build.params.engines) for g in range(engine.groups)]
    parts: list[list[Comparison]] = [[] for _ in frames]
    for trace, (e, g) in enumerate(traces):
        engine = build.engines[e]
        mine = run.writes[run.writes["trace"] == trace]
        order = np.argsort(mine["instruction"], kind="stable")
        ends = np.searchsorted(mine["instruction"][order], np.arange(len(engine.plans) + 1))
        if len(order) > ends[-1]:
            word = mine[order[ends[-1]]]
            at = Mismatch(f"instruction {word['instruction']} of none", 0, 0, 0, 0, None, int(word["word"][0]))
            parts[-1].append(Comparison(0, (len(order) - int(ends[-1])) * mine["word"].shape[1], at))
        for i, plan in enumerate(engine.plans):
            writes = mine[order[ends[i] : ends[i + 1]]]
            for f, frame in enumerate(frames):
                steps = frame[:1] if i < engine.params.loop else frame
                size = sum(map(len, _addresses(plan, g, steps[0])))
                parts[f].append(_layer(plan, g, writes[: len(steps) * size], steps))
                writes = writes[len(steps) * size :]
            if len(writes):
                again = i < engine.params.loop
                parts[-1].append(_surplus(plan, g, writes, frames[-1][0], len(frames[-1]), again))
    before = 0
    for f, frame in enumerate(frames):
        parts[f].append(_logits(run, frame, before))
        before += len(frame)
    more = run.confidences["logits"][before:]
    if len(more):
        at = Mismatch("classifier.output", len(frames[-1]), 0, 0, 0, None, int(more[0, 0]))
        parts[-1].append(Comparison(0, more.size, at))
    return [_total(p) for p in parts]


def _addresses(plan: LayerPlan, group: int, step: Trace) -> list[NDArray[np.int64]]:
    """Where the words of each tensor go, in the order of the data."""
    tensors = expected_tensors(plan, group, step)
    return [
        base + np.arange(value.shape[0] * value.shape[1] * -(-value.shape[2] // plan.columns))
        for _, base, value, _ in tensors
    ]


def _layer(plan: LayerPlan, group: int, writes: NDArray[Any], steps: list[Trace]) -> Comparison:
    """One layer of one frame, whose words come step by step."""
    tensors = _addresses(plan, group, steps[0])
    if not tensors:
        return Comparison(0, 0)
    addresses = np.concatenate(tensors)
    by_address = np.argsort(addresses)
    size = len(addresses)
    compared = mismatches = 0
    first: Mismatch | None = None
    for t, step in enumerate(steps):
        got = writes[t * size : (t + 1) * size]
        # Of a word that is written twice in a step the last one counts, of one that is not written none.
        place = by_address[np.searchsorted(addresses, got["address"], sorter=by_address).clip(max=size - 1)]
        known = addresses[place] == got["address"]
        words = np.zeros((size, plan.columns), np.uint8)
        written = np.zeros(size, np.bool_)
        words[place[known]] = got["word"][known]
        written[place[known]] = True
        at = 0
        for name, _, tensor, unsigned in expected_tensors(plan, group, step):
            want = _words(tensor, plan.columns, unsigned)
            end = at + want.size // plan.columns
            wrong = (words[at:end].reshape(want.shape) != want) | ~written[at:end].reshape(want.shape[:3])[..., None]
            compared += tensor.size
            mismatches += int(wrong.sum())
            if first is None and wrong.any():
                row, channel, word, lane = index = tuple(int(v) for v in np.argwhere(wrong)[0])
                flat = int(np.ravel_multi_index(index[:3], want.shape[:3]))
                read = _read(words[at + flat, lane], unsigned) if written[at + flat] else None
                right = _read(want[index], unsigned)
                first = Mismatch(name, t, channel, row, word * plan.columns + lane, right, read)
            at = end
    return Comparison(compared, mismatches, first)


def _surplus(plan: LayerPlan, group: int, writes: NDArray[Any], step: Trace, steps: int, again: bool) -> Comparison:
    """Words behind the last step of a layer; with `again` they may be as those of another step, as far as they go."""
    want: dict[int, NDArray[np.uint8]] = {}
    places: dict[int, tuple[str, int, int, int, bool]] = {}
    for name, base, tensor, unsigned in expected_tensors(plan, group, step):
        words = _words(tensor, plan.columns, unsigned)
        for index in np.ndindex(words.shape[:3]):
            row, channel, word = index
            address = base + int(np.ravel_multi_index(index, words.shape[:3]))
            places[address] = (name, channel, row, word * plan.columns, unsigned)
            if again:
                want[address] = words[index]
    mismatches = 0
    first: Mismatch | None = None
    for item in writes:
        address = int(item["address"])
        expected = want.pop(address, None)
        wrong = np.arange(plan.columns) if expected is None else np.flatnonzero(item["word"] != expected)
        mismatches += len(wrong)
        if first is None and len(wrong):
            lane = int(wrong[0])
            name, channel, row, column, unsigned = places.get(address, (plan.op.name, -1, -1, -1, True))
            right = None if expected is None else _read(expected[lane], unsigned)
            first = Mismatch(name, steps, channel, row, column + lane, right, _read(item["word"][lane], unsigned))
    return Comparison(0, mismatches, first)


def _read(byte: np.uint8, unsigned: bool) -> int:
    """The value of a stored byte."""
    value = int(byte)
    return value ^ 0x80 if unsigned else value - 256 * (value > 127)


def _logits(run: Run, steps: list[Trace], before: int) -> Comparison:
    got = run.confidences["logits"][before : before + len(steps)]
    want = np.stack([s["classifier.output"] for s in steps])
    if got.shape != want.shape:
        return Comparison(
            want.size, want.size, Mismatch("classifier.output", len(got), 0, 0, 0, int(want[-1][0]), None)
        )
    wrong = np.argwhere(got != want)
    if not len(wrong):
        return Comparison(want.size, 0)
    t, c = (int(v) for v in wrong[0])
    return Comparison(want.size, len(wrong), Mismatch("classifier.output", t, c, 0, 0, int(want[t, c]), int(got[t, c])))


def _total(parts: list[Comparison]) -> Comparison:
    firsts = [p.first for p in parts if p.first]
    first = min(firsts, key=lambda m: m.step) if firsts else None
    return Comparison(sum(p.compared for p in parts), sum(p.mismatches for p in parts), first)
