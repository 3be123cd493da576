"""The drain sequencer: says what becomes of each sum that leaves an array.

It runs the same program as the issue sequencer but is driven by the sums of row 0 alone: each counts one column. What
it decides travels with the sum through the post-processing stages and from row to row, a cycle each.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .params import EngineParams
from .program import Mode, encode, record_layout


def control_layout(params: EngineParams, bias_depth: int) -> data.StructLayout:
    """What accompanies a sum; addresses are those of the first row."""
    return data.StructLayout(
        {
            "rows": params.rows,  # one bit for each row that holds a channel
            "valid": 1,  # a sum
            "load": 1,  # first column of a pass
            "emit": 1,  # makes an output value (every second column where pooled)
            "done": 1,  # completes a word
            "end": 1,  # last column of the row
            "lane": range(params.columns),
            "bias_address": range(bias_depth),
            "operand_address": range(max(2, params.reach)),
            "operand_step": range(max(2, params.reach)),
            "address": range(max(2, params.reach)),
            "address_step": range(max(2, params.reach)),
            "state_address": range(max(2, params.reach)),
            "instruction": range(max(2, len(params.program))),
            "relu": 1,
            "use_table": 1,
            "table": 2,
            "mode": 3,
            "unsigned": 1,
            "operand_unsigned": 1,
            "pool": 1,
            "to_memory": 1,
            "to_operand": 1,
            "to_gate": 1,
            "to_features": 1,
            "to_state": 1,
            "to_scratch": 1,
            "to_softmax": 1,
            "residual": 3,
            "fraction": 3,
        }
    )


LAYER_OVERHEAD = 2
"""Cycles between two layers' columns in which no sum may come."""


