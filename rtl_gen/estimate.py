"""Cycles of whole frames before any simulation: the row interface, the engines and the link, event by event.

The pixel source always has a pixel and results are read at once. What comes out equals the counters of the hardware
(:mod:`rasca_hw.counters`) exactly; tests hold that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rasca_hw import termination
from rasca_hw.issue import ROW_OVERHEAD, STEP_OVERHEAD
from rasca_hw.latency import logit_latency, settle_cycles, sum_latency
from rasca_hw.lines import COLOURS
from rasca_hw.params import EngineParams
from rasca_hw.program import Mode
from rtl_gen.build import Build, EngineBuild
from rtl_gen.schedule import LayerPlan, pooled_times, write_times

FIFO_LATENCY = 2
"""Cycles from a word's put into an empty FIFO to its first possible get."""
FULL_LATENCY = 2
"""Cycles from the last get of a set of features to `full`."""
DECISION_LATENCY = 2
"""Cycles from the last logit to the decision."""


@dataclass(frozen=True)
class FrameCycles:
    """Cycles to a decision: from the frame's first pixel, from the end of its last used row, from the one before."""

    frame_cycles: int
    latency: int
    interval: int


class Lines:
    """The row interface: when each row is complete, given when earlier ones are freed."""

    def __init__(self, build: Build, start: int) -> None:
        params = build.params
        self.row_cycles = COLOURS * params.width
        self.used_rows = params.steps * params.rows
        self.dropped_pixels = (build.model.config.height - self.used_rows) * params.width
        self.capacity = params.line_rows
        self.complete: list[int] = []
        self.freed: list[int] = []
        self.first_pixel: list[int] = []
        self.ended: list[int] = []
        self.time = start

    def row(self, index: int) -> int:
        """First cycle in which row `index`, counted over all frames, is available."""
        while len(self.complete) <= index:
            row = len(self.complete)
            if row >= self.capacity:
                self.time = max(self.time, self.freed[row - self.capacity])
            if row % self.used_rows == 0:
                self.time += self.dropped_pixels if row else 0
                self.first_pixel.append(self.time)
            self.time += self.row_cycles
            self.complete.append(self.time)
            if (row + 1) % self.used_rows == 0:
                self.ended.append(self.time)
                self.time += 1
        return self.complete[index]


@dataclass(frozen=True)
class LayerRun:
    """A layer that ran: from the end of what was before to its own, of which `waited` for rows, features or credit."""

    plan: LayerPlan
    start: int
    end: int
    waited: int


class _Engine:
    """An issue sequencer: runs layers one after another. `fetch` is the cycle in which the next one is fetched."""

    def __init__(self, engine: EngineBuild) -> None:
        self.params = engine.params
        self.prologue = engine.plans[: engine.params.loop]
        self.loop = engine.plans[engine.params.loop :]
        self.fetch = 1
        self.last_tap = 0
        self.writes: list[int] = []
        """Cycles of words written, where others' words must find a free one."""
        self._times = {
            plan.op.name: np.concatenate((write_times(plan, engine.params)[1], pooled_times(plan, engine.params)))
            for plan in engine.plans
        }
        self.runs: list[LayerRun] = []

    def note(self, plan: LayerPlan, start: int) -> None:
        """Puts down a layer that began at `start` and has just ended."""
        self.runs.append(LayerRun(plan, start, self.fetch, self.fetch - start - plan.cycles))

    def run(self, plan: LayerPlan, ready: int = 0) -> int:
        """Runs a layer that may start at cycle `ready` or later; returns its first tap."""
        start = self.fetch
        first = max(start + 1 + plan.delay, ready) + 1 + ROW_OVERHEAD
        self.fetch = first + plan.last_pass + plan.pass_cycles + plan.gap
        self.last_tap = self.fetch - plan.gap - 1
        self.note(plan, start)
        if self.params.receives_features:
            self.writes += (first + self._times[plan.op.name]).tolist()
        return first

    def run_lines(self, plan: LayerPlan, lines: Lines, row: int, ready: int = 0) -> None:
        """Runs the layer that reads the line buffer from row `row` on; each output row waits for its last input row."""
        start = self.fetch
        self.fetch = max(start + 1 + plan.delay, ready) + 1
        for y in range(plan.op.out_rows):
            first = max(self.fetch, lines.row(row + y + plan.op.kernel_height - 1)) + ROW_OVERHEAD
            self.fetch = first + plan.groups * plan.blocks * (plan.pass_cycles + plan.gap)
            last = y == plan.op.out_rows - 1
            if plan.op.frees:
                lines.freed += [self.fetch] * (plan.op.kernel_height if last else 1)
        self.note(plan, start)

    def drained(self) -> int:
        """First cycle in which nothing that was started is in flight any more."""
        return self.last_tap + sum_latency(self.params) + self.params.drain_cycles + settle_cycles(self.params)

    def skip(self, ready: int, *, wraps: bool) -> int:
        """Leaves a step out in cycle `ready` or later; returns the cycle."""
        cycle = max(self.fetch + 1 + self.loop[0].delay, self.drained(), ready) + 1
        # Without a wrap it is at the step's first layer again, whose delay is over.
        self.fetch = cycle + 2 if wraps else cycle - self.loop[0].delay
        return cycle


