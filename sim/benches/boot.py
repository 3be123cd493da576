"""The boot loader at the pins of a flash whose content is another one at each try."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, ValueChange

from sim.benches import case
from sim.flash_model import FlashModel


class Board:
    """Flash and memory around the loader."""

    def __init__(self, dut: Any, flash: FlashModel) -> None:
        self.dut = dut
        self.flash = flash
        self.edge = FallingEdge(dut.clk)
        self.pins = [dut[f"flash__{name}"] for name in ("cs_n", "clk", "dq_out", "dq_enable")]
        self.lines = dut.flash__dq_in
        self.writes: list[tuple[int, int]] = []
        self.errors = [0]
        """Every value `error` took."""
        for task in (self.watch_writes(), self.watch_errors()):
            cocotb.start_soon(task)

    async def cycle(self) -> None:
        """The pins in the middle of a cycle: settled, and time for the flash's answer."""
        await self.edge
        self.lines.value = self.flash.step(*(int(pin.value) for pin in self.pins))

    async def watch_writes(self) -> None:
        """For as long as the bench runs; `write` is never 1 in two cycles in a row. Glitches do not count."""
        while True:
            await RisingEdge(self.dut.load__write)
            await RisingEdge(self.dut.clk)
            if int(self.dut.load__write.value):
                self.writes.append((int(self.dut.load__address.value), int(self.dut.load__lane.value)))
            await ReadOnly()
            assert not int(self.dut.load__write.value), "one write, two cycles"

    async def watch_errors(self) -> None:
        """For as long as the bench runs."""
        while True:
            await ValueChange(self.dut.error)
            await ReadOnly()
            self.errors.append(int(self.dut.error.value))

    async def reset(self) -> None:
        """A pulse; done and error must fall."""
        self.dut.rst.value = 1
        await self.cycle()
        self.dut.rst.value = 0
        await self.cycle()
        assert not int(self.dut.done.value), "still done after reset"
        assert self.errors[-1] == 0, "still an error after reset"

    async def warm_boot(self) -> None:
        """The registers as after configuration, the flash asleep behind it with its status register as it was."""
        self.flash.sleep()
        await self.reset()


@cocotb.test()
async def tries(dut: Any) -> None:
    """One try for each of the `contents`, uint8 [tries, bytes], behind `offset`; a good one is followed by a warm boot.

    Where `broken_off` [tries] is not 0, the try is begun once before and reset after so many cycles. Records of each
    try `error` and `done` at its end and its `cycles`, and its writes as rows (try, address, word).
    """
    given = case.load()
    dut.flash__dq_in.value = 0xF
    flash = FlashModel(wake=given["wake"])
    await case.start(dut)
    board = Board(dut, flash)
    ends, writes = [], []
    for number, content in enumerate(given["contents"]):
        flash.content = bytearray(given["offset"]) + bytearray(content)
        if given["broken_off"][number]:
            for _ in range(given["broken_off"][number]):
                await board.cycle()
            await board.reset()
        board.writes.clear()
        del board.errors[:-1]
        begin, reads = case.cycle(), flash.reads
        while flash.reads == reads:
            await board.cycle()
            assert case.cycle() - begin < given["limit"], f"try {number} has no end after {given['limit']} cycles"
        assert len(board.errors) <= 2, f"errors {board.errors} in try {number}: not steady"
        done = int(dut.done.value)
        ends.append((board.errors[-1], done, case.cycle() - begin))
        writes += [(number, *write) for write in board.writes]
        if done:
            await board.warm_boot()
    columns = np.array(ends).T
    case.store(
        error=columns[0],
        done=columns[1],
        cycles=columns[2],
        writes=np.array(writes, np.int64).reshape(-1, 3),
        status_2=flash.status_2,
    )
