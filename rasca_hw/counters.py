"""What the accelerator counts and what a user sets, through a small register bus.

| address | register |
|---|---|
| 0 | version of this register map |
| 1 | model hash, first 32 bits |
| 2 | multipliers instantiated |
| 3 | cycles since reset |
| 4 | frames decided since reset |
| 5 | last frame: cycles from its first pixel to its decision |
| 6 | last frame: cycles from the end of its last used row to its decision; 0 if it was decided before that |
| 7 | cycles between the last two decisions |
| 8 | row groups computed between them |
| 9 | cycles between them in which an array worked |
| 10 + e | products that engine e made between them |
| 32 | early termination: bit 0 enabled; bit 1 skips; bits 8 to 15 consecutive steps |
| 33 | its threshold, a margin of logits (signed) |
| 34 | its lower limit, likewise |

32 to 34 can be written at any time. They act together, from the next frame on that opens: a frame opens when the heads
have time for it and its first kernel rows are there. 0 consecutive steps count as 1.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .interfaces import Errors
from .termination import Rule

VERSION = 2
REGISTERS = (
    "version",
    "model_hash",
    "multipliers",
    "cycles",
    "frames",
    "frame_cycles",
    "latency",
    "interval",
    "groups",
    "active",
)
"""Those before the engines' products."""
RULE = 32
"""Address of the first register of the rule."""


ENDED = data.StructLayout({"start": 32, "end": 32, "errors": Errors})
"""What is kept of a frame from its end to its decision; cycles since reset."""


def frames_in_flight(*, engines: int, steps: int, groups: int) -> int:
    """The most frames that have ended and are not decided, with a line buffer for so many groups of rows.

    An engine works on a step while the one before is still in its pipeline, and a second engine's features wait for
    it: of so many groups and those in the line buffer each `steps` end a frame. A frame that was cut off may be one
    group alone, but the row interface then waits for the first engine.
    """
    return 2 * engines - 1 - (-(engines + 1 + groups) // steps)


class Counters(wiring.Component):
    """Members
    -------
    started, ended, errors : of a frame at the row interface.
    decided : a frame's result is ready; `frame_errors` are its errors.
    open : the frame at the row interface was decided already.
    classified, working : a step's classification is there; an array works.
    products : products of this cycle, for each engine.
    address, value, write, data : register bus, value a cycle after the address.
    rule : as set; not enabled after reset.
    opened, held : a frame opens (a pulse); the rule as it was then.
    """

    def __init__(self, *, engines: int, frames: int, multipliers: int, model_hash: int) -> None:
        """`frames` : the most that have ended and are not decided."""
        self.engines = engines
        self.frames = frames
        self.constants = (VERSION, model_hash, multipliers)
        super().__init__(
            {
                "started": In(1),
                "ended": In(1),
                "errors": In(Errors),
                "decided": In(1),
                "open": Out(1),
                "classified": In(1),
                "working": In(1),
                "frame_errors": Out(Errors),
                "products": In(16).array(engines),
                "address": In(8),
                "value": Out(32),
                "write": In(1),
                "data": In(32),
                "rule": Out(Rule),
                "opened": In(1),
                "held": Out(Rule),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        cycles = Signal(32)
        m.d.sync += cycles.eq(cycles + 1)
        start = Signal(32)
        with m.If(self.started):
            m.d.sync += start.eq(cycles)
        # Frames that have ended and are not decided. Read at once: so it is registers or LUTs, of which those that
        # nobody reads go where no register bus is connected.
        index = ceil_log2(self.frames)
        m.submodules.frames = frames = memory.Memory(shape=ENDED, depth=1 << index, init=[])
        write, read = frames.write_port(), frames.read_port(domain="comb")
        put, got = Signal(index), Signal(index)
        waiting = Signal(range((1 << index) + 1))
        oldest = read.data
        ended = Signal()
        before_end = self.decided & ~ended
        after_end = self.decided & ended
        m.d.comb += [
            write.addr.eq(put),
            write.data.start.eq(start),
            write.data.end.eq(cycles),
            write.data.errors.eq(self.errors),
            write.en.eq(self.ended & ~self.open & ~before_end),
            read.addr.eq(got),
            self.frame_errors.eq(Mux(ended, oldest.errors, self.errors)),
        ]
        m.d.sync += [put.eq(put + write.en), got.eq(got + after_end)]
        with m.If(write.en & ~after_end):
            m.d.sync += [waiting.eq(waiting + 1), ended.eq(1)]
        with m.If(after_end & ~write.en):
            m.d.sync += [waiting.eq(waiting - 1), ended.eq(waiting != 1)]
        with m.If(self.ended):
            m.d.sync += self.open.eq(0)
        with m.Elif(before_end):
            m.d.sync += self.open.eq(1)
        count = Signal(32)
        frame_cycles = Signal(32)
        latency = Signal(32)
        interval = Signal(32)
        before = Signal(32)
        groups = self._between(m, self.classified, "groups")
        active = self._between(m, self.working, "active")
        products = [self._between(m, self.products[e], f"products{e}") for e in range(self.engines)]
        with m.If(self.decided):
            m.d.sync += [
                count.eq(count + 1),
                frame_cycles.eq(cycles - Mux(ended, oldest.start, start)),
                latency.eq(Mux(ended, cycles - oldest.end, 0)),
                interval.eq(cycles - before),
                before.eq(cycles),
            ]
        counted = [cycles, count, frame_cycles, latency, interval, groups, active, *products]
        registers = Array([*self.constants, *counted])
        m.d.sync += self.value.eq(0)
        with m.If(self.address < len(registers)):
            m.d.sync += self.value.eq(registers[self.address])
        rule = self.rule
        with m.If(self.opened):
            m.d.sync += self.held.eq(rule)
        switches = Cat(rule.enabled, rule.skips)
        for i, fields in enumerate((switches, rule.threshold, rule.lower)):
            with m.If(self.address == RULE + i):
                m.d.sync += self.value.eq(fields)
                if i == 0:
                    m.d.sync += self.value[8:16].eq(rule.consecutive)
                with m.If(self.write):
                    m.d.sync += fields.eq(self.data)
                    if i == 0:
                        m.d.sync += rule.consecutive.eq(self.data[8:16])
        return m

    def _between(self, m: Module, step: Any, name: str) -> Signal:
        """Sum of `step` between the last two decisions."""
        running = Signal(32, name=f"running_{name}")
        last = Signal(32, name=name)
        m.d.sync += running.eq(running + step)
        with m.If(self.decided):
            m.d.sync += [last.eq(running), running.eq(step)]
        return last
