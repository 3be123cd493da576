"""The instruction: one layer, as the issue side and the drain side of an engine see it.

The two sides run the same program, each at its own time: the issue sequencer walks over taps and starts passes, the
drain sequencer counts the results that come out. The layout of both halves is defined here only; the generator
encodes with it and the sequencers decode with it.

A *pass* computes `rows` output channels x `columns` neighbouring columns; a layer is a loop over output rows, channel
groups and blocks of columns (innermost), one pass each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

from amaranth.lib import data


class Mode(IntEnum):
    """What happens to a value after requantisation and table."""

    PLAIN = 0
    """Nothing."""
    GATE = 1
    """(x * up(v) + 128) >> 8 with x from the operand memory."""
    BLEND = 2
    """v + ((up(u) * (x - v) + 128) >> 8) with x from the operand memory and u from the gate plane."""
    LOGITS = 3
    """Sums go to the result, nothing is written."""
    RESIDUAL = 4
    """v + ((x + half) >> residual), clamped, with x from the operand memory."""


class Weights(IntEnum):
    """Where a layer's weights come from."""

    ROM = 0
    """The weight memory."""
    SCRATCH = 1
    """What an earlier layer left in the scratch memories (V of V A)."""
    LANES = 2
    """Lanes of the operand memory's words (H of H^T K)."""


@dataclass(frozen=True, kw_only=True)
class Issue:
    """Issue half: where operands are read, in words. Counts are stored less one."""

    base: int
    row_step: int
    tap_step: int
    out_rows: int
    groups: int
    blocks: int
    taps: int
    wide: bool
    pad_low: bool
    lines: bool
    frees: bool
    weights: Weights
    weight_base: int
    gap: int
    delay: int
    wait_features: bool
    wait_credit: bool
    post_credit: bool
    last_rows: int
    last_columns: int
    counts: bool


@dataclass(frozen=True, kw_only=True)
class Drain:
    """Drain half: what becomes of a result. Counts are stored less one."""

    bias_base: int
    out_rows: int
    groups: int
    blocks: int
    out_columns: int
    last_rows: int
    pool: bool
    relu: bool
    table: int
    use_table: bool
    mode: Mode
    unsigned: bool
    operand_unsigned: bool
    operand_base: int
    base: int
    channel_step: int
    row_step: int
    state_base: int
    to_memory: bool
    to_operand: bool
    to_gate: bool
    to_features: bool
    to_state: bool
    to_scratch: bool
    to_softmax: bool
    residual: int
    fraction: int


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One layer; `name` is for people (listing, traces)."""

    name: str
    issue: Issue
    drain: Drain


def record_layout(halves: Sequence[Any]) -> data.StructLayout:
    """The narrowest struct that holds every given half; each field is as wide as its largest value needs."""
    return data.StructLayout(
        {f.name: max(1, *(int(getattr(h, f.name)).bit_length() for h in halves)) for f in fields(halves[0])}
    )


def encode(layout: data.StructLayout, half: Any) -> int:
    """The record as stored in the program memory."""
    return layout.const({f.name: int(getattr(half, f.name)) for f in fields(half)}).as_bits()