class DrainSequencer(wiring.Component):
    """Members
    -------
    valid : a sum of row 0, column after column, pass after pass.
    control : what to do with it, a cycle later.
    pass_done : the last column of a pass (a pulse).
    restart : go back to the start of the program; only while nothing is in flight.
    skip : the next step is not made, likewise.
    """

    def __init__(self, params: EngineParams, *, steps: int) -> None:
        self.params = params
        self.steps = steps
        halves = [i.drain for i in params.program]
        self.layout = record_layout(halves)
        self.records = [encode(self.layout, h) for h in halves]
        self.control_layout = control_layout(params, len(params.biases[0]) + params.rows)
        super().__init__(
            {
                "valid": In(1),
                "control": Out(self.control_layout),
                "pass_done": Out(1),
                "restart": In(1),
                "skip": In(1),
            }
        )

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
        y = Signal.like(record.out_rows)
        g = Signal.like(record.groups)
        b = Signal.like(record.blocks)
        left = Signal.like(record.out_columns)
        row_open = Signal()
        odd = Signal()
        lane = Signal(range(columns))
        # The value at hand is a word's or a row's last one, if it is one.
        done = Signal()
        row_done = Signal()
        bias = Signal.like(control.bias_address)
        operand = Signal.like(control.operand_address)
        group_operand = Signal.like(control.operand_address)
        next_operand = Signal.like(control.operand_address)
        address = Signal.like(control.address)
        group_address = Signal.like(control.address)
        row_address = Signal.like(control.address)
        next_row = Signal.like(control.address)
        next_address = Signal.like(control.address)
        state = Signal.like(control.state_address)
        first_column = Signal(init=1)
        column_last = Signal()
        last_step = Signal(init=self.steps == 1)
        # Registers a cycle behind: what they tell of changes at most once a pass, which has two columns or more.
        last_block = Signal()
        last_group = Signal()
        last_row = Signal()
        program_ends = Signal()
        operand_step = Signal.like(control.operand_address)
        address_step = Signal.like(control.address)
        m.d.sync += [
            last_block.eq(b == 0),
            last_group.eq(g == 0),
            last_row.eq(y == 0),
            program_ends.eq(pc == program - 1),
            operand_step.eq(self._times_rows(record.blocks + 1)),
            address_step.eq(self._times_rows(record.channel_step)),
            next_row.eq(row_address + record.row_step),
            next_operand.eq(group_operand + operand_step),
            next_address.eq(Mux(g == 0, row_address + record.row_step, group_address + address_step)),
        ]
        emit = row_open & (~record.pool | odd)

        m.d.sync += [
            control.valid.eq(self.valid),
            control.load.eq(self.valid & first_column),
            control.emit.eq(self.valid & emit),
            control.done.eq(self.valid & emit & done),
            control.end.eq(self.valid & emit & row_done),
            control.rows.eq(Mux(g == 0, (2 << record.last_rows) - 1, (1 << rows) - 1)),
            control.lane.eq(lane),
            control.bias_address.eq(bias),
            control.operand_address.eq(operand),
            control.operand_step.eq(record.blocks + 1),
            control.address.eq(address),
            control.address_step.eq(record.channel_step),
            control.state_address.eq(state),
            control.instruction.eq(current),
        ]
        for name in ("relu", "use_table", "table", "mode", "unsigned", "operand_unsigned", "pool"):
            m.d.sync += control[name].eq(record[name])
        for name in ("to_memory", "to_operand", "to_gate", "to_features", "to_state", "to_scratch", "to_softmax"):
            m.d.sync += control[name].eq(record[name])
        for name in ("residual", "fraction"):
            m.d.sync += control[name].eq(record[name])
        with m.If(record.mode == Mode.LOGITS):
            m.d.sync += [control.emit.eq(0), control.done.eq(0), control.end.eq(0)]
        with m.If(record.to_softmax):
            # The softmax unit makes the words.
            m.d.sync += control.done.eq(0)

        def start_row() -> None:
            m.d.sync += [
                left.eq(record.out_columns),
                row_done.eq(record.out_columns == 0),
                done.eq(record.out_columns == 0),
                row_open.eq(1),
                odd.eq(0),
                lane.eq(0),
                b.eq(record.blocks),
            ]

        # The walk, outside the states: sums come only while draining. A layer is taken up in the cycle after its fetch.
        pass_done = Signal()
        taken_up = Signal()
        m.d.comb += [pass_done.eq(self.valid & column_last), self.pass_done.eq(pass_done)]
        with m.If(self.valid):
            m.d.sync += [
                column.eq(Mux(column_last, 0, column + 1)),
                first_column.eq(column_last),
                column_last.eq(column == columns - 2),
                odd.eq(~odd),
            ]
            with m.If(emit):
                m.d.sync += [
                    left.eq(left - 1),
                    lane.eq(lane + 1),
                    row_done.eq(left == 1),
                    done.eq((left == 1) | (~done & (lane == columns - 2))),
                ]
                with m.If(done):
                    m.d.sync += [lane.eq(0), address.eq(address + 1)]
                with m.If(row_done):
                    m.d.sync += row_open.eq(0)
        with m.If(pass_done & ~last_block):
            m.d.sync += [b.eq(b - 1), operand.eq(operand + 1)]
        with m.If(pass_done & last_block):
            start_row()
            m.d.sync += [
                g.eq(Mux(last_group, record.groups, g - 1)),
                bias.eq(Mux(last_group, record.bias_base, bias + rows)),
                operand.eq(next_operand),
                group_operand.eq(next_operand),
                address.eq(next_address),
                group_address.eq(next_address),
                state.eq(state + rows),
            ]
        with m.If(pass_done & last_block & last_group):
            m.d.sync += [y.eq(y - 1), row_address.eq(next_row)]
        m.d.sync += taken_up.eq(0)
        with m.If(taken_up):
            start_row()
            m.d.sync += [
                y.eq(record.out_rows),
                g.eq(record.groups),
                bias.eq(record.bias_base),
                operand.eq(record.operand_base),
                group_operand.eq(record.operand_base),
                address.eq(record.base),
                group_address.eq(record.base),
                row_address.eq(record.base),
                state.eq(record.state_base),
            ]

        def new_frame() -> None:
            """From the program's start."""
            m.d.sync += [pc.eq(0), step.eq(0), last_step.eq(self.steps == 1)]

        def next_step() -> None:
            """Counts a step."""
            m.d.sync += [step.eq(step + 1), last_step.eq(step == self.steps - 2)]
            with m.If(last_step):
                new_frame()

        with m.FSM(init="Refetch"):
            with m.State("Refetch"):
                m.next = "Fetch"
            with m.State("Fetch"):
                m.d.sync += [record.eq(read.data), current.eq(pc), pc.eq(pc + 1), taken_up.eq(1)]
                with m.If(program_ends):
                    m.d.sync += pc.eq(self.params.loop)
                    next_step()
                m.next = "Start"
            with m.State("Start"):
                m.next = "Drain"
            with m.State("Drain"):
                with m.If(pass_done & last_block & last_group & last_row):
                    m.next = "Fetch"
                with m.If(self.skip):
                    next_step()
                with m.If(self.restart):
                    new_frame()
                with m.If(self.restart | (self.skip & last_step)):
                    m.next = "Refetch"
        return m

    def _times_rows(self, value: Any) -> Any:
        """`value * rows` by shifts and adds: no multiplier for an address."""
        total: Any = 0
        for bit in range(self.params.rows.bit_length()):
            if self.params.rows >> bit & 1:
                total = total + (value << bit)
        return total
