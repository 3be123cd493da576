"""The line buffer: pixels in with idle cycles, rows read and freed as the heads' engine does it."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from sim.benches import case
from sim.benches.accelerator import PAYLOAD
from sim.benches.streams import StreamDriver, pattern


class Reader:
    """Takes groups of rows; `stall` says in which cycles it does not look for the next one."""

    def __init__(self, dut: Any, edge: Any, given: dict[str, Any]) -> None:
        self.dut, self.edge, self.given = dut, edge, given
        self.pattern = pattern(given["stall"])
        self.groups: list[list[int]] = []
        self.line = 0
        self.available = 0

    async def count(self) -> None:
        """Counts the rows that are there, for as long as the bench runs."""
        while True:
            await self.edge
            self.available += int(self.dut.row_stored.value)

    async def run(self) -> None:
        """For as long as the bench runs."""
        dut, rows, words = self.dut, self.given["rows"], self.given["words"]
        while True:
            dut.rows_done.value = 0
            dut.aborted.value = 0
            await self.edge
            if not next(self.pattern):
                continue
            if int(dut.abort.value):
                dut.aborted.value = 1
                await self.edge
                self.groups.append([])
            elif self.available >= rows:
                group = []
                for row in range(rows):
                    base = 1 + (self.line + row) % self.given["line_rows"] * words
                    for address in range(base, base + words):
                        dut.address.value = address
                        await self.edge
                        await self.edge
                        group.append(int(dut.word.value))
                self.line = (self.line + rows) % self.given["line_rows"]
                dut.rows_done.value = rows
                self.available -= rows
                await self.edge
                self.groups.append(group)


class Ends:
    """Errors of each frame when it ends, and how many began."""

    def __init__(self, dut: Any, edge: Any) -> None:
        self.dut, self.edge = dut, edge
        self.errors: list[int] = []
        self.started = 0

    async def run(self) -> None:
        """For as long as the bench runs."""
        while True:
            await self.edge
            self.started += int(self.dut.started.value)
            if int(self.dut.ended.value):
                self.errors.append(int(self.dut.errors.value))


@cocotb.test()
async def rows(dut: Any) -> None:
    """Records each group of rows (empty: the frame was cut off there) and each frame's errors."""
    given = case.load()
    for name in ("rows_done", "aborted", "address", "ignored"):
        getattr(dut, name).value = 0
    edge = await case.start(dut)
    reader, ends = Reader(dut, edge, given), Ends(dut, edge)
    driver = StreamDriver(dut, "pixels", edge, given["idle"])
    tasks = [cocotb.start_soon(t) for t in (reader.count(), reader.run(), ends.run())]
    sending = cocotb.start_soon(driver.send([int(p) & PAYLOAD for p in given["pixels"]]))
    for _ in range(given["limit"]):
        await edge
        if sending.done() and len(reader.groups) >= given["groups"]:
            break
    else:
        raise AssertionError(f"{len(reader.groups)} of {given['groups']} groups after {given['limit']} cycles")
    for _ in range(20):
        await edge
    for task in tasks:
        assert not task.done()
        task.cancel()
    assert len(reader.groups) == given["groups"], f"{len(reader.groups)} groups, not {given['groups']}"
    case.store(
        words=case.payload_bytes([w for g in reader.groups for w in g], len(dut.word)),
        sizes=np.array([len(g) for g in reader.groups]),
        errors=np.array(ends.errors),
        started=ends.started,
    )
