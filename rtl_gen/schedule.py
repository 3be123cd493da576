"""When everything happens: gaps, delays and cycles, computed and not guessed.

All times are cycles of one engine. A layer's first tap is issued `LAYER_OVERHEAD + delay + ROW_OVERHEAD` cycles after
the layer before ended. Words appear in memory a fixed latency after a pass's last tap, so the generator knows for
each word when it is written and when it is first read, and delays a layer by exactly what is missing. The hardware
has no interlock for this and needs none. Nor is a word written, by another tensor in the same place, before it was
read for the last time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rasca_hw import array
from rasca_hw.issue import LAYER_OVERHEAD, ROW_OVERHEAD, STEP_OVERHEAD
from rasca_hw.latency import (
    drain_latency,
    drain_overhead,
    operand_delay,
    operand_latency,
    pool_latency,
    scratch_latency,
    softmax_latency,
    sum_latency,
)
from rasca_hw.params import EngineParams
from rasca_hw.program import Weights
from rasca_hw.softmax import slot_cycles
from rtl_gen.lower import Mapping, Op

Times = NDArray[np.int64]
NEVER = -(1 << 40)
MEMORY = frozenset({"memory", "softmax"})
"""Destinations of a layer that are in the activation memory."""


@dataclass(frozen=True)
class LayerPlan:
    """How a layer runs: passes, idle cycles after each, and cycles it waits before its start."""

    op: Op
    rows: int
    columns: int
    groups: int
    blocks: int
    pass_cycles: int
    gap: int
    skew: int
    """Cycles from a sum of one row to that of the next."""
    delay: int = 0

    @property
    def cycles(self) -> int:
        """From the end of the layer before to its own end."""
        return (
            LAYER_OVERHEAD + self.delay + self.op.out_rows * ROW_OVERHEAD + self.passes * (self.pass_cycles + self.gap)
        )

    @property
    def passes(self) -> int:
        return self.op.out_rows * self.groups * self.blocks

    @property
    def last_rows(self) -> int:
        """Channels in the last group."""
        return self.op.out_channels - (self.groups - 1) * self.rows

    @property
    def last_columns(self) -> int:
        """Columns in the last block."""
        return self.op.width - (self.blocks - 1) * self.columns

    @property
    def products(self) -> int:
        """Products of one lockstep group that count."""
        return self.op.out_rows * self.op.out_channels * self.op.width * self.pass_cycles

    def pass_start(self, y: Any, g: Any, b: Any) -> Any:
        """First tap of a pass, from the layer's first tap."""
        in_row = (g * self.blocks + b) * (self.pass_cycles + self.gap)
        return y * (self.groups * self.blocks * (self.pass_cycles + self.gap) + ROW_OVERHEAD) + in_row

    @property
    def last_pass(self) -> int:
        """First tap of the last pass, from the layer's first tap."""
        return int(self.pass_start(self.op.out_rows - 1, self.groups - 1, self.blocks - 1))


