"""The result unit: logits in with idle cycles, results and confidences out with back-pressure."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from sim.benches import case
from sim.benches.streams import StreamMonitor, pattern


@cocotb.test()
async def decisions(dut: Any) -> None:
    """Sends logits [frame, step, class]; a frame with fewer than `steps` steps is cut. Steps that the unit says are to
    be passed over are. Records both streams.
    """
    given = case.load()
    for name in ("logit_valid", "logit", "cut", "errors", "skipped"):
        getattr(dut, name).value = 0
    dut.rule.value = int(given["rule"])
    edge = await case.start(dut)
    results = StreamMonitor(dut, "results", edge, given["stall"])
    confidences = StreamMonitor(dut, "confidences", edge, given["stall"])
    tasks = [cocotb.start_soon(m.run()) for m in (results, confidences)]
    idle = pattern(given["idle"])
    logits, decided = given["logits"], 0
    for frame, steps in enumerate(given["lengths"]):
        dut.errors.value = int(given["errors"][frame])
        for step in range(steps):
            if int(dut.skip.value):
                dut.skipped.value = 1
                await edge
                dut.skipped.value = 0
                await edge
                continue
            for logit in logits[frame, step]:
                while not next(idle):
                    await edge
                dut.logit_valid.value = 1
                dut.logit.value = int(logit) & 0xFFFFFFFF
                await edge
                dut.logit_valid.value = 0
            for _ in range(given["pause"]):
                await edge
                decided += int(dut.decided.value)
        if steps < logits.shape[1]:
            dut.cut.value = 1
            await edge
            dut.cut.value = 0
            for _ in range(given["pause"]):
                await edge
                decided += int(dut.decided.value)
    for _ in range(50):
        await edge
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    case.store(
        results=case.payload_bytes(results.payloads, len(results.payload)),
        confidences=case.payload_bytes(confidences.payloads, len(confidences.payload)),
        decided=np.array(decided),
    )
