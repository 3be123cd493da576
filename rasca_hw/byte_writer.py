"""Max-pool and write, byte by byte, for an engine whose rows leave one after another.

A word that is half done when its row gives way to the next one is nowhere but in memory.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .array import delay
from .params import EngineParams


class ByteWriter(wiring.Component):
    """Members
    -------
    value : stored byte of this cycle; that of the cycle before is its neighbour where values are pooled.
    pool, unsigned : of the layer.
    write, fill, address, lane, row, done, instruction : as :class:`~rasca_hw.serial_drain.SerialDrainSequencer` says.
    pooled_valid, pooled : pooled values of the state, from the first channel to the last; only while nothing else is
        written. They are words of one lane; nobody reads the others.
    memory_address, byte, lanes, plain : a write in the same cycle, `plain` where it is not a pooled value of the state.
    trace_valid, trace : the finished word a cycle later, for simulation alone: it is in memory already.
    """

    def __init__(self, params: EngineParams, trace: data.StructLayout) -> None:
        self.rows = params.rows
        self.columns = params.columns
        self.pooled_at, drain = next((i, x.drain) for i, x in enumerate(params.program) if x.drain.to_state)
        self.pooled_base = drain.state_base
        self.channels = drain.groups * params.rows + drain.last_rows + 1
        address = range(max(2, params.reach))
        super().__init__(
            {
                "value": In(8),
                "pool": In(1),
                "unsigned": In(1),
                "write": In(1),
                "fill": In(1),
                "address": In(address),
                "lane": In(range(params.columns)),
                "row": In(range(max(2, params.rows))),
                "done": In(1),
                "instruction": In(range(max(2, len(params.program)))),
                "pooled_valid": In(1),
                "pooled": In(8),
                "memory_address": Out(address),
                "byte": Out(8),
                "lanes": Out(params.columns),
                "plain": Out(1),
                "trace_valid": Out(1),
                "trace": Out(trace),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        value, before = self.value.as_signed(), delay(m, self.value, 1, name="before").as_signed()
        largest = Mux(self.pool & (before > value), before, value)
        channel = Signal(range(self.channels))
        pooled_address = Signal.like(self.address)
        m.d.comb += [
            pooled_address.eq(self.pooled_base + channel),
            self.plain.eq(~self.pooled_valid),
            self.memory_address.eq(self.address),
            self.byte.eq(Mux(self.fill, self.unsigned << 7, largest)),
            self.lanes.eq(Mux(self.write, Const(1) << self.lane, 0)),
        ]
        with m.If(self.pooled_valid):
            m.d.sync += channel.eq(Mux(channel == self.channels - 1, 0, channel + 1))
            m.d.comb += [
                self.memory_address.eq(pooled_address),
                self.byte.eq(self.pooled),
                self.lanes.eq(1),
            ]
        self._trace(m, pooled_address)
        return m

    def _trace(self, m: Module, pooled_address: Signal) -> None:
        """Each row's word, collected from its bytes."""
        words = [Signal(data.ArrayLayout(8, self.columns), name=f"word{r}") for r in range(self.rows)]
        for r, word in enumerate(words):
            with m.If(self.write & (self.row == r)):
                m.d.sync += word[self.lane].eq(self.byte)
        late = Signal.like(self.trace)
        m.d.comb += self.trace.eq(late)
        row = delay(m, self.row, 1, name="row")
        m.d.sync += [
            self.trace_valid.eq(self.pooled_valid | self.done),
            late.address.eq(Mux(self.pooled_valid, pooled_address, self.address)),
            late.instruction.eq(Mux(self.pooled_valid, self.pooled_at, self.instruction)),
        ]
        pooled = Signal(9)
        m.d.sync += pooled.eq(Cat(self.pooled, self.pooled_valid))
        m.d.comb += self.trace.word.eq(Mux(pooled[8], pooled[:8], Array(words)[row].as_value()))
