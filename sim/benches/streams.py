"""Streams from and to a bench: drivers and monitors with patterns of idle cycles and back-pressure.

A pattern is a short text, so that it can name a test:

    none               every cycle
    random:SEED:PERCENT     in that share of the cycles, seeded
    bursts:ON:OFF      ON cycles in a row, then none for OFF cycles
    bursts:ON:OFF:N    N times; then every cycle
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, cycle, repeat
from typing import Any

import numpy as np
from cocotb.triggers import Event, RisingEdge

from sim.benches.case import cycle as now


def pattern(text: str) -> Iterator[bool]:
    """For each cycle whether the bench takes part in it. Raises ValueError for an unknown pattern."""
    kind, *numbers = text.split(":")
    values = [int(n) for n in numbers]
    if kind == "none" and not values:
        return repeat(True)
    if kind == "random" and len(values) == 2:
        seed, percent = values
        rng = np.random.default_rng(seed)
        return (bool(rng.integers(100) < percent) for _ in repeat(None))
    if kind == "bursts" and len(values) == 2:
        on, off = values
        return cycle([True] * on + [False] * off)
    if kind == "bursts" and len(values) == 3:
        on, off, times = values
        return chain(([True] * on + [False] * off) * times, repeat(True))
    raise ValueError(f"pattern must be none, random:SEED:PERCENT or bursts:ON:OFF[:N], not {text!r}")


class StreamDriver:
    """Sends payloads into an input stream; valid never waits for ready, and holds until the transfer."""

    def __init__(self, dut: Any, name: str, edge: Any, idle: str = "none") -> None:
        self.valid = getattr(dut, f"{name}__valid")
        self.ready = getattr(dut, f"{name}__ready")
        self.payload = getattr(dut, f"{name}__payload")
        self.edge = edge
        self.pattern = pattern(idle)
        self.valid.value = 0

    async def send(self, payloads: Iterable[int | None]) -> None:
        """All payloads, one after the other; None is a cycle without one."""
        for payload in payloads:
            if payload is None:
                self.valid.value = 0
                await self.edge
                continue
            while not next(self.pattern):
                self.valid.value = 0
                await self.edge
            self.valid.value = 1
            self.payload.value = payload
            await self.edge
            while not self.ready.value:
                # Asleep until then: most of the time a camera is faster than the accelerator.
                await RisingEdge(self.ready)
                await self.edge
        self.valid.value = 0


class StreamMonitor:
    """Receives from an output stream, with back-pressure; `items` are (cycle, payload).

    Checks the rule of streams on the way: once valid is up, valid and payload hold until the transfer.
    """

    def __init__(self, dut: Any, name: str, edge: Any, stall: str = "none") -> None:
        self.name = name
        self.valid = getattr(dut, f"{name}__valid")
        self.ready = getattr(dut, f"{name}__ready")
        self.payload = getattr(dut, f"{name}__payload")
        self.edge = edge
        self.pattern = pattern(stall)
        self.always = stall == "none"
        self.items: list[tuple[int, int]] = []
        self.received = Event()

    async def run(self) -> None:
        """For as long as the bench runs."""
        waiting: int | None = None
        while True:
            ready = next(self.pattern)
            self.ready.value = int(ready)
            if self.always and not self.valid.value:
                await RisingEdge(self.valid)
            await self.edge
            if self.valid.value:
                payload = int(self.payload.value)
                assert waiting in (None, payload), f"{self.name}: payload changed from {waiting} to {payload} unread"
                waiting = None if ready else payload
                if ready:
                    self.items.append((now(), payload))
                    self.received.set()
            else:
                assert waiting is None, f"{self.name}: valid fell before the transfer"

    @property
    def payloads(self) -> list[int]:
        return [payload for _, payload in self.items]

    async def wait(self, count: int) -> None:
        """Until so many items have come."""
        while len(self.items) < count:
            self.received.clear()
            await self.received.wait()


class WriteMonitor:
    """The words one lockstep group of an engine writes: (cycle, instruction, address, word)."""

    def __init__(self, dut: Any, engine: int, group: int, edge: Any) -> None:
        name = f"trace_{engine}_{group}_"
        self.valid, self.instruction, self.address, self.word = (
            getattr(dut, name + part) for part in ("valid", "instruction", "address", "word")
        )
        self.edge = edge
        self.writes: list[tuple[int, int, int, int]] = []

    async def run(self) -> None:
        """For as long as the bench runs; asleep while nothing is written."""
        while True:
            await RisingEdge(self.valid)
            await self.edge
            while self.valid.value:
                word = int(self.word.value)
                self.writes.append((now(), int(self.instruction.value), int(self.address.value), word))
                await self.edge
