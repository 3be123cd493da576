"""What a bench is given and gives back, as .npz files; and the clock and reset that every bench starts with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time
from numpy.typing import NDArray

PERIOD = 10
"""Nanoseconds of a clock cycle."""


def load() -> dict[str, Any]:
    """The case: arrays as such, single values as Python's own."""
    with np.load(Path(os.environ["RASCA_CASE"])) as stored:
        return {name: value if value.ndim else value.item() for name, value in stored.items()}


def store(**outcome: NDArray[Any] | int) -> None:
    """What the caller of the bench gets back."""
    np.savez(Path(os.environ["RASCA_CASE"]).with_name("outcome.npz"), **outcome)  # type: ignore[arg-type]


def cycle() -> int:
    """Clock cycles since the start of the simulation."""
    return int(get_sim_time("ns")) // PERIOD


async def start(dut: Any) -> Any:
    """Starts the clock and resets for two cycles; the bench goes on just after an edge, in the first cycle without
    reset, as the compiled simulator does. Returns that edge's trigger.
    """
    if hasattr(dut, "clk"):
        cocotb.start_soon(Clock(dut.clk, PERIOD, unit="ns").start())
        edge = RisingEdge(dut.clk)
        if not hasattr(dut, "rst"):
            await edge
            return edge
        dut.rst.value = 1
        for _ in range(2):
            await edge
        dut.rst.value = 0
        return edge
    raise AttributeError("the design has no clock")


def payload_bytes(values: list[int], bits: int) -> NDArray[np.uint8]:
    """Unsigned integers as bytes, uint8 [values, bytes], lowest first."""
    size = -(-bits // 8)
    return np.frombuffer(b"".join(v.to_bytes(size, "little") for v in values), np.uint8).reshape(-1, size)
