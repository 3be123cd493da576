"""Which signals of an accelerator move while it is at work, and while it waits for pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cocotb
import numpy as np
from cocotb.handle import ArrayObject, HierarchyObject, ValueObjectBase

from sim.benches import case
from sim.benches.accelerator import PAYLOAD
from sim.benches.streams import StreamDriver


def signals(scope: Any) -> Iterator[ValueObjectBase[Any, Any]]:
    """All in a scope and in those below, but for the words of memories."""
    for handle in scope:
        if isinstance(handle, HierarchyObject):
            yield from signals(handle)
        elif not isinstance(handle, ArrayObject):
            yield handle


async def changes(found: list[Any], edge: Any, cycles: int) -> list[int]:
    """Of each signal, over so many cycles."""
    counts = [0] * len(found)
    before = [handle.value for handle in found]
    for _ in range(cycles):
        await edge
        for i, handle in enumerate(found):
            value = handle.value
            if value != before[i]:
                counts[i] += 1
                before[i] = value
    return counts


@cocotb.test()
async def pauses(dut: Any) -> None:
    """Sends the pixels with a pause behind each of the given numbers of them. Watches the first `cycles` of a pause, in
    which the rows before are at work, and as many after `settle`.
    """
    given = case.load()
    dut.register.value = dut.write.value = dut.data.value = 0
    dut.results__ready.value = dut.confidences__ready.value = 1
    edge = await case.start(dut)
    found = list(signals(dut))
    driver = StreamDriver(dut, "pixels", edge)
    words = [w & PAYLOAD for w in given["pixels"].tolist()]
    sent = 0
    counts: dict[str, list[list[int]]] = {"work": [], "rest": []}
    for position in given["pauses"].tolist():
        await driver.send(words[sent:position])
        sent = position
        counts["work"].append(await changes(found, edge, given["cycles"]))
        for _ in range(given["settle"]):
            await edge
        counts["rest"].append(await changes(found, edge, given["cycles"]))
    names = np.array([handle._path for handle in found])
    case.store(names=names, **{name: np.array(rows) for name, rows in counts.items()})
