"""A unit with one stream in and one out: sends payloads with idle cycles, records what comes with back-pressure."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from sim.benches import case
from sim.benches.streams import StreamDriver, StreamMonitor

QUIET = 200
"""Cycles without a payload after which nothing more is expected."""


@cocotb.test()
async def through(dut: Any) -> None:
    """The case names the streams `source` and `sink`, and a one-bit output `pulse` whose cycles are counted."""
    given = case.load()
    edge = await case.start(dut)
    driver = StreamDriver(dut, given["source"], edge, given["idle"])
    monitor = StreamMonitor(dut, given["sink"], edge, given["stall"])
    receiving = cocotb.start_soon(monitor.run())
    sending = cocotb.start_soon(driver.send(given["payloads"].tolist()))
    pulses = quiet = 0
    for _ in range(given["limit"]):
        await edge
        pulses += int(getattr(dut, given["pulse"]).value) if given["pulse"] else 0
        quiet = 0 if not sending.done() or int(monitor.valid.value) else quiet + 1
        if quiet == QUIET:
            break
    else:
        raise AssertionError(f"not done after {given['limit']} cycles, {len(monitor.items)} payloads received")
    sending.result()
    assert not receiving.done()
    receiving.cancel()
    case.store(payloads=np.array(monitor.payloads, np.uint64), pulses=pulses)
