"""A memory of SPRAMs: written, then read with writes in between."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from sim.benches import case

UNDEFINED = -1


@cocotb.test()
async def play(dut: Any) -> None:
    """In cycle i applies row i of `inputs` (write, lane address, lane, address); records `word` of each cycle, as its
    16-bit lanes, int64 [cycles, lanes], `UNDEFINED` where a bit is X.
    """
    given = case.load()
    ports = [dut.write, dut.lane_address, dut.lane, dut.address]
    for port in ports:
        port.value = 0
    edge = await case.start(dut)
    lanes = len(dut.word) // 16
    seen = []
    for row in given["inputs"].tolist():
        for port, value in zip(ports, row, strict=True):
            port.value = value
        await edge
        value = dut.word.value
        if value.is_resolvable:
            seen.append([int(value) >> 16 * lane & 0xFFFF for lane in range(lanes)])
        else:
            seen.append([UNDEFINED] * lanes)
    case.store(word=np.array(seen))
