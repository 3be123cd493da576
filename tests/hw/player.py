"""Plays stimuli into a unit on Icarus; see sim/benches/pipeline.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from fpga.flows import Platform
from sim.icarus import run_bench, to_verilog

Values = Sequence[int] | NDArray[np.int64]


def to_bytes(values: Values, bits: int) -> NDArray[np.uint8]:
    """Integers, negative ones as two's complement, as uint8 [values, bytes]."""
    size = -(-bits // 8)
    mask = (1 << bits) - 1
    return np.frombuffer(b"".join((int(v) & mask).to_bytes(size, "little") for v in values), np.uint8).reshape(-1, size)


def lanes(rows: NDArray[np.int64], bits: int = 8) -> list[int]:
    """Each row of numbers as one word, lane 0 lowest."""
    mask = (1 << bits) - 1
    return [sum((int(v) & mask) << (bits * i) for i, v in enumerate(row)) for row in rows]


def split(words: list[int], count: int, bits: int = 8, signed: bool = True) -> NDArray[np.int64]:
    """The inverse of :func:`lanes`: [words, count]."""
    values = np.array([[word >> (bits * i) & ((1 << bits) - 1) for i in range(count)] for word in words], np.int64)
    return np.where(signed & (values >> (bits - 1) == 1), values - (1 << bits), values)


def play(
    component: wiring.Component,
    inputs: Mapping[str, tuple[Values, int]],
    *outputs: str,
    platform: Platform | None = None,
    source: str | None = None,
) -> dict[str, list[int]]:
    """Applies for each input port `(values, bits)`, one value a cycle; returns each output's values, unsigned.

    `source`: Verilog that stands for the component's own.
    """
    cycles = {len(values) for values, _ in inputs.values()}
    assert len(cycles) == 1, f"inputs of different lengths {cycles}"
    case: dict[str, Any] = {f"in_{name}": to_bytes(values, bits) for name, (values, bits) in inputs.items()}
    case |= {"outputs": " ".join(outputs), "cycles": cycles.pop()}
    found = run_bench(source or to_verilog(component, platform), "pipeline", case)
    return {name: [int.from_bytes(row.tobytes(), "little") for row in found[name]] for name in outputs}


def signed(values: list[int], bits: int) -> NDArray[np.int64]:
    """Unsigned readings of a signed port."""
    return split(values, 1, bits)[:, 0]
