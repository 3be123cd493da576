"""The drain sequencer of a broadcast array: the sums of all rows leave one after another.

Of each pass come row 0's columns, then row 1's, and so on; of each sum it says what becomes of it and where. What is
the same for a whole layer stays in the layer's record until the layer's last byte is written: a next layer's sums
come `LAYER_OVERHEAD` cycles later.

A word that is begun is filled: lanes past the end of a line of values get a stored zero, as the feeder expects, in the
cycles of columns past the end or, of a pooled layer, of even columns, which give no value.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .array import delay
from .params import EngineParams
from .program import Drain, Mode, encode, record_layout

OPERAND_READ = 2
"""Cycles from a sum to the read of its second operand."""
WRITE = 6
"""Cycles from a sum to the write of its byte."""
FLUSH = WRITE - 1
"""Cycles in which the last bytes of a layer are written."""
PRIME = 4
"""Cycles in which a bias is fetched."""
LAYER_OVERHEAD = FLUSH + 2 + PRIME
"""Cycles between two layers' sums in which no sum may come."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A layer as this sequencer needs it, see :class:`~rasca_hw.program.Drain`; counts are stored less one.

    bias_base : in groups of rows.
    out_block, limit : the last block that gives values, and its last column that does.
    beyond : there is one more block, which gives none.
    start : word in the mirrors where operands are read, and bytes written.
    distance : from there to the word in the activation memory.
    from_shared : the second operand is in the memory that features and update gate share.
    """

    bias_base: int
    out_rows: int
    groups: int
    blocks: int
    out_block: int
    limit: int
    beyond: bool
    last_rows: int
    pool: bool
    relu: bool
    table: int
    use_table: bool
    mode: int
    unsigned: bool
    operand_unsigned: bool
    start: int
    distance: int
    channel_step: int
    from_shared: bool
    to_memory: bool
    to_hidden: bool
    to_shared: bool
    to_state: bool
    logits: bool


def record(params: EngineParams, drain: Drain) -> Record:
    """Of a layer's drain half."""
    limit = 2 * drain.out_columns + 1 if drain.pool else drain.out_columns
    operand = drain.mode in (Mode.GATE, Mode.BLEND)
    start = drain.operand_base if operand else drain.base
    hidden = range(params.operand_base, params.operand_base + params.gate_depth)
    return Record(
        **{f.name: getattr(drain, f.name) for f in fields(Record) if hasattr(drain, f.name) and f.name != "bias_base"},
        bias_base=drain.bias_base // params.rows,
        out_block=limit // params.columns,
        limit=limit % params.columns,
        beyond=limit // params.columns < drain.blocks,
        start=start,
        distance=(drain.base - start) % (1 << (params.reach - 1).bit_length()),
        from_shared=start not in hidden,
        to_hidden=drain.to_operand and drain.base in hidden,
        to_shared=drain.to_gate or (drain.to_operand and drain.base not in hidden),
        logits=drain.mode == Mode.LOGITS,
    )


