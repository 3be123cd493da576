"""The register sequence on an open-drain bus with a sensor's model, which may be deaf, hold a line, or meet noise."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from sim.benches import case
from sim.camera import ControlSlave


@cocotb.test()
async def sequence(dut: Any) -> None:
    """Runs the sequence once; records what the sensor got. `low_scl`, `low_sda`, `high_sda`: rows of (from, to), cycles
    in which something else decides that line; `noise`: cycles in which the sequence reads both lines inverted.
    """
    given = case.load()
    for name, level in (("start", 0), ("scl", 1), ("sda", 1)):
        getattr(dut, name).value = level
    edge = await case.start(dut)
    slave = ControlSlave(given["device"], bool(given["wide"]), silent=set(given["silent"].tolist()))
    dut.start.value = 1
    await edge
    dut.start.value = 0

    def within(name: str, now: int) -> bool:
        return any(begin <= now < end for begin, end in given[name].tolist())

    noise = set(given["noise"].tolist())
    pull = False
    for now in range(given["limit"]):
        await edge
        scl = not int(dut.scl_low.value) and not within("low_scl", now)
        sda = (not int(dut.sda_low.value) and not pull and not within("low_sda", now)) or within("high_sda", now)
        pull = slave.step(scl, sda)
        dut.scl.value, dut.sda.value = int(scl ^ (now in noise)), int(sda ^ (now in noise))
        if now > 5 and not int(dut.busy.value):
            break
    else:
        raise AssertionError(f"busy after {given['limit']} cycles")
    assert not int(dut.scl_low.value) and not int(dut.sda_low.value), "the bus is not free"
    case.store(
        written=np.array(slave.written, np.int64).reshape(-1, 2),
        transfers=slave.transfers,
        done=int(dut.done.value),
        error=int(dut.error.value),
        failed=int(dut.failed.value),
        cycles=now,
    )
