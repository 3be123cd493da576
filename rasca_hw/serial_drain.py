"""The drain sequencer of a broadcast array: all rows' sums leave one after another through one post-processing row.

As :class:`~rasca_hw.drain.DrainSequencer`, but of each pass row after row: what a row begins a block of columns with,
half a word perhaps, all rows begin it with.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory

from .drain import DrainSequencer


class SerialDrainSequencer(DrainSequencer):
    """Members as those of :class:`~rasca_hw.drain.DrainSequencer`; `control.rows` is one bit, and `control.row` says
    which row it is.
    """

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        program = len(self.records)
        rows, columns = self.params.rows, self.params.columns
        m.submodules.program = rom = memory.Memory(shape=self.layout.size, depth=program, init=self.records)
        read = rom.read_port()
        record = Signal(self.layout, reset_less=True)
        control = Signal(self.control_layout)
        pc = Signal(range(program))
        current = Signal(range(program))
        step = Signal(range(self.steps))
        m.d.comb += [read.addr.eq(pc), self.control.eq(control)]

        column = Signal(range(columns))
        row = Signal(range(rows))
        y = Signal.like(record.out_rows)
        g = Signal.like(record.groups)
        b = Signal(range(1 << len(record.blocks)))
        # Of the channel at hand, and of the group's first one.
        channel = data.StructLayout(
            {
                "bias": control.bias_address.shape(),
                "operand": control.operand_address.shape(),
                "address": control.address.shape(),
                "state": control.state_address.shape(),
            }
        )
        own, first, following = (Signal(channel, name=name) for name in ("own", "first", "following"))
        m.d.comb += [
            following.bias.eq(own.bias + 1),
            following.operand.eq(own.operand + record.blocks + 1),
            following.address.eq(own.address + record.channel_step),
            following.state.eq(own.state + 1),
        ]
        row_address = Signal.like(control.address)
        # Where in its line of values a row is; all rows of a block begin with the same.
        place = data.StructLayout(
            {
                "left": record.out_columns.shape(),
                "open": 1,
                "odd": 1,
                "lane": range(columns),
                "word": control.address.shape(),
            }
        )
        now, later, begin = (Signal(place, name=name) for name in ("now", "later", "begin"))

        column_last = column == columns - 1
        row_last = row == rows - 1
        last_block, last_group, last_row = b == record.blocks, g == 0, y == 0
        emit = now.open & (~record.pool | now.odd)
        done = (now.left == 0) | (now.lane == columns - 1)
        m.d.sync += [
            control.valid.eq(self.valid),
            control.load.eq(self.valid & (column == 0)),
            control.emit.eq(self.valid & emit),
            control.done.eq(self.valid & emit & done),
            control.end.eq(self.valid & emit & (now.left == 0)),
            control.rows.eq(~last_group | (row <= record.last_rows)),
            control.row.eq(row),
            control.lane.eq(now.lane),
            control.bias_address.eq(own.bias),
            control.operand_address.eq(own.operand + b),
            control.address.eq(own.address + now.word),
            control.state_address.eq(own.state),
            control.instruction.eq(current),
        ]
        self._pass_on(m, record, control)

        m.d.comb += later.eq(now)
        with m.If(self.valid):
            m.d.comb += later.odd.eq(~now.odd)
            with m.If(emit):
                m.d.comb += [later.left.eq(now.left - 1), later.lane.eq(Mux(done, 0, now.lane + 1))]
                m.d.comb += [later.word.eq(now.word + done), later.open.eq(now.left != 0)]
            m.d.sync += [now.eq(later), column.eq(Mux(column_last, 0, column + 1))]

        def start_line() -> None:
            for signal in (now, begin):
                m.d.sync += signal.eq(place.const({"open": 1}))
                m.d.sync += signal.left.eq(record.out_columns)
            m.d.sync += b.eq(0)

        def start_channels(values: Any) -> None:
            m.d.sync += [own.eq(values), first.eq(values)]

        m.d.comb += self.pass_done.eq(self.valid & column_last & row_last)
        with m.If(self.valid & column_last):
            with m.If(~row_last):
                m.d.sync += [row.eq(row + 1), own.eq(following), now.eq(begin)]
            with m.Else():
                m.d.sync += [row.eq(0), begin.eq(later)]
                with m.If(~last_block):
                    m.d.sync += [b.eq(b + 1), own.eq(first)]
                with m.Elif(~last_group):
                    start_line()
                    start_channels(following)
                    m.d.sync += g.eq(g - 1)
                with m.Elif(~last_row):
                    start_line()
                    start_channels(first)
                    m.d.sync += [y.eq(y - 1), g.eq(record.groups), row_address.eq(row_address + record.row_step)]
                    for signal in (own, first):
                        m.d.sync += [
                            signal.bias.eq(record.bias_base),
                            signal.operand.eq(record.operand_base),
                            signal.address.eq(row_address + record.row_step),
                        ]

        def start_layer() -> None:
            start_line()
            for signal in (own, first):
                m.d.sync += [
                    signal.bias.eq(record.bias_base),
                    signal.operand.eq(record.operand_base),
                    signal.address.eq(record.base),
                    signal.state.eq(record.state_base),
                ]
            m.d.sync += [
                column.eq(0),
                row.eq(0),
                y.eq(record.out_rows),
                g.eq(record.groups),
                row_address.eq(record.base),
            ]

        def fetch() -> None:
            m.d.sync += [record.eq(read.data), current.eq(pc)]

        self._layers(m, pc, step, fetch, start_layer, self.pass_done & last_block & last_group & last_row)
        return m
