"""What follows a broadcast array: one post-processing row for all rows of the array, with its memories and writer.

    sums -> SerialPost -> ByteWriter -> activation memory, mirrors
              ^  ^  ^
      biases -+  |  +- tables
                 +---- mirrors

Second operands of elementwise products come from two mirrors of bytes: one of the hidden state, and one that features
and update gate share, since the gate is made when the features have been excited. A mirror's words lie at their
activation address modulo its depth.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from . import serial_post
from .byte_writer import ByteWriter
from .params import EngineParams
from .serial_drain import OPERAND_READ, WRITE, SerialDrainSequencer
from .serial_pool import SerialPool
from .serial_post import SerialPost
from .spram import BLOCK_BITS, BLOCK_WORDS, Spram

assert serial_post.LATENCY == WRITE
assert serial_post.TABLE_READ == OPERAND_READ


MAX_SUM_BITS = 2 * BLOCK_BITS - 5
"""Of a bias with its shift in two lanes."""


def weight_width(params: EngineParams) -> int:
    """Bits of a word of the weight memory: whole lanes."""
    return -(-8 * params.rows // BLOCK_BITS) * BLOCK_BITS


def bias_lanes(params: EngineParams) -> tuple[int, ...]:
    """The bias memory: of each channel the higher bits of its bias with its shift, and the lower 16 bits."""
    lanes: list[int] = []
    high = max(0, params.acc_width - BLOCK_BITS)
    for bias, shift in params.biases[0]:
        bits = bias & ((1 << params.acc_width) - 1)
        lanes += [bits >> BLOCK_BITS | shift << high, bits & 0xFFFF]
    return tuple(lanes)


def table_lanes(params: EngineParams) -> tuple[int, ...]:
    """The table memory: an entry a word."""
    return tuple(entry for table in params.tables for entry in table)


def boot_lanes(params: EngineParams) -> tuple[int, ...]:
    """What a boot loader writes: weights, biases and tables, each from the start of a block on."""
    lanes: list[int] = []
    per_word = weight_width(params) // BLOCK_BITS
    weights = (word >> (BLOCK_BITS * lane) & 0xFFFF for word in params.weights[0] for lane in range(per_word))
    for words in (weights, bias_lanes(params), table_lanes(params)):
        lanes += [0] * (-len(lanes) % BLOCK_WORDS)
        lanes += words
    return tuple(lanes)


def mirror_words(words: int) -> int:
    """Depth of a mirror that holds so many words in a row: a power of two."""
    return 1 << (words - 1).bit_length()


class SerialTail(wiring.Component):
    """Members
    -------
    start, sum : of the array.
    restart, skip, pass_done : see :class:`~rasca_hw.serial_drain.SerialDrainSequencer`.
    address, byte, lanes : a write to the activation memory.
    logit_valid, logit : in ascending order.
    trace_valid, trace : see :class:`~rasca_hw.byte_writer.ByteWriter`.
    biases, tables : memories that the engine may fill.
    """

    def __init__(self, params: EngineParams, *, steps: int, trace: data.StructLayout) -> None:
        self.params = params
        self.drain = SerialDrainSequencer(params, steps=steps)
        self.writer = ByteWriter(params, trace)
        lanes, entries = bias_lanes(params), table_lanes(params)
        self.biases = Spram(words=len(lanes), width=BLOCK_BITS, init=lanes)
        self.tables = Spram(words=len(entries), width=BLOCK_BITS, init=entries) if entries else None
        address = range(max(2, params.reach))
        super().__init__(
            {
                "start": In(1),
                "sum": In(signed(params.acc_width)),
                "restart": In(1),
                "skip": In(1),
                "pass_done": Out(1),
                "address": Out(address),
                "byte": Out(8),
                "lanes": Out(params.columns),
                "logit_valid": Out(1),
                "logit": Out(signed(params.acc_width)),
                "trace_valid": Out(1),
                "trace": Out(trace),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.drain = drain = self.drain
        m.submodules.writer = writer = self.writer
        m.submodules.post = post = SerialPost(acc_width=self.params.acc_width, elementwise=self.tables is not None)
        record = drain.record
        m.d.comb += [
            drain.start.eq(self.start),
            drain.restart.eq(self.restart),
            drain.skip.eq(self.skip),
            self.pass_done.eq(drain.pass_done),
            post.sum.eq(self.sum),
            post.relu.eq(record.relu),
            post.use_table.eq(record.use_table),
            post.mode.eq(record.mode),
            post.unsigned.eq(record.unsigned),
            post.operand_unsigned.eq(record.operand_unsigned),
            writer.value.eq(post.value),
            writer.pool.eq(record.pool),
            writer.unsigned.eq(record.unsigned),
            writer.instruction.eq(drain.instruction),
            self.address.eq(writer.memory_address),
            self.byte.eq(writer.byte),
            self.lanes.eq(Mux(record.to_memory | ~writer.plain, writer.lanes, 0)),
            self.logit.eq(post.total),
            self.trace_valid.eq(writer.trace_valid),
            self.trace.eq(writer.trace),
        ]
        m.d.comb += [
            getattr(writer, n).eq(getattr(drain, n)) for n in ("write", "fill", "address", "lane", "row", "done")
        ]
        m.d.sync += self.logit_valid.eq(drain.logit)
        self._bias(m, post)
        if self.tables is not None:
            m.submodules.tables = tables = self.tables
            m.d.comb += [tables.address.eq(Cat(post.table_index, record.table)), post.table_value.eq(tables.word)]
            hidden = self._mirror(m, "hidden", self.params.gate_depth, record.to_hidden)
            shared = self._mirror(m, "shared", self.params.shared_words, record.to_shared)
            m.d.comb += [post.operand.eq(Mux(record.from_shared, shared, hidden)), post.gate.eq(shared)]
        self._pool(m, post)
        return m

    def _bias(self, m: Module, post: SerialPost) -> None:
        """Higher half, lower half, and the shift a cycle later, since the column before still needs its own."""
        drain = self.drain
        m.submodules.biases = biases = self.biases
        high = max(0, self.params.acc_width - BLOCK_BITS)
        upper = Signal(high + 5)
        bias = Signal.like(post.bias)
        shift = Signal.like(post.shift)
        m.d.comb += [biases.address.eq(drain.bias_address), post.bias.eq(bias), post.shift.eq(shift)]
        with m.If(drain.bias_high):
            m.d.sync += upper.eq(biases.word)
        with m.If(drain.bias_low):
            m.d.sync += bias.eq(Cat(biases.word, upper[:high]))
        with m.If(drain.shift_load):
            m.d.sync += shift.eq(upper[high:])

    def _mirror(self, m: Module, name: str, words: int, enabled: Any) -> Any:
        depth = mirror_words(words) * self.params.columns
        m.submodules[name] = mirror = memory.Memory(shape=8, depth=depth, init=[])
        read, write = mirror.read_port(), mirror.write_port()
        drain = self.drain
        m.d.comb += [
            read.addr.eq(Cat(drain.operand_lane, drain.operand_address)),
            write.addr.eq(Cat(drain.lane, drain.address)),
            write.data.eq(self.writer.byte),
            write.en.eq(drain.write & enabled),
        ]
        return read.data

    def _pool(self, m: Module, post: SerialPost) -> None:
        params, drain = self.params, self.drain
        m.submodules.pool = pool = SerialPool(
            rows=params.rows, columns=params.state_columns, with_max=params.pool_max, spacing=params.columns
        )
        for r in range(params.rows):
            mine = drain.record.to_state & (drain.row == r)
            m.d.comb += [
                pool.values[r].eq(post.value),
                pool.valid[r].eq(drain.value & mine),
                pool.end[r].eq(drain.end & mine),
            ]
        m.d.comb += [self.writer.pooled_valid.eq(pool.done), self.writer.pooled.eq(pool.pooled)]
