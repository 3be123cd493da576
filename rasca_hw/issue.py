"""The issue sequencer: walks over a program's layers and reads one tap a cycle.

    for y in output rows: for g in channel groups: for b in blocks of columns:    one pass
        for i in taps (kernel row, input channel): for the windows of a wide kernel:    one cycle

A pass never stops; the sequencer waits between passes only: `delay` cycles before a layer (for results it depends
on), for rows of the line buffer, for features and for the credit to send some.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from .feeder import Tap
from .params import EngineParams
from .program import Weights, encode, record_layout

LAYER_OVERHEAD = 2
"""Cycles a layer takes beside its rows, delay and waits: fetch and start."""
ROW_OVERHEAD = 1
"""Cycles each output row takes beside its passes and gaps."""
STEP_OVERHEAD = 2
"""Cycles from one step's last layer to the next one's first."""


HANDSHAKE = wiring.Signature(
    {
        "rows_available": In(8),
        "rows_done": Out(4),
        "features_full": In(1),
        "features_taken": Out(1),
        "credit": In(1),
        "credit_taken": Out(1),
        "credit_given": Out(1),
        "abort": In(1),
        "restart": Out(1),
        "rule_enabled": In(1),
        "gated": Out(1),
        "opened": Out(1),
        "passed": In(8),
        "parity": In(1),
        "skip": In(1),
        "skipped": Out(1),
        "before_skipped": In(1),
    }
)
"""What an engine waits for, and what it tells those who wait for it.

rows_available, rows_done : kernel rows the line buffer holds; how many it may free (a pulse).
features_full, features_taken : received features (taken: a pulse at the start of the reading layer).
credit, credit_taken, credit_given : leave to send features; given: a pulse when received ones are no longer read.
abort, restart : the frame was truncated: once nothing more is in flight, start over (a pulse).
rule_enabled, gated : early termination is on; the first engine's frame is under it, and each step waits for the verdict
    on the one before.
