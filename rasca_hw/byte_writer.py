"""Max-pool and write, byte by byte, for an engine whose rows leave one after another.

A word that is half done when its row gives way to the next one is nowhere but in memory. Lanes past the end of a line
of values must hold a stored zero, as the feeder expects: they are written in the cycle after the line's last value,
which is free, since a block with such lanes has columns left that give no value, and of a pooled layer only every
second column gives one.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .array import delay
from .packer import Packer
from .params import EngineParams

DESTINATIONS = ("to_memory", "to_operand", "to_gate")


class ByteWriter(wiring.Component):
    """Members
    -------
    control, value : a stored byte, with what is to become of it.
    pooled_valid, pooled : pooled values of the state, from the first channel to the last; only while nothing else is
        written.
    address, word, lanes, to : a write, up to two cycles later.
    write_valid, write : the finished word, for simulation alone: it is in memory already.
    """

    def __init__(self, params: EngineParams, control: data.StructLayout, write: data.StructLayout) -> None:
        self.rows = params.rows
        self.columns = params.columns
        self.pooled_at, drain = next((i, x.drain) for i, x in enumerate(params.program) if x.drain.to_state)
        self.pooled_base = drain.state_base
        self.channels = drain.groups * params.rows + drain.last_rows + 1
        super().__init__(
            {
                "control": In(control),
                "value": In(8),
                "pooled_valid": In(1),
                "pooled": In(8),
                "address": Out(control["address"].shape),
                "word": Out(data.ArrayLayout(8, params.columns)),
                "lanes": Out(params.columns),
                "to": Out(data.StructLayout(dict.fromkeys(DESTINATIONS, 1))),
                "write_valid": Out(1),
                "write": Out(write),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        control, columns = self.control, self.columns
        now = delay(m, control, 1, name="now", reset_less=False)
        ended = delay(m, now, 1, name="ended", reset_less=False)
        value = self.value.as_signed()
        even = Signal.like(value, name="even", reset_less=True)
        byte = Signal(8, reset_less=True)
        with m.If(control.valid):
            m.d.sync += even.eq(value)
        m.d.sync += byte.eq(Mux(control.pool & (even > value), even, value))

        channel = Signal(range(self.channels))
        pooled_address = Signal.like(self.address)
        m.d.comb += pooled_address.eq(self.pooled_base + channel)
        with m.If(self.pooled_valid):
            m.d.sync += channel.eq(Mux(channel == self.channels - 1, 0, channel + 1))

        first, others = Signal(8), Signal(8)
        m.d.comb += [
            self.address.eq(now.address),
            self.lanes.eq(Mux(now.emit & now.rows[0], Const(1) << now.lane, 0)),
            first.eq(byte),
            others.eq(byte),
        ]
        m.d.comb += [self.to[name].eq(now[name]) for name in DESTINATIONS]
        with m.If(self.pooled_valid):
            m.d.comb += [self.address.eq(pooled_address), self.lanes.eq((1 << columns) - 1)]
            m.d.comb += [first.eq(self.pooled), others.eq(0)]
            m.d.comb += [self.to[name].eq(name == "to_memory") for name in DESTINATIONS]
        with m.Elif(ended.end & ended.rows[0] & (ended.lane != columns - 1)):
            fill = ended.unsigned << 7
            m.d.comb += [
                self.address.eq(ended.address),
                self.lanes.eq(Cat(ended.lane < lane for lane in range(columns))),
                first.eq(fill),
                others.eq(fill),
            ]
            m.d.comb += [self.to[name].eq(ended[name]) for name in DESTINATIONS]
        m.d.comb += self.word.eq(Cat(first, *[others] * (columns - 1)))
        self._trace(m, now, byte, pooled_address)
        return m

    def _trace(self, m: Module, now: Any, byte: Signal, pooled_address: Signal) -> None:
        """Words as a packer for each row would make them."""
        packers = [Packer(self.columns) for _ in range(self.rows)]
        for r, packer in enumerate(packers):
            m.submodules[f"packer{r}"] = packer
            m.d.comb += [
                packer.valid.eq(self.control.emit & (self.control.row == r)),
                packer.value.eq(byte),
                packer.lane.eq(self.control.lane),
                packer.fill.eq(self.control.unsigned << 7),
            ]
        written = delay(m, now, 1, name="written", reset_less=False)
        m.d.comb += [
            self.write_valid.eq(self.pooled_valid | (written.done & written.rows[0])),
            self.write.address.eq(written.address),
            self.write.word.eq(Array(packer.word for packer in packers)[written.row]),
            self.write.instruction.eq(written.instruction),
        ]
        with m.If(self.pooled_valid):
            m.d.comb += [
                self.write.address.eq(pooled_address),
                self.write.word.eq(self.pooled),
                self.write.instruction.eq(self.pooled_at),
            ]
