"""AXI4-Stream video into the crop, sent by cocotbext-axi."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSource

from sim.benches import case
from sim.benches.streams import StreamMonitor, pattern


@cocotb.test()
async def video(dut: Any) -> None:
    """Sends the case's lines (bytes, and tuser of their first pixel); records the pixels."""
    given = case.load()
    for name in ("tdata", "tuser", "tlast", "tvalid"):
        getattr(dut, f"video__{name}").value = 0
    edge = await case.start(dut)
    monitor = StreamMonitor(dut, "pixels", edge, given["stall"])
    receiving = cocotb.start_soon(monitor.run())
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "video_"), dut.clk, byte_size=24)
    source.set_pause_generator(not taken for taken in pattern(given["idle"]))
    at = 0
    for length, start in zip(given["lengths"].tolist(), given["starts"].tolist(), strict=True):
        pixels = given["pixels"][at : at + length].tolist()
        at += length
        await source.send(AxiStreamFrame(pixels, tuser=[int(start and i == 0) for i in range(length)]))
    for _ in range(given["limit"]):
        await edge
        if source.idle():
            break
    else:
        raise AssertionError(f"not sent after {given['limit']} cycles")
    for _ in range(200):
        await edge
    assert not receiving.done()
    receiving.cancel()
    case.store(payloads=np.array(monitor.payloads, np.uint64))
