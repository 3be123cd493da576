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
        "row_stored": In(1),
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

row_stored, rows_done : the line buffer holds another row (a pulse); how many it may free (a pulse).
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
        waited = Signal()
        gap = Signal.like(record.gap)
        y = Signal.like(record.out_rows)
        g = Signal.like(record.groups)
        b = Signal.like(record.blocks)
        tap = Signal.like(record.taps)
        window = Signal(2)
        first_start = Signal.like(self.address)
        next_start = Signal.like(self.address)
        next_row = Signal.like(self.address)
        tap_start = Signal.like(self.address)
        address = Signal.like(self.address)
        group_weights = Signal.like(self.weight_address)
        weights = Signal.like(self.weight_address)
        line_start = Signal.like(self.address, init=1)
        # A layer is under way, a row of it, a tap. Without a tap, what the registers of the walk hold does not matter.
        running = Signal()
        passing = Signal()
        active = Signal()
        abort = self._flag(m, handshake.abort, "abort_seen")
        # Whether the next layer is a step's first, which step it is, and where the program is.
        opens = Signal()
        first_step = Signal(init=1)
        last_step = Signal(init=self.steps == 1)
        parity = Signal()
        gate = Signal()
        judged = Signal()
        m.d.comb += [
            gate.eq(Mux(first_step, handshake.rule_enabled, handshake.gated)),
            handshake.skipped.eq(self.skip & bool(self.params.reads_lines)),
        ]
        m.d.sync += judged.eq((handshake.passed == step) & (handshake.parity == parity))

        # What a pass ends with is known before: ends are flags, computed a cycle ahead or, where nothing changes within
        # a pass and its gap of at least two cycles, a cycle behind.
        first = Signal()
        near_last = Signal()
        last = Signal()
        tap_ends = Signal()
        turn = Signal(init=1)
        single = self._flag(m, ~record.wide & (record.taps == 0), "single")
        double = self._flag(m, ~record.wide & (record.taps == 1), "double")
        no_gap = self._flag(m, record.gap == 0, "no_gap")
        short_gap = self._flag(m, record.gap == 1, "short_gap")
        last_block = self._flag(m, b == 0, "last_block")
        last_pass = self._flag(m, (g == 0) & (b == 0), "last_pass")
        last_row = self._flag(m, y == 0, "last_row")
        row_ends = Signal()
        row_starts = Signal()
        starts = Signal()
        tap_stride = Stride(self, m, record.tap_step, record.lines, "tap", before=record.wide)
        row_stride = Stride(self, m, record.row_step, record.lines, "row", before=record.wide)
        line_stride = Stride(self, m, self.rows * self.row_words, 1, "line")
        next_lines = Signal.like(self.address)
        m.d.sync += next_lines.eq(line_stride.after(line_start))
        next_weights = weights + active

        m.d.comb += [
            row_ends.eq(turn & passing & last_pass),
            starts.eq((turn & passing & ~last_pass) | row_starts),
            self.active.eq(active),
            self.tap.window.eq(window),
            self.tap.left_edge.eq(b == record.blocks),
            self.tap.right_edge.eq(b == 0),
            self.tap.pad_low.eq(record.pad_low),
            self.address.eq(address),
            self.weight_address.eq(weights),
            self.weights.eq(record.weights),
            self.lines.eq(record.lines),
            self.first.eq(first),
            self.last.eq(last),
        ]
        valid_rows = Signal(range(self.params.rows + 1))
        valid_columns = Signal(range(self.params.columns + 1))
        m.d.sync += [
            valid_rows.eq(Mux(g == 0, record.last_rows + 1, self.params.rows)),
            valid_columns.eq(Mux(b == 0, record.last_columns + 1, self.params.columns)),
        ]
        with m.If(~(active & record.counts)):
            m.d.sync += [valid_rows.eq(0), valid_columns.eq(0)]
        m.d.sync += self.products.eq(valid_rows * valid_columns)

        # The turn from one pass and its gap to the next; while no row is under way, every cycle is one.
        m.d.sync += [
            first.eq(0),
            last.eq(near_last),
            near_last.eq(active & Mux(record.wide, (window == 0) & (tap == 0), tap == 2)),
            tap_ends.eq(~record.wide | (~turn & (window == 1))),
            turn.eq(Mux(no_gap, near_last, Mux(active, last & short_gap, gap == 2))),
            gap.eq(gap - ~turn),
        ]
        with m.If(last):
            m.d.sync += [active.eq(0), gap.eq(record.gap)]
        with m.If(turn):
            m.d.sync += [
                turn.eq(~starts),
                active.eq(starts),
                first.eq(starts),
                last.eq(starts & single),
                near_last.eq(double),
            ]

        # The walk of the counters.
        m.d.sync += window.eq(window + 1)
        with m.If(turn):
            m.d.sync += [
                window.eq(~record.wide),
                tap.eq(record.taps),
                b.eq(Mux(passing & ~last_block, b - 1, record.blocks)),
                g.eq(Mux(passing, g - last_block, record.groups)),
                self.lane_group.eq(Mux(passing, self.lane_group + last_block, 0)),
            ]
        with m.Elif(tap_ends):
            m.d.sync += [window.eq(~record.wide), tap.eq(tap - 1)]

        # The walk of the addresses.
        m.d.sync += address.eq(address + 1)
        with m.If(turn):
            m.d.sync += [
                address.eq(next_start),
                tap_start.eq(next_start),
                self.lane_address.eq(record.weight_base),
            ]
        with m.Elif(tap_ends):
            after = tap_stride.after(tap_start)
            m.d.sync += [
                address.eq(after),
                tap_start.eq(after),
                self.lane_address.eq(self.lane_address + record.tap_step),
            ]
        # The next pass begins a word on, or again where the row's first one did, or in the next row.
        with m.If(~running):
            m.d.sync += next_start.eq(Mux(record.lines, line_start, record.base) - record.wide)
        with m.Elif(~passing):
            m.d.sync += [first_start.eq(next_start), next_row.eq(row_stride.after(next_start))]
        with m.Elif(first):
            m.d.sync += next_start.eq(next_start + 1)
            with m.If(b == 0):
                m.d.sync += next_start.eq(Mux(g == 0, next_row, first_start))

        # And of the weights: each block of a group reads the same.
        new_group = self._flag(m, turn & passing & last_block, "new_group")
        m.d.sync += weights.eq(next_weights)
        with m.If(turn & ~passing):
            m.d.sync += weights.eq(record.weight_base)
        with m.Elif(turn & ~last_block):
            m.d.sync += weights.eq(group_weights)
        with m.If(~passing):
            m.d.sync += group_weights.eq(record.weight_base)
        with m.Elif(new_group):
            m.d.sync += group_weights.eq(weights)

        rows = self._rows(m, record, row_starts, y) if self.params.reads_lines else None
        rows_ok = ~record.lines | (0 if rows is None else rows >= 0)
        owes = None if self.params.reads_lines else self._owed(m)

        # The walk of the rows; each waits for those of the line buffer that it reads.
        m.d.comb += row_starts.eq(running & ~passing & rows_ok)
        with m.If(row_starts):
            m.d.sync += passing.eq(1)
        with m.If(row_ends):
            m.d.sync += passing.eq(0)
        with m.If(row_ends):
            m.d.sync += y.eq(y - 1)
        with m.If(~running):
            m.d.sync += y.eq(record.out_rows)
        with m.If(row_ends & record.frees):
            m.d.comb += handshake.rows_done.eq(Mux(last_row, self.kernel_height, 1))
            with m.If(last_row):
                m.d.sync += line_start.eq(next_lines)

        def new_frame() -> None:
            """From the program's start."""
            m.d.sync += [pc.eq(0), step.eq(0), first_step.eq(1), last_step.eq(self.steps == 1), parity.eq(~parity)]

        def next_step() -> None:
            """Counts a step."""
            m.d.sync += [step.eq(step + 1), first_step.eq(0), last_step.eq(step == self.steps - 2)]
            with m.If(last_step):
                new_frame()

        # Flags a cycle behind: the program counter changes in `Fetch` and before `Refetch` only.
        program_ends = self._flag(m, pc == program, "program_ends")
        at_loop = self._flag(m, pc == self.params.loop, "at_loop")
        m.d.sync += [delay.eq(delay - ~waited), waited.eq(waited | (delay == 1))]

        with m.FSM(init="Refetch"):
            with m.State("Refetch"):
                m.next = "Fetch"
            with m.State("Fetch"):
                m.d.sync += record.eq(read.data)
                with m.If(program_ends):
                    m.d.sync += pc.eq(self.params.loop)
                    next_step()
                    m.next = "Refetch"
                with m.Else():
                    fetched = self.layout(read.data).delay
                    m.d.sync += [pc.eq(pc + 1), opens.eq(at_loop), delay.eq(fetched), waited.eq(fetched == 0)]
                    m.next = "Start"
            with m.State("Start"):
                features_ok = ~record.wait_features | handshake.features_full
                credit_ok = ~record.wait_credit | handshake.credit
                with m.If(~waited):
                    pass
                if rows is not None:
                    with m.Elif(opens & gate & ~judged):
                        pass
                    with m.Elif(opens & first_step & (rows < 0)):
                        # A frame opens with its first rows, and is under the rule that is set then.
                        with m.If(abort & self.drained):
                            m.next = "Restart"
                    with m.Elif(opens & gate & handshake.skip):
                        with m.If(self.drained & (rows >= self.rows - self.kernel_height)):
                            m.next = "Skip"
                        with m.Elif(abort & self.drained):
                            m.next = "Restart"
                else:
                    with m.Elif(opens & owes):
                        with m.If(self.drained):
                            m.next = "Skip"
                with m.Elif(features_ok & credit_ok):
                    m.d.comb += [
                        handshake.features_taken.eq(record.wait_features),
                        handshake.credit_taken.eq(record.wait_credit),
                    ]
                    with m.If(opens):
                        m.d.sync += handshake.gated.eq(gate)
                        m.d.comb += handshake.opened.eq(first_step)
                    m.d.sync += running.eq(1)
                    m.next = "Run"
                # A truncated frame ends where the next rows or features would be waited for.
                with m.Elif(abort & record.wait_features & self.drained):
                    m.next = "Restart"
            with m.State("Run"):
                with m.If(row_ends & last_row):
                    m.d.comb += handshake.credit_given.eq(record.post_credit)
                    m.d.sync += running.eq(0)
                    m.next = "Fetch"
                with m.If(~passing & ~rows_ok & abort & self.drained):
                    m.d.sync += running.eq(0)
                    m.next = "Restart"
            with m.State("Skip"):
                m.d.comb += self.skip.eq(1)
                next_step()
                if rows is not None:
                    m.d.comb += handshake.rows_done.eq(self.rows)
                    m.d.sync += line_start.eq(next_lines)
                m.next = "Start"
                with m.If(last_step):
                    m.next = "Refetch"
            with m.State("Restart"):
                m.d.comb += handshake.restart.eq(1)
                new_frame()
                m.next = "Refetch"
        return m

    def _rows(self, m: Module, record: Any, row_starts: Signal, y: Signal) -> Signal:
        """Rows in the line buffer beyond those that the next output row needs; before a layer its first one."""
        rows = Signal(range(-self.rows, self.line_words // self.row_words + 1), init=-self.kernel_height)
        taken = Signal(rows.shape())
        row_started = self._flag(m, row_starts & record.lines, "row_started")
        with m.If(self.skip):
            m.d.comb += taken.eq(self.rows)
        with m.Elif(row_started):
            # Rows that are not freed are read again, by the next head.
            m.d.comb += taken.eq(Mux(y == 0, Mux(record.frees, self.kernel_height, -record.out_rows), 1))
        m.d.sync += rows.eq(rows + self.handshake.row_stored - taken)
        with m.If(self.handshake.restart):
            m.d.sync += rows.eq(-self.kernel_height)
        return rows

    def _owed(self, m: Module) -> Signal:
        """Whether the engine before passed over groups that this one did not yet."""
        owed = Signal(8)
        owes = Signal()
        more, less = self.handshake.before_skipped, self.skip
        m.d.sync += owed.eq(owed + more - less)
        with m.If(more & ~less):
            m.d.sync += owes.eq(1)
        with m.Elif(less & ~more):
            m.d.sync += owes.eq(owed != 1)
        return owes

    def _flag(self, m: Module, value: Any, name: str) -> Signal:
        """`value`, a cycle later."""
        flag = Signal(name=name)
        m.d.sync += flag.eq(value)
        return flag


class Stride:
    """Steps through the line buffer's circular addresses (1 to `line_words`) or straight on.

    Limit and step back are registers, so that one comparison beside one addition is all that a step takes. With
    `before` the addresses are those of the words before.
    """

    def __init__(
        self, sequencer: IssueSequencer, m: Module, step: Any, lines: Any, name: str, *, before: Any = 0
    ) -> None:
        self.step = step
        self.circular = sequencer.params.reads_lines
        words = sequencer.line_words
        self.limit = Signal(len(sequencer.address) + 1, name=f"{name}_limit")
        self.back = Signal.like(sequencer.address, name=f"{name}_back")
        if self.circular:
            m.d.sync += [self.limit.eq(Mux(lines, words - step - before, ~0)), self.back.eq(step - words)]

    def after(self, address: Any) -> Any:
        """The address one step on."""
        if not self.circular:
            return address + self.step
        return Mux(address > self.limit, address + self.back, address + self.step)
