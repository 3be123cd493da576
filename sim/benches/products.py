"""A product of two operands, a new pair in every cycle."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np

from sim.benches import case


@cocotb.test()
async def play(dut: Any) -> None:
    """Applies `a` and `b`, one of each a cycle; records `y`, `latency` cycles later, as plain bits."""
    given = case.load()
    dut.a.value = dut.b.value = 0
    edge = await case.start(dut)
    pairs = list(zip(given["a"].tolist(), given["b"].tolist(), strict=True))
    seen = []
    for a, b in [*pairs, *[(0, 0)] * given["latency"]]:
        dut.a.value, dut.b.value = a, b
        await edge
        seen.append(dut.y.value)
    case.store(y=np.array([int(str(y), 2) for y in seen[given["latency"] :]], np.int64))