opened : a frame's first step starts (a pulse).
passed, parity, skip : that verdict, see :class:`~rasca_hw.termination.Termination`.
skipped, before_skipped : this engine passed over a group, the engine before did (pulses).
"""


class IssueSequencer(wiring.Component):
    """Members
    -------
    tap, address, weight_address, lines, first, last : the tap of this cycle, where `active`.
    weights : where its weights come from; of the operand memory word at `lane_address` those of `lane_group`.
    products : products that count (valid rows x valid columns of one group), two cycles after the tap.
    handshake : see `HANDSHAKE`.
    drained : all started passes have been drained.
    skip : a step is left out (a pulse).
    """

    def __init__(
        self, params: EngineParams, *, steps: int, rows: int, kernel_height: int, line_words: int, row_words: int
    ):
        self.params = params
        self.steps = steps
        self.rows = rows
        self.kernel_height = kernel_height
        self.line_words = line_words
        self.row_words = row_words
        halves = [i.issue for i in params.program]
        self.layout = record_layout(halves)
        self.records = [encode(self.layout, h) for h in halves]
        scratch = params.spatial.scratch if params.spatial else 0
        super().__init__(
            {
                "active": Out(1),
                "tap": Out(Tap),
                "address": Out(range(max(params.depth, line_words) + 2)),
                "weight_address": Out(range(max(2, len(params.weights[0]), scratch))),
                "weights": Out(Weights),
                "lane_address": Out(range(max(2, params.operand_depth))),
                "lane_group": Out(range(max(2, -(-params.columns // params.rows)))),
                "lines": Out(1),
                "first": Out(1),
                "last": Out(1),
                "products": Out(range(params.rows * params.columns + 1)),
                "handshake": Out(HANDSHAKE),
                "drained": In(1),
                "skip": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        handshake = self.handshake
        program = len(self.records)
        m.submodules.program = rom = memory.Memory(shape=self.layout.size, depth=program, init=self.records)
        read = rom.read_port()
        pc = Signal(range(program + 1))
        record = Signal(self.layout, reset_less=True)
        step = Signal(range(self.steps))
        m.d.comb += read.addr.eq(pc)

        delay = Signal.like(record.delay)
        gap = Signal.like(record.gap)
        y = Signal.like(record.out_rows)
        g = Signal.like(record.groups)
        b = Signal.like(record.blocks)
        tap = Signal.like(record.taps)
        window = Signal(2)
        row_start = Signal.like(self.address)
        pass_start = Signal.like(self.address)
        tap_start = Signal.like(self.address)
        address = Signal.like(self.address)
        group_weights = Signal.like(self.weight_address)
        weights = Signal.like(self.weight_address)
        next_weights = Signal.like(self.weight_address)
        rows_needed = Signal(8)
        first = Signal()
        passing = Signal()
        idle = Signal()
        ending = Signal()
        row_ends = Signal()
        abort = self._flag(m, handshake.abort, "abort_seen")
        line_start = Signal.like(self.address, init=1)
        # Whether the next layer is a step's first, and where it starts.
        opens = Signal()
        parity = Signal()
        gate = Signal()
        judged = Signal()
        owed = Signal(8)
        m.d.comb += [
            gate.eq(Mux(step == 0, handshake.rule_enabled, handshake.gated)),
            handshake.skipped.eq(self.skip & bool(self.params.reads_lines)),
        ]
        m.d.sync += judged.eq((handshake.passed == step) & (handshake.parity == parity))
        m.d.sync += owed.eq(owed + handshake.before_skipped - (self.skip & (not self.params.reads_lines)))

        # What a pass ends with is known before: ends are flags, computed a cycle ahead or, where nothing changes within
        # a pass of at least two cycles, a cycle behind.
        last = Signal()
        end = Signal()
        single = self._flag(m, ~record.wide & (record.taps == 0), "single")
        no_gap = self._flag(m, record.gap == 0, "no_gap")
        last_block = self._flag(m, b == 0, "last_block")
        last_group = self._flag(m, g == 0, "last_group")
        last_row = self._flag(m, y == 0, "last_row")
        next_last = ~idle & Mux(record.wide, (tap == 0) & (window == 1), tap == 1)
        tap_stride = Stride(self, m, record.tap_step, record.lines, "tap")
        row_stride = Stride(self, m, record.row_step, record.lines, "row")
        line_stride = Stride(self, m, self.rows * self.row_words, 1, "line")

        m.d.comb += [
            self.active.eq(passing & ~idle),
            ending.eq(passing & end),
            row_ends.eq(ending & last_block & last_group),
            next_weights.eq(weights + self.active),
            self.tap.window.eq(window),
            self.tap.left_edge.eq(b == record.blocks),
            self.tap.right_edge.eq(b == 0),
            self.tap.pad_low.eq(record.pad_low),
            self.address.eq(address),
            self.weight_address.eq(weights),
            self.weights.eq(record.weights),
            self.lines.eq(record.lines),
            self.first.eq(self.active & first),
            self.last.eq(self.active & last),
        ]
        valid_rows = Signal(range(self.params.rows + 1))
        valid_columns = Signal(range(self.params.columns + 1))
        m.d.sync += [
            valid_rows.eq(Mux(g == 0, record.last_rows + 1, self.params.rows)),
            valid_columns.eq(Mux(b == 0, record.last_columns + 1, self.params.columns)),
        ]
        with m.If(~(self.active & record.counts)):
            m.d.sync += [valid_rows.eq(0), valid_columns.eq(0)]
        m.d.sync += self.products.eq(valid_rows * valid_columns)

        def start_pass(start: Any) -> None:
            m.d.sync += [
                pass_start.eq(start),
                tap_start.eq(start),
                address.eq(start),
                tap.eq(record.taps),
                window.eq(~record.wide),
                first.eq(1),
                last.eq(single),
                end.eq(single & no_gap),
                self.lane_address.eq(record.weight_base),
            ]

        # The walk itself: free-running where it can be, since `Row` sets everything before a row's first pass.
        m.d.sync += [
            first.eq(0),
            weights.eq(next_weights),
            last.eq(next_last),
            end.eq(Mux(no_gap, next_last, Mux(idle, gap == 2, last & (record.gap == 1)))),
        ]
        with m.If(record.wide & (window != 2)):
            m.d.sync += [window.eq(window + 1), address.eq(self._next(address, record.lines))]
        with m.Else():
            next_start = tap_stride.after(tap_start)
            m.d.sync += [
                window.eq(~record.wide),
                tap.eq(tap - 1),
                tap_start.eq(next_start),
                address.eq(next_start),
                self.lane_address.eq(self.lane_address + record.tap_step),
            ]
        with m.If(last):
            m.d.sync += [idle.eq(1), gap.eq(record.gap)]
        with m.Else():
            m.d.sync += gap.eq(gap - 1)
        if self.params.broadcast:
            # Where nothing is passed on by registers, all before the array stands still with the walk.
            with m.If(~passing):
                m.d.sync += [counter.eq(counter) for counter in (address, window, tap, tap_start, gap)]
        with m.If(ending):
            m.d.sync += idle.eq(0)
            with m.If(~last_block):
                m.d.sync += [b.eq(b - 1), weights.eq(group_weights)]
                start_pass(pass_start + 1)
            with m.Elif(~last_group):
                m.d.sync += [
                    g.eq(g - 1),
                    b.eq(record.blocks),
                    group_weights.eq(next_weights),
                    self.lane_group.eq(self.lane_group + 1),
                ]
                start_pass(row_start - record.wide)
        with m.If(row_ends & ~last_row):
            m.d.comb += handshake.rows_done.eq(record.frees)
            m.d.sync += [
                y.eq(y - 1),
                row_start.eq(row_stride.after(row_start)),
                rows_needed.eq(rows_needed + ~record.frees),
            ]
        with m.If(row_ends & last_row & record.frees):
            m.d.comb += handshake.rows_done.eq(self.kernel_height)
            m.d.sync += line_start.eq(line_stride.after(line_start))

        with m.FSM(init="Refetch"):
            with m.State("Fetch"):
                m.d.sync += record.eq(read.data)
                with m.If(pc == program):
                    m.d.sync += pc.eq(self.params.loop)
                    m.d.sync += step.eq(step + 1)
                    with m.If(step == self.steps - 1):
                        m.d.sync += [pc.eq(0), step.eq(0), parity.eq(~parity)]
                    m.next = "Refetch"
                with m.Else():
                    m.d.sync += [pc.eq(pc + 1), opens.eq(pc == self.params.loop)]
                    m.d.sync += delay.eq(self.layout(read.data).delay)
                    m.next = "Start"
            with m.State("Refetch"):
                m.next = "Fetch"
            with m.State("Start"):
                features_ok = ~record.wait_features | handshake.features_full
                credit_ok = ~record.wait_credit | handshake.credit
                with m.If(delay != 0):
                    m.d.sync += delay.eq(delay - 1)
                if self.params.reads_lines:
                    with m.Elif(opens & gate & ~judged):
                        pass
                    with m.Elif(opens & (step == 0) & (handshake.rows_available < self.kernel_height)):
                        # A frame opens with its first rows, and is under the rule that is set then.
                        with m.If(abort & self.drained):
                            m.next = "Restart"
                    with m.Elif(opens & gate & handshake.skip):
                        with m.If(self.drained & (handshake.rows_available >= self.rows)):
                            m.d.comb += [self.skip.eq(1), handshake.rows_done.eq(self.rows)]
                            m.d.sync += line_start.eq(line_stride.after(line_start))
                        with m.Elif(abort & self.drained):
                            m.next = "Restart"
                else:
                    with m.Elif(opens & (owed != 0)):
                        m.d.comb += self.skip.eq(self.drained)
                with m.Elif(features_ok & credit_ok):
                    m.d.comb += [
                        handshake.features_taken.eq(record.wait_features),
                        handshake.credit_taken.eq(record.wait_credit),
                    ]
                    m.d.sync += [
                        rows_needed.eq(self.kernel_height),
                        y.eq(record.out_rows),
                        row_start.eq(Mux(record.lines, line_start, record.base)),
                    ]
                    with m.If(opens):
                        m.d.sync += handshake.gated.eq(gate)
                        m.d.comb += handshake.opened.eq(step == 0)
                    m.next = "Row"
                # A truncated frame ends where the next rows or features would be waited for.
                with m.Elif(abort & record.wait_features & self.drained):
                    m.next = "Restart"
                with m.If(self.skip):
                    m.d.sync += step.eq(step + 1)
                    with m.If(step == self.steps - 1):
                        m.d.sync += [pc.eq(0), step.eq(0), parity.eq(~parity)]
                        m.next = "Refetch"
            with m.State("Restart"):
                m.d.comb += handshake.restart.eq(1)
                m.d.sync += [pc.eq(0), step.eq(0), parity.eq(~parity)]
                m.next = "Refetch"
            with m.State("Row"):
                m.d.sync += [
                    g.eq(record.groups),
                    b.eq(record.blocks),
                    weights.eq(record.weight_base),
                    group_weights.eq(record.weight_base),
                    self.lane_group.eq(0),
                    idle.eq(0),
                ]
                start_pass(row_start - record.wide)
                with m.If(~record.lines | (handshake.rows_available >= rows_needed)):
                    m.d.sync += passing.eq(1)
                    m.next = "Pass"
                with m.Elif(abort & self.drained):
                    m.next = "Restart"
            with m.State("Pass"):
                with m.If(row_ends):
                    m.d.sync += passing.eq(0)
                    m.next = "Row"
                    with m.If(last_row):
                        m.d.comb += handshake.credit_given.eq(record.post_credit)
                        m.next = "Fetch"
        return m

    def _flag(self, m: Module, value: Any, name: str) -> Signal:
        """`value`, a cycle later."""
        flag = Signal(name=name)
        m.d.sync += flag.eq(value)
        return flag

    def _next(self, address: Any, lines: Any) -> Any:
        """The address after, in the circular line buffer (1 to `line_words`) or straight on."""
        if not self.params.reads_lines:
            return address + 1
        return Mux(lines & (address == self.line_words), 1, address + 1)


class Stride:
    """Steps through the line buffer's circular addresses (1 to `line_words`) or straight on.

    Limit and step back are registers, so that one comparison beside one addition is all that a step takes.
    """

    def __init__(self, sequencer: IssueSequencer, m: Module, step: Any, lines: Any, name: str) -> None:
        self.step = step
        self.circular = sequencer.params.reads_lines
        words = sequencer.line_words
        self.limit = Signal(len(sequencer.address) + 1, name=f"{name}_limit")
        self.back = Signal.like(sequencer.address, name=f"{name}_back")
        if self.circular:
            m.d.sync += [self.limit.eq(Mux(lines, words - step, ~0)), self.back.eq(step - words)]

    def after(self, address: Any) -> Any:
        """The address one step on."""
        if not self.circular:
            return address + self.step
        return Mux(address > self.limit, address + self.back, address + self.step)
