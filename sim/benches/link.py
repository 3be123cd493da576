"""The feature link: sets of words from a sender that never waits within a set to a receiver that does."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge, with_timeout

from sim.benches import case
from sim.benches.streams import pattern


async def until(signal: Any, edge: Any) -> None:
    """Until the signal is high at an edge."""
    while not int(signal.value):
        await RisingEdge(signal)
        await edge


async def pulse(signal: Any, edge: Any) -> None:
    """High for one cycle."""
    signal.value = 1
    await edge
    signal.value = 0


class Sender:
    """Sends sets: words [set, word, group] to addresses [word], all groups at once."""

    def __init__(self, dut: Any, edge: Any, given: dict[str, Any]) -> None:
        self.dut, self.edge, self.given = dut, edge, given
        self.pattern = pattern(given["idle"])
        self.groups = len(dut.put)

    async def send(self, words: Any) -> None:
        """One set, after its credit."""
        dut = self.dut
        await until(dut.credit, self.edge)
        await pulse(dut.credit_taken, self.edge)
        for address, row in zip(self.given["addresses"], words, strict=True):
            while not next(self.pattern):
                await self.edge
            dut.put.value = (1 << self.groups) - 1
            dut.address.value = int(address)
            for group, word in enumerate(row):
                getattr(dut, f"word__{group}").value = int(word)
            await self.edge
            dut.put.value = 0


class Receiver:
    """Takes words when its pattern lets it, and full sets."""

    def __init__(self, dut: Any, edge: Any, given: dict[str, Any]) -> None:
        self.dut, self.edge = dut, edge
        self.pattern = pattern(given["stall"])
        self.words: list[tuple[int, int]] = []
        self.fulls: list[int] = []

    async def take(self) -> None:
        """Words, for as long as the bench runs."""
        while True:
            ready = next(self.pattern)
            self.dut.ready.value = int(ready)
            await self.edge
            if ready and int(self.dut.get.value):
                self.words.append((int(self.dut.out_address.value), int(self.dut.out_word.value)))

    async def use(self) -> None:
        """Sets, for as long as the bench runs; each is in use for some cycles in which there is no credit."""
        while True:
            await until(self.dut.full, self.edge)
            self.fulls.append(len(self.words))
            await pulse(self.dut.taken, self.edge)
            for _ in range(9):
                await self.edge
                assert not int(self.dut.credit.value), "credit while a set is in use"
            await pulse(self.dut.given, self.edge)


@cocotb.test()
async def sets(dut: Any) -> None:
    """All sets, then a cut behind the last one."""
    given = case.load()
    for name in ("put", "address", "ready", "credit_taken", "taken", "given", "cut", "cut_taken"):
        getattr(dut, name).value = 0
    edge = await case.start(dut)
    sender, receiver = Sender(dut, edge, given), Receiver(dut, edge, given)
    tasks = [cocotb.start_soon(t) for t in (receiver.take(), receiver.use())]
    limit = (given["limit"] * case.PERIOD, "ns")
    for words in given["words"]:
        await with_timeout(cocotb.start_soon(sender.send(words)), *limit)
    await pulse(dut.cut, edge)
    assert not int(dut.cut_due.value), "cut due before the last set was used"
    await with_timeout(cocotb.start_soon(until(dut.cut_due, edge)), *limit)
    assert len(receiver.fulls) == len(given["words"]), "cut due before the last set was used"
    assert not int(dut.credit.value), "credit before the cut was taken"
    await pulse(dut.cut_taken, edge)
    await with_timeout(cocotb.start_soon(until(dut.credit, edge)), *limit)
    for task in tasks:
        assert not task.done()
        task.cancel()
    case.store(
        address=np.array([a for a, _ in receiver.words]),
        word=np.array([w for _, w in receiver.words], np.uint64),
        fulls=np.array(receiver.fulls),
    )