def plan(op: Op, params: EngineParams) -> LayerPlan:
    """Passes of a layer and the gap after each, without its delay.

    A row drains one column a cycle, so that a pass takes at least `columns` cycles, times the rows where they drain one
    after another. Where the last block is narrower than the array is high, and where pooled state values are written
    too, passes keep further apart so that no two words are complete in one cycle. The softmax takes a slot for each row
    of a group.
    """
    rows, columns = params.rows, params.columns
    blocks = -(-op.width // columns)
    groups = -(-op.out_channels // rows)
    cycles = op.taps * (3 if op.wide else 1)
    least = params.drain_cycles
    if params.broadcast:
        # A cycle without a product between two passes.
        least = max(cycles + 1, least + (pool_latency(params) + 2 if op.state else 0))
    else:
        if blocks > 1 and op.width - (blocks - 1) * columns < 2 * rows:
            least = columns + 2 * rows
        if op.state:
            least = max(least, columns + rows + 1 + max(rows, array.LATENCY))
    if "softmax" in op.to:
        # For all rows of the array, though there be fewer in this layer: the one before may have filled them.
        least = max(least, -(-rows * slot_cycles(op.width) // blocks))
    return LayerPlan(op, rows, columns, groups, blocks, cycles, max(0, least - cycles), params.skew)


def read_times(layer: LayerPlan, *, last: bool = False) -> tuple[Times, Times]:
    """Words the array reads from memory and when, from the layer's first tap: by the first group of channels, or by
    the `last`. The groups between read the same, each later than the one before.
    """
    op = layer.op
    if op.lines:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    words = op.source.words
    y, b, tap, window = np.meshgrid(
        np.arange(op.out_rows),
        np.arange(layer.blocks),
        np.arange(op.taps),
        np.arange(3 if op.wide else 1),
        indexing="ij",
    )
    shift = window - 1 if op.wide else 0 * window
    time = layer.pass_start(y, layer.groups - 1 if last else 0, b) + tap * (3 if op.wide else 1) + window
    inside = (b + shift >= 0) & (b + shift < words)
    address = op.source.base + y * op.source.channels * words + tap * words + b + shift
    return address[inside], time[inside]


def write_times(layer: LayerPlan, params: EngineParams, *, begun: bool = False) -> tuple[Times, Times]:
    """Words written to `dest` and the cycle in which they are whole, from the layer's first tap; or that in which they
    are `begun`, where bytes are written one after another.
    """
    op, dest = layer.op, layer.op.dest
    if dest is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    y, channel, word = np.meshgrid(
        np.arange(op.out_rows), np.arange(op.out_channels), np.arange(dest.words), indexing="ij"
    )
    last = np.minimum((word + 1) * layer.columns, dest.width) - 1
    column = 2 * last + 1 if op.pool else last
    if params.broadcast:
        # Lanes past the end of a line are filled while the last columns leave, or between those of a pooled layer.
        whole = column // layer.columns * layer.columns + layer.columns - 1
        column = word * layer.columns * (2 if op.pool else 1) if begun else whole
    group, row = channel // layer.rows, channel % layer.rows
    if "softmax" in op.to:
        end = layer.pass_start(y, group, layer.blocks - 1) + layer.pass_cycles - 1 + layer.last_columns - 1
        time = end + sum_latency(params) + softmax_latency(params) + row * slot_cycles(op.width) + last
    else:
        end = layer.pass_start(y, group, column // layer.columns) + layer.pass_cycles - 1
        time = end + drain_latency(params) + row * layer.skew + column % layer.columns
    return (dest.base + (y * op.out_channels + channel) * dest.words + word).ravel(), time.ravel()


def pooled_times(layer: LayerPlan, params: EngineParams) -> Times:
    """Cycles in which a layer writes pooled values of the state, by channel, from the layer's first tap."""
    if not layer.op.state:
        return np.empty(0, np.int64)
    _, times = write_times(layer, params)
    return times.reshape(layer.op.out_channels, -1)[:, -1] + pool_latency(params)


def scratch_times(layer: LayerPlan, params: EngineParams) -> Times:
    """Cycles in which a layer's values are in all rows' scratch memories, in their order, from its first tap."""
    group, column = np.meshgrid(np.arange(layer.groups), np.arange(layer.op.width), indexing="ij")
    end = layer.pass_start(0, group, column // layer.columns) + layer.pass_cycles - 1
    time = end + sum_latency(params) + scratch_latency(params) + layer.rows - 1 + column % layer.columns
    return np.asarray(time.ravel())


def operand_times(layer: LayerPlan, params: EngineParams) -> tuple[Times, Times]:
    """Words of the operand memory that elementwise products read, and when, from the layer's first tap."""
    op = layer.op
    if not op.operand:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    channel, block = np.meshgrid(np.arange(op.out_channels), np.arange(layer.blocks), indexing="ij")
    words = op.operand.base + channel * op.operand.words + block
    lead = layer.pass_cycles - 1 + operand_latency(params)
    time = layer.pass_start(0, channel // layer.rows, block) + lead + channel % layer.rows * layer.skew
    return words.ravel(), time.ravel()


def lane_times(layer: LayerPlan) -> tuple[Times, Times]:
    """Words of the operand memory that give weights, and when they are first read, from the layer's first tap."""
    op = layer.op
    if op.weights != Weights.LANES:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    tap = np.arange(op.taps)
    return op.lanes + tap * op.source.words, tap + 1


class _Clock:
    """Walks over layers in time and finds the delay each needs."""

    def __init__(self, params: EngineParams, reach: int) -> None:
        self.params = params
        self.memory = np.full(reach + 1, NEVER)
        self.read = np.full(reach + 1, NEVER)
        self.operands = np.full(reach + 1, NEVER)
        self.gates = np.full(reach + 1, NEVER)
        self.scratch = np.full(params.spatial.scratch if params.spatial else 0, NEVER)
        self.end = 0
        self.drained = NEVER
        self.written = NEVER
        self.operand_read = NEVER

    def missing(self, layer: LayerPlan, start: int) -> int:
        """Cycles by which a first tap at `start` would be too early."""
        address, time = read_times(layer)
        late = [int((self.memory[address] + 1 - time).max()) if len(address) else NEVER]
        words, read = operand_times(layer, self.params)
        if len(words):
            late.append(int((np.maximum(self.operands[words], self.gates[words]) + 1 - read).max()))
        words, read = lane_times(layer)
        if len(words):
            # The port of the operand memory serves elementwise products and weights.
            late += [int((self.operands[words] + 1 - read).max()), self.operand_read + 1 - int(read[0])]
        if layer.op.weights == Weights.SCRATCH:
            group, tap = np.meshgrid(np.arange(layer.groups), np.arange(layer.op.taps), indexing="ij")
            read = layer.pass_start(0, group, 0) + tap
            late.append(int((self.scratch[group * layer.op.taps + tap] + 1 - read).max()))
        address, time = write_times(layer, self.params)
        if len(time):
            # Words leave in the order of the layers, and what they replace is not read any more.
            late.append(self.written + 1 - int(time.min()))
            if layer.op.to & MEMORY:
                address, begun = write_times(layer, self.params, begun=True)
                late.append(int((self.read[address] + 1 - begun).max()))
        # The drain sequencer needs some cycles to take up the next layer.
        late.append(self.drained + self.params.drain_cycles + drain_overhead(self.params) - (layer.pass_cycles - 1))
        return max(0, max(late) - start)

    def run(self, layer: LayerPlan, overhead: int = 0) -> int:
        """Places the layer after the one before; returns the delay missing beyond its own."""
        start = self.end + overhead + LAYER_OVERHEAD + layer.delay + ROW_OVERHEAD
        missing = self.missing(layer, start)
        start += missing
        address, time = read_times(layer, last=True)
        np.maximum.at(self.read, address, start + time)
        address, time = write_times(layer, self.params, begun=True)
        if layer.op.to & MEMORY and len(time) and int((self.read[address] - start - time).max()) >= 0:
            raise ValueError(f"{layer.op.name} writes over words that it reads later")
        address, time = write_times(layer, self.params)
        kinds = {"memory": self.memory, "softmax": self.memory, "operand": self.operands, "gate": self.gates}
        for where in layer.op.to & kinds.keys():
            late = operand_delay(self.params) if where in ("operand", "gate") else 0
            kinds[where][address] = start + time + late
        self.written = max(self.written, start + int(time.max(initial=NEVER)))
        if "scratch" in layer.op.to:
            self.scratch[: layer.groups * layer.op.width] = start + scratch_times(layer, self.params)
        _, read = operand_times(layer, self.params)
        self.operand_read = max(self.operand_read, start + int(read.max(initial=NEVER)))
        if layer.op.state:
            pooled = layer.op.state.base + np.arange(layer.op.out_channels)
            time = start + pooled_times(layer, self.params)
            if int((self.read[pooled] - time).max()) >= 0:
                raise ValueError(f"{layer.op.name} writes over words that it reads later")
            self.memory[pooled] = time
        self.drained = start + layer.last_pass + layer.pass_cycles - 1
        self.end = start + layer.last_pass + layer.pass_cycles + layer.gap
        return missing


def schedule(mapping: Mapping, params: EngineParams) -> list[LayerPlan]:
    """Every layer with the delay it needs: in a frame's first step, in later ones, and in the frame after."""
    plans = [plan(op, params) for op in mapping.ops]
    changed = True
    while changed:
        changed = False
        clock = _Clock(params, params.reach)
        frame = list(range(len(plans)))
        order = frame + frame[mapping.loop :] + frame
        for position, i in enumerate(order):
            overhead = STEP_OVERHEAD if position and order[position - 1] == len(plans) - 1 else 0
            missing = clock.run(plans[i], overhead)
            if missing:
                plans[i] = replace(plans[i], delay=plans[i].delay + missing)
                changed = True
                break
    return plans


def step_cycles(plans: list[LayerPlan], loop: int) -> int:
    """Cycles of one step of an engine that never waits for another."""
    return sum(p.cycles for p in plans[loop:]) + STEP_OVERHEAD
