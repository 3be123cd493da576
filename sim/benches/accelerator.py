"""The whole accelerator: pixels in; results, confidences, counters and every written word out.

The comparison with the integer model is made outside, where the model is (:mod:`sim.compare`).
"""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Lock, SimTimeoutError, with_timeout

from sim.benches import case
from sim.benches.streams import StreamDriver, StreamMonitor, WriteMonitor
from sim.frames import BUBBLE

PAYLOAD = (1 << 26) - 1


class Registers:
    """The register bus, for one user at a time."""

    def __init__(self, dut: Any, edge: Any) -> None:
        self.dut = dut
        self.edge = edge
        self.lock = Lock()

    async def read(self, count: int) -> list[int]:
        """The first registers; the value comes a cycle after the address."""
        values = []
        async with self.lock:
            for register in range(count):
                self.dut.register.value = register
                await self.edge
                await self.edge
                values.append(int(self.dut.value.value))
        return values

    async def write(self, settings: list[list[int]]) -> None:
        """Pairs of address and value."""
        async with self.lock:
            for address, value in settings:
                self.dut.register.value, self.dut.data.value, self.dut.write.value = address, value & 0xFFFFFFFF, 1
                await self.edge
            self.dut.write.value = 0


async def fill(dut: Any, edge: Any, words: list[list[int]]) -> None:
    """Writes (address, lane) into the memories, in reset as a boot loader does."""
    dut.rst.value = 1
    dut.load__write.value = 1
    for dut.load__address.value, dut.load__lane.value in words:
        await edge
    dut.load__write.value = 0
    await edge
    dut.rst.value = 0


async def send(driver: StreamDriver, words: list[int | None], registers: Registers, later: list[list[int]]) -> None:
    """The pixels; `later` (position, address, value) are registers to be written when so many of them are sent."""
    sent = 0
    for position in sorted({row[0] for row in later}):
        await driver.send(words[sent:position])
        await registers.write([row[1:] for row in later if row[0] == position])
        sent = position
    await driver.send(words[sent:])


@cocotb.test()
async def frames(dut: Any) -> None:
    """Sends the case's pixels and records what comes, until enough results have."""
    given = case.load()
    dut.register.value = 0
    dut.write.value = 0
    edge = await case.start(dut)
    if len(given["load"]):
        await fill(dut, edge, given["load"].tolist())
    registers = Registers(dut, edge)
    await registers.write(given["settings"].tolist())
    begin = case.cycle()
    driver = StreamDriver(dut, "pixels", edge, given["idle"])
    results = StreamMonitor(dut, "results", edge, given["stall"])
    confidences = StreamMonitor(dut, "confidences", edge, given["stall"])
    monitors = [WriteMonitor(dut, int(e), int(g), edge) for e, g in given["traces"]]
    words = [None if w & BUBBLE else w & PAYLOAD for w in given["pixels"].tolist()]
    running = [results.run(), confidences.run(), *(m.run() for m in monitors)]
    tasks = [cocotb.start_soon(r) for r in running]
    tasks.append(cocotb.start_soon(send(driver, words, registers, given["later"].tolist())))

    counters: list[list[int]] = []
    while len(counters) < given["frames"]:
        left = given["limit"] - (case.cycle() - begin)
        try:
            await with_timeout(results.wait(len(counters) + 1), max(1, left) * case.PERIOD, "ns")
        except SimTimeoutError:
            raise AssertionError(
                f"{len(counters)} of {given['frames']} results after {given['limit']} cycles"
            ) from None
        await edge
        counters.append(await registers.read(given["registers"]))
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()

    writes = sorted((cycle - begin, i, *rest) for i, m in enumerate(monitors) for cycle, *rest in m.writes)
    columns = [list(column) for column in zip(*writes, strict=True)] or [[]] * 5
    case.store(
        cycle=np.array(columns[0], np.uint64),
        trace=np.array(columns[1], np.uint8),
        instruction=np.array(columns[2], np.uint8),
        address=np.array(columns[3], np.uint16),
        word=case.payload_bytes(columns[4], len(monitors[0].word) if monitors else 8),
        results=case.payload_bytes(results.payloads, len(results.payload)),
        confidences=case.payload_bytes(confidences.payloads, len(confidences.payload)),
        counters=np.array(counters, np.uint32),
        cycles=case.cycle() - begin,
    )