def _delivered(plan: LayerPlan, sender: _Engine, receiver: _Engine, first: int) -> int:
    """Cycle from which the features of a layer with that first tap are full: words pass the FIFOs in free cycles."""
    _, times = write_times(plan, sender.params)
    words = sorted((first + times).tolist())
    waiting = [deque(t + FIFO_LATENCY for t in words) for _ in range(sender.params.groups)]
    busy = set(receiver.writes)
    cycle = words[0]
    while waiting:
        cycle = max(cycle + 1, min(queue[0] for queue in waiting))
        while cycle in busy:
            cycle += 1
        ready = next(queue for queue in waiting if queue[0] <= cycle)
        ready.popleft()
        if not ready:
            waiting.remove(ready)
    return cycle + FULL_LATENCY


def _decided(plan: LayerPlan, params: EngineParams, first: int) -> int:
    """Cycle of the decision, from the first tap of the last layer."""
    group, row = divmod(plan.op.out_channels - 1, plan.rows)
    end = first + int(plan.pass_start(0, group, 0)) + plan.pass_cycles - 1
    return end + sum_latency(params) + row * plan.skew + logit_latency(params) + DECISION_LATENCY


def estimate(
    build: Build,
    frames: int = 3,
    ran: Sequence[Sequence[bool]] | None = None,
    *,
    start: int = 0,
    lines: Lines | None = None,
    runs: list[list[LayerRun]] | None = None,
) -> list[FrameCycles]:
    """Cycles of each of the first frames of a stream without pauses, from reset.

    `ran`: for each frame which of its steps are made, for frames under early termination; all without. `start`: cycles
    after reset without a pixel. `lines`: another row interface, as that behind a sensor. `runs`: gets each engine's
    layers.
    """
    lines = lines or Lines(build, start)
    engines = [_Engine(e) for e in build.engines]
    heads, back = engines[0], engines[-1]
    steps, rows = build.params.steps, build.params.rows
    row = 0
    full = free = judged = 0
    decisions: list[int] = []
    for frame in range(frames):
        made = ran[frame] if ran else [True] * steps
        for engine in engines:
            for plan in engine.prologue:
                engine.run(plan)
        for step in range(steps):
            if not made[step]:
                wraps = step == steps - 1
                row += rows
                skipped = heads.skip(max(judged, lines.row(row - 1)), wraps=wraps)
                lines.freed += [skipped + 1] * rows
                if back is not heads:
                    back.skip(skipped + 1, wraps=wraps)
                continue
            back.writes = [t for t in back.writes if t >= heads.fetch]
            opening = judged if ran else 0
            if step == 0:
                opening = max(opening, lines.row(row + build.model.config.kernel_heights[0] - 1))
            for engine in engines:
                for plan in engine.loop:
                    if plan.op.lines:
                        engine.run_lines(plan, lines, row, opening)
                        opening = 0
                        row += rows if plan.op.frees else 0
                        continue
                    ready = free if "credit" in plan.op.waits else full if "features" in plan.op.waits else 0
                    first = engine.run(plan, ready)
                    if "features" in plan.op.to:
                        full = _delivered(plan, heads, back, first)
                    if "given" in plan.op.waits:
                        free = engine.fetch
                    if plan.op.mode == Mode.LOGITS:
                        decisions[frame:] = [_decided(plan, engine.params, first)]
                        judged = decisions[frame] + termination.LATENCY
                engine.fetch += STEP_OVERHEAD
        if not made[-1]:
            decisions[frame] += termination.LATENCY
    if runs is not None:
        runs += [engine.runs for engine in engines]
    return [
        FrameCycles(
            frame_cycles=decided - lines.first_pixel[f],
            latency=max(0, decided - lines.ended[f]),
            interval=decided - (decisions[f - 1] if f else 0),
        )
        for f, decided in enumerate(decisions)
    ]