class SerialDrainSequencer(wiring.Component):
    """Members
    -------
    start : a pass's first sum comes in the next cycle.
    record : of the layer whose sums come.
    bias_address : lane of the bias memory: the higher half of the next row's bias in column C - 4, the lower one then.
    bias_high, bias_low, shift_load : pulses: those are there, and the first column's sum has got its bias.
    logit : a pulse with the first sum of a class.
    operand_address, operand_lane : place in the mirrors, `OPERAND_READ` cycles after the sum.
    write : a byte is written, `WRITE` cycles after its sum, to `lane` of the word at `address`; `fill` : it is a stored
        zero.
    row, value, end : that byte's row, whether it is a value, and the last one of its channel.
    done : with it, the word is complete; instruction : of that layer.
    pass_done : the last sum of a pass (a pulse).
    restart : go back to the start of the program; only while nothing is in flight.
    skip : the next step is not made, likewise.
    """

    def __init__(self, params: EngineParams, *, steps: int) -> None:
        self.params = params
        self.steps = steps
        made = [record(params, i.drain) for i in params.program]
        self.layout = record_layout(made)
        self.records = [encode(self.layout, r) for r in made]
        super().__init__(
            {
                "start": In(1),
                "record": Out(self.layout),
                "bias_address": Out(range(2 * max(2, len(params.biases[0])))),
                "bias_high": Out(1),
                "bias_low": Out(1),
                "shift_load": Out(1),
                "logit": Out(1),
                "operand_address": Out(range(max(2, params.reach))),
                "operand_lane": Out(range(params.columns)),
                "write": Out(1),
                "address": Out(range(max(2, params.reach))),
                "lane": Out(range(params.columns)),
                "fill": Out(1),
                "row": Out(range(max(2, params.rows))),
                "value": Out(1),
                "end": Out(1),
                "done": Out(1),
                "instruction": Out(range(max(2, len(params.program)))),
                "pass_done": Out(1),
                "restart": In(1),
                "skip": In(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        rows, columns = self.params.rows, self.params.columns
        m.submodules.program = rom = memory.Memory(
            shape=self.layout.size, depth=max(2, len(self.records)), init=self.records
        )
        read = rom.read_port()
        record = Signal(self.layout, reset_less=True)
        instruction = Signal.like(self.instruction)
        pc = Signal(range(len(self.records)))
        step = Signal(range(self.steps))
        m.d.comb += [read.addr.eq(pc), self.record.eq(record), self.instruction.eq(instruction)]

        draining = Signal()
        priming = Signal()
        column = Signal(range(columns))
        row = Signal(range(rows)) if rows > 1 else Const(0, 1)
        y = Signal.like(record.out_rows)
        g = Signal.like(record.groups)
        b = Signal.like(record.blocks)
        bias = Signal(range(max(2, len(self.params.biases[0]) // rows)))
        # First words of the channel at hand and of its group's first channel.
        own, first, following = (Signal.like(self.address, name=name) for name in ("own", "first", "following"))

        column_last, row_last = column == columns - 1, row == rows - 1
        last_block, last_group, last_row = b == record.blocks, g == 0, y == 0
        row_valid = ~last_group | (row <= record.last_rows)
        pass_last = draining & column_last & row_last
        m.d.comb += [
            self.pass_done.eq(pass_last),
            following.eq(own + Mux(row_valid, record.channel_step, 0)),
        ]

        with m.If(self.start):
            m.d.sync += draining.eq(1)
        with m.Elif(pass_last):
            m.d.sync += draining.eq(0)
        with m.If(draining | priming):
            m.d.sync += column.eq(column + 1)
            with m.If(column_last):
                m.d.sync += priming.eq(0)
                if rows > 1:
                    m.d.sync += row.eq(row + 1)
        with m.If(draining & column_last):
            m.d.sync += own.eq(following)
            with m.If(row_last & ~last_block):
                m.d.sync += [own.eq(first), b.eq(b + 1)]
            with m.If(row_last & last_block):
                m.d.sync += [first.eq(following), b.eq(0), g.eq(g - 1)]
                with m.If(last_group):
                    m.d.sync += [g.eq(record.groups), y.eq(y - 1)]
        # The next row's bias is read while this row's last columns leave.
        with m.If(draining & row_last & (column == columns - PRIME - 1) & last_block):
            m.d.sync += bias.eq(Mux(last_group, record.bias_base, bias + 1))
        next_row = (row + 1)[: (rows - 1).bit_length()]
        m.d.comb += [
            self.bias_address.eq(Cat(column != columns - PRIME, next_row, bias)),
            self.bias_high.eq(column == columns - PRIME + 1),
            self.bias_low.eq(column_last),
            self.shift_load.eq(column == 0),
            self.logit.eq(draining & record.logits & (column == 0) & row_valid),
        ]
        self._places(m, record, draining, column, row, row_valid, b, last_block, own)

        ended = pass_last & last_block & last_group & last_row
        flushing = Signal(range(FLUSH))
        with m.FSM(init="Refetch"):
            with m.State("Refetch"):
                m.next = "Fetch"
            with m.State("Fetch"):
                m.d.sync += [record.eq(read.data), instruction.eq(pc)]
                with m.If(pc == len(self.records) - 1):
                    m.d.sync += [pc.eq(self.params.loop), step.eq(step + 1)]
                    with m.If(step == self.steps - 1):
                        m.d.sync += [pc.eq(0), step.eq(0)]
                with m.Else():
                    m.d.sync += pc.eq(pc + 1)
                m.next = "Start"
            with m.State("Start"):
                m.d.sync += [
                    priming.eq(1),
                    column.eq(columns - PRIME),
                    y.eq(record.out_rows),
                    g.eq(record.groups),
                    b.eq(0),
                    bias.eq(record.bias_base),
                    own.eq(record.start),
                    first.eq(record.start),
                ]
                if rows > 1:
                    m.d.sync += row.eq(rows - 1)
                m.next = "Drain"
            with m.State("Drain"):
                m.d.sync += flushing.eq(FLUSH - 1)
                with m.If(ended):
                    m.next = "Flush"
                with m.If(self.skip):
                    m.d.sync += step.eq(step + 1)
                with m.If(self.restart | (self.skip & (step == self.steps - 1))):
                    m.d.sync += [pc.eq(0), step.eq(0)]
                    m.next = "Refetch"
            with m.State("Flush"):
                m.d.sync += flushing.eq(flushing - 1)
                with m.If(flushing == 0):
                    m.next = "Fetch"
        return m

    def _places(
        self,
        m: Module,
        record: Any,
        draining: Signal,
        column: Signal,
        row: Any,
        row_valid: Any,
        b: Signal,
        last_block: Any,
        own: Signal,
    ) -> None:
        """Where each sum's byte goes; a sum's row keeps its address for all of its columns."""
        odd, half = column[0], b[0]
        last_useful = b == record.out_block
        inside = ~last_useful | (column <= record.limit)
        useful = ~(record.beyond & last_block)
        sum_layout = data.StructLayout({"lane": range(self.params.columns), "write": 1, "fill": 1, "end": 1, "done": 1})
        at_sum = Signal(sum_layout)
        m.d.comb += [
            at_sum.lane.eq(Mux(record.pool, Cat(column[1:], half | ~odd), column)),
            at_sum.write.eq(
                draining & row_valid & useful & ~record.logits & (~record.pool | odd | (last_useful & ~half))
            ),
            at_sum.fill.eq(~inside | (record.pool & ~odd)),
            at_sum.end.eq(draining & row_valid & last_useful & (column == record.limit)),
            at_sum.done.eq(at_sum.write & (column == self.params.columns - 1) & (~record.pool | half | last_useful)),
        ]
        at_read = delay(m, at_sum, OPERAND_READ, name="at_read", reset_less=False)
        at_write = delay(m, at_read, WRITE - OPERAND_READ, name="at_write", reset_less=False)
        with m.If(column == OPERAND_READ - 1):
            m.d.sync += self.operand_address.eq(own + Mux(record.pool, b >> 1, b))
        with m.If(column == WRITE - 1):
            m.d.sync += [self.address.eq(self.operand_address + record.distance), self.row.eq(row)]
        m.d.comb += [
            self.operand_lane.eq(at_read.lane),
            self.write.eq(at_write.write),
            self.lane.eq(at_write.lane),
            self.fill.eq(at_write.fill),
            self.value.eq(at_write.write & ~at_write.fill),
            self.end.eq(at_write.end),
            self.done.eq(at_write.done),
        ]
