"""A unit without streams: plays its inputs cycle by cycle and records its outputs.

The case holds `in_<port>` for each input, uint8 [cycles, bytes] with the lowest first, and the names of `outputs`.
"""

from __future__ import annotations

from typing import Any

import cocotb

from sim.benches import case

FLUSH = 32
"""Cycles for the X of inputs before the first edge to leave the registers that have no reset."""


def integers(rows: Any) -> list[int]:
    """Rows of bytes as unsigned integers."""
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


@cocotb.test()
async def play(dut: Any) -> None:
    """Input i is applied in cycle i; output i is what the unit shows in cycle i."""
    given = case.load()
    inputs = {dut[name[3:]]: integers(rows) for name, rows in given.items() if name.startswith("in_")}
    names = given["outputs"].split()
    outputs = [dut[name] for name in names]
    for port in inputs:
        port.value = 0
    edge = await case.start(dut)
    for _ in range(FLUSH):
        await edge
    seen: list[list[int]] = [[] for _ in outputs]
    for values in zip(*inputs.values(), strict=True):
        for port, value in zip(inputs, values, strict=True):
            port.value = value
        await edge
        for name, port, record in zip(names, outputs, seen, strict=True):
            value = port.value
            assert value.is_resolvable, f"{name} is {value} in cycle {len(record)}"
            record.append(int(value))
    assert len(seen[0]) == given["cycles"], f"{len(seen[0])} cycles played, not {given['cycles']}"
    recorded = zip(names, outputs, seen, strict=True)
    case.store(**{name: case.payload_bytes(values, len(port)) for name, port, values in recorded})
