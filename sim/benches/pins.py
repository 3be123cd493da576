"""The front end at its pins: words of D[7:0], href and vsync at a pclk of any periods; a stream out."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer

from sim.benches import case
from sim.benches.streams import StreamMonitor
from sim.camera import HREF, VSYNC


async def play(dut: Any, words: list[int], periods: list[int], falling: bool) -> None:
    """Each word is at the pins half a period before the edge at which it holds, and half a period after it."""
    for word, period in zip(words, periods, strict=True):
        dut.data.value, dut.href.value, dut.vsync.value = word & 0xFF, word // HREF & 1, word // VSYNC & 1
        dut.pclk.value = int(falling)
        await Timer(period // 2, "ps")
        dut.pclk.value = int(not falling)
        await Timer(period // 2, "ps")


@cocotb.test()
async def pins(dut: Any) -> None:
    """Plays the case's words; records the payloads of the stream `sink`, and for how many cycles `spoiled` was 1. The
    inputs `ones` are 1 all the time.
    """
    given = case.load()
    for name in ("pclk", "vsync", "href", "data"):
        getattr(dut, name).value = 0
    for name in given["ones"].split():
        getattr(dut, name).value = 1
    edge = await case.start(dut)
    monitor = StreamMonitor(dut, given["sink"], edge, given["stall"])
    receiving = cocotb.start_soon(monitor.run())
    playing = cocotb.start_soon(play(dut, given["words"].tolist(), given["periods"].tolist(), given["falling"]))
    spoiled = after = 0
    while after < given["after"]:
        await edge
        spoiled += int(dut.spoiled.value)
        after += playing.done()
    playing.result()
    assert not receiving.done()
    receiving.cancel()
    case.store(
        payloads=case.payload_bytes(monitor.payloads, len(monitor.payload)),
        spoiled=spoiled,
        overflow=int(dut.overflow.value),
    )
