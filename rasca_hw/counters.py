"""What the accelerator counts, read through a small register bus.

| address | register |
|---|---|
| 0 | version of this register map |
| 1 | model hash, first 32 bits |
| 2 | multipliers instantiated |
| 3 | cycles since reset |
| 4 | frames decided since reset |
| 5 | last frame: cycles from its first pixel to its decision |
| 6 | last frame: cycles from the end of its last used row to its decision |
| 7 | cycles between the last two decisions |
| 8 + e | products that engine e made between the last two decisions |
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from .interfaces import Errors

VERSION = 1
FRAMES_IN_FLIGHT = 8
REGISTERS = ("version", "model_hash", "multipliers", "cycles", "frames", "frame_cycles", "latency", "interval")


class Counters(wiring.Component):
    """Members
    -------
    started, ended, errors : of a frame at the row interface.
    decided : a frame's result is ready; `frame_errors` are its errors.
    products : products of this cycle, for each engine.
    address, value : register bus, value a cycle after the address.
    """

    def __init__(self, *, engines: int, multipliers: int, model_hash: int) -> None:
        self.engines = engines
        self.constants = (VERSION, model_hash, multipliers)
        super().__init__(
            {
                "started": In(1),
                "ended": In(1),
                "errors": In(Errors),
                "decided": In(1),
                "frame_errors": Out(Errors),
                "products": In(16).array(engines),
                "address": In(8),
                "value": Out(32),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cycles = Signal(32)
        m.d.sync += cycles.eq(cycles + 1)
        start = Signal(32)
        with m.If(self.started):
            m.d.sync += start.eq(cycles)
        m.submodules.frames = frames = SyncFIFOBuffered(width=Errors.as_shape().size + 64, depth=FRAMES_IN_FLIGHT)
        m.d.comb += [
            frames.w_data[:32].eq(start),
            frames.w_data[32:64].eq(cycles),
            frames.w_data[64:].eq(self.errors),
            frames.w_en.eq(self.ended),
            self.frame_errors.eq(frames.r_data[64:]),
            frames.r_en.eq(self.decided),
        ]
        count = Signal(32)
        frame_cycles = Signal(32)
        latency = Signal(32)
        interval = Signal(32)
        before = Signal(32)
        products = []
        for e in range(self.engines):
            running = Signal(32, name=f"running{e}")
            last = Signal(32, name=f"products{e}")
            m.d.sync += running.eq(running + self.products[e])
            with m.If(self.decided):
                m.d.sync += [last.eq(running), running.eq(self.products[e])]
            products.append(last)
        with m.If(self.decided):
            m.d.sync += [
                count.eq(count + 1),
                frame_cycles.eq(cycles - frames.r_data[:32]),
                latency.eq(cycles - frames.r_data[32:64]),
                interval.eq(cycles - before),
                before.eq(cycles),
            ]
        registers = Array([*self.constants, cycles, count, frame_cycles, latency, interval, *products])
        m.d.sync += self.value.eq(0)
        with m.If(self.address < len(registers)):
            m.d.sync += self.value.eq(registers[self.address])
        return m
