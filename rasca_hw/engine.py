"""An engine: activation and weight memories, a systolic array for each lockstep group, post-processing, two sequencers.

One description serves every use: several engines that run on successive steps at once, or a single one for the whole
network. What an engine can do follows from its parameters; what it does is its program.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from . import dynamic, feeder, pool, post, rom, spram
from .array import SystolicArray, delay
from .broadcast import BroadcastArray
from .drain import DrainSequencer
from .dynamic import DynamicWeights
from .feeder import Feeder
from .issue import HANDSHAKE, IssueSequencer
from .latency import pool_wait, post_params, settle_cycles
from .packed import PackedArray
from .packer import Packer
from .params import EngineParams
from .pool import StatePool
from .post import RowPost
from .program import Mode, Weights
from .rom import Rom
from .serial_tail import SerialTail, weight_width
from .softmax import SoftmaxUnit
from .spram import BLOCK_WORDS, LOAD, Spram


class WordWrite(data.Struct):
    """Where a word goes; see `Engine.write_layout` for the word itself."""

    to_memory: 1
    to_operand: 1
    to_gate: 1
    to_features: 1


class Engine(wiring.Component):
    """Members
    -------
    handshake : see :data:`rasca_hw.issue.HANDSHAKE`.
    products : products that count, of all groups; working : a pass is under way.
    line_address, line_word : read port of the line buffer, data a cycle after the address.
    write : each group's finished words {address, word, instruction, destinations}, one a cycle.
    receive, receive_ready : words from the engine before; taken when `receive_ready`.
    logit_valid, logit : logits in ascending order.
    """

    def __init__(
        self, params: EngineParams, *, steps: int, rows: int, kernel_height: int, line_words: int, row_words: int
    ):
        self.params = params
        self.issue = IssueSequencer(
            params, steps=steps, rows=rows, kernel_height=kernel_height, line_words=line_words, row_words=row_words
        )
        self.post_params = post_params(params)
        self.dynamic = None
        if params.spatial:
            self.dynamic = DynamicWeights(rows=params.rows, columns=params.columns, depth=params.spatial.scratch)
        self.word = data.ArrayLayout(8, params.columns)
        self.write_layout = data.StructLayout(
            {
                "address": range(max(2, params.reach)),
                "word": self.word,
                "instruction": range(max(2, len(params.program))),
                "to": WordWrite,
            }
        )
        self.drain: DrainSequencer | SerialTail
        if params.broadcast:
            self.drain = SerialTail(params, steps=steps, trace=self.write_layout)
        else:
            self.drain = DrainSequencer(params, steps=steps)
        super().__init__(
            {
                "line_address": Out(self.issue.address.shape()),
                "line_word": In(self.word),
                "handshake": Out(HANDSHAKE),
                "receive_valid": In(1),
                "receive_address": In(range(max(2, params.reach))),
                "receive_word": In(self.word),
                "receive_ready": Out(1),
                "write": Out(self.write_layout).array(params.groups),
                "write_valid": Out(params.groups),
                "logit_valid": Out(1),
                "logit": Out(32),
                "products": Out(16),
                "working": Out(1),
                **({"load": In(LOAD)} if params.boot else {}),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        params = self.params
        m.submodules.issue = seq = self.issue
        connect(m, seq.handshake, flipped(self.handshake))
        m.submodules.drain = drain = self.drain
        m.d.comb += [
            drain.restart.eq(seq.handshake.restart),
            drain.skip.eq(seq.skip),
            self.working.eq(seq.active),
            self.line_address.eq(seq.address),
            self.products.eq(seq.products * params.groups),
        ]
        in_flight = Signal(8)
        m.d.sync += in_flight.eq(in_flight + seq.last - drain.pass_done)
        settle = settle_cycles(params)
        settling = Signal(range(settle + 1))
        # A cycle ahead, so that it is a register.
        drained = Signal(init=1)
        m.d.sync += drained.eq(0)
        with m.If((in_flight != 0) | seq.active):
            m.d.sync += settling.eq(settle)
        with m.Elif(settling > 1):
            m.d.sync += settling.eq(settling - 1)
        with m.Else():
            m.d.sync += drained.eq(1)
        m.d.comb += seq.drained.eq(drained)

        if isinstance(drain, SerialTail):
            self._broadcast(m, drain)
            return m
        stages = self._control_stages(m, drain)
        for group in range(params.groups):
            valid = self._group(m, group, stages)
            if group == 0:
                m.d.comb += drain.valid.eq(valid)
        return m

    def _control_stages(self, m: Module, drain: DrainSequencer) -> Callable[[int, int], Any]:
        """Control of each stage and row: a cycle later for each; made when first asked for."""
        cache: dict[tuple[int, int], Any] = {(1, 0): drain.control}

        def at(stage: int, row: int) -> Any:
            if (stage, row) not in cache:
                before = at(stage, row - 1) if row else at(stage - 1, 0)
                control = Signal(drain.control_layout, name=f"control_{stage}_{row}")
                m.d.sync += control.eq(before)
                if row:
                    m.d.sync += [
                        control.rows.eq(before.rows >> 1),
                        control.bias_address.eq(before.bias_address + 1),
                        control.operand_address.eq(before.operand_address + before.operand_step),
                        control.address.eq(before.address + before.address_step),
                        control.state_address.eq(before.state_address + 1),
                    ]
                cache[stage, row] = control
            return cache[stage, row]

        return at

    def _group(self, m: Module, group: int, at: Callable[[int, int], Any]) -> Any:
        """One lockstep group; returns the valid of its row 0."""
        params, seq = self.params, self.issue
        name = f"group{group}" if params.groups > 1 else "group"
        prefix = f"{name}_"

        feed, write = self._front(m, group, prefix)
        m.submodules[prefix + "weights"] = weights = Rom(params.weights[group], width=8 * params.rows)
        lead = dynamic.LATENCY - dynamic.FIXED_LATENCY if params.spatial else 0
        m.d.comb += weights.address.eq(
            delay(m, seq.weight_address, feeder.LATENCY - rom.LATENCY - lead, name=prefix + "weight_address")
        )
        size = {"rows": params.rows, "columns": params.columns, "acc_width": params.acc_width}
        systolic = PackedArray(**size, taps=params.longest_pass) if params.packed else SystolicArray(**size)
        m.submodules[prefix + "array"] = systolic
        m.d.comb += [
            systolic.activations.eq(feed.operands),
            systolic.weights.eq(weights.word if self.dynamic is None else self.dynamic.word),
            systolic.first.eq(delay(m, seq.first, feeder.LATENCY, name=prefix + "first", reset_less=False)),
            systolic.last.eq(delay(m, seq.last, feeder.LATENCY, name=prefix + "last", reset_less=False)),
        ]
        post_rows = self._post_rows(m, group, prefix, systolic, at)
        self._write_words(m, group, prefix, post_rows, write, at)
        if self.dynamic is not None:
            self._dynamic_weights(m, weights, post_rows, at)
        return systolic.valid[0]

    def _front(self, m: Module, group: int, prefix: str) -> tuple[Feeder, Any]:
        """Activation memory and feeder; returns the feeder and the memory's write port."""
        params, seq = self.params, self.issue
        activations = memory.Memory(shape=8 * params.columns, depth=params.depth + 1, init=[])
        m.submodules[prefix + "activations"] = activations
        read, write = activations.read_port(), activations.write_port(granularity=8 if params.broadcast else None)
        m.submodules[prefix + "feeder"] = feed = Feeder(
            params.columns, short=params.broadcast, reads_lines=params.reads_lines
        )
        m.d.comb += [
            read.addr.eq(seq.address),
            feed.tap.eq(seq.tap),
            feed.word.eq(read.data),
        ]
        if params.reads_lines:
            m.d.comb += [
                feed.lines.eq(delay(m, seq.lines, 1, name=prefix + "lines", reset_less=False)),
                feed.line_word.eq(self.line_word),
            ]
        return feed, write

    def _broadcast(self, m: Module, tail: SerialTail) -> None:
        """A broadcast array between the feeder and its tail."""
        params, seq = self.params, self.issue
        feed, write = self._front(m, 0, "")
        m.submodules.weight_memory = weights = Spram(
            words=len(params.weights[0]), width=weight_width(params), init=params.weights[0]
        )
        m.submodules.array = array = BroadcastArray(
            rows=params.rows, columns=params.columns, acc_width=params.acc_width
        )
        latency = feeder.SHORT_LATENCY
        m.d.comb += [
            weights.address.eq(delay(m, seq.weight_address, latency - spram.LATENCY, name="weight_address")),
            array.activations.eq(feed.operands),
            array.weights.eq(weights.word),
            array.active.eq(delay(m, seq.active, latency, name="active", reset_less=False)),
            array.last.eq(delay(m, seq.last, latency, name="last", reset_less=False)),
            tail.start.eq(array.start),
            tail.sum.eq(array.sum),
            write.addr.eq(tail.address),
            write.data.eq(Cat([tail.byte] * params.columns)),
            write.en.eq(tail.lanes),
            self.write[0].eq(tail.trace),
            self.write_valid[0].eq(tail.trace_valid),
            self.logit_valid.eq(tail.logit_valid),
            self.logit.eq(tail.logit),
        ]
        if params.boot:
            place = 0
            for store in filter(None, (weights, tail.biases, tail.tables)):
                blocks = -(-store.words * store.lanes // BLOCK_WORDS)
                here = self.load.address[(BLOCK_WORDS - 1).bit_length() :]
                m.d.comb += [
                    store.write.eq(self.load.write & (here >= place) & (here < place + blocks)),
                    store.lane_address.eq(self.load.address - place * BLOCK_WORDS),
                    store.lane.eq(self.load.lane),
                ]
                place += blocks

    def _dynamic_weights(self, m: Module, weights: Rom, rows: list[RowPost], at: Callable[[int, int], Any]) -> None:
        assert self.dynamic is not None
        stage = self.post_params.value_stage
        m.submodules.dynamic = self.dynamic
        m.d.comb += [
            self.dynamic.source.eq(self.issue.weights),
            self.dynamic.address.eq(self.issue.weight_address),
            self.dynamic.lane_group.eq(self.issue.lane_group),
            self.dynamic.fixed.eq(weights.word),
        ]
        for r, row in enumerate(rows):
            m.d.comb += [
                self.dynamic.values[r].eq(row.value),
                self.dynamic.write[r].eq(at(stage, r).emit),
                self.dynamic.filling[r].eq(at(stage, r).to_scratch),
            ]

    def _post_rows(
        self, m: Module, group: int, prefix: str, systolic: SystolicArray | PackedArray, at: Callable[[int, int], Any]
    ) -> list[RowPost]:
        params = self.params
        biases = params.biases[group]
        mask = (1 << params.acc_width) - 1
        bias_memory = memory.Memory(
            shape=params.acc_width + 5,
            depth=len(biases) + params.rows,
            init=[(bias & mask) | shift << params.acc_width for bias, shift in biases],
        )
        m.submodules[prefix + "biases"] = bias_memory
        bias_read = bias_memory.read_port()
        operand, gate = self._operand_memory(m, group, at)

        rows = []
        for r in range(params.rows):
            of_luts = r >= params.rows - params.lut_multipliers
            m.submodules[f"{prefix}post{r}"] = row = RowPost(replace(self.post_params, lut_multiplier=of_luts))
            with m.If(at(post.BIAS_READ, r).load):
                m.d.comb += bias_read.addr.eq(at(post.BIAS_READ, r).bias_address)
            m.d.comb += [
                row.sum.eq(systolic.sums[r]),
                row.bias.eq(bias_read.data[: params.acc_width]),
                row.shift.eq(bias_read.data[params.acc_width :]),
                row.control.bias_load.eq(at(post.BIAS_LOAD, r).load),
                row.control.relu.eq(at(post.CLAMP, r).relu),
                row.control.unsigned.eq(at(self.post_params.value_stage - 1, r).unsigned),
            ]
            if params.tables:
                m.d.comb += [
                    row.control.table.eq(at(post.TABLE, r).table),
                    row.control.use_table.eq(at(post.SELECT, r).use_table),
                    row.control.operand_load.eq(at(post.OPERAND_LOAD, r).load),
                    row.control.mode.eq(at(post.ELEMENTWISE, r).mode),
                    row.control.operand_unsigned.eq(at(post.ELEMENTWISE, r).operand_unsigned),
                    row.control.residual.eq(at(post.ELEMENTWISE, r).residual),
                    row.operand.eq(operand),
                    row.gate.eq(gate),
                ]
            rows.append(row)
        return rows

    def _operand_memory(self, m: Module, group: int, at: Callable[[int, int], Any]) -> tuple[Any, Any]:
        """Second operands of the elementwise products: a mirror of part of the activations, and the update gate.

        Rows ask for their words a cycle after each other, so one read port is enough.
        """
        params = self.params
        if not params.tables:
            return 0, 0
        address = Signal(range(max(2, params.operand_depth, params.gate_depth)), reset_less=True)
        for r in range(params.rows):
            control = at(post.OPERAND_READ - 1, r)
            with m.If(control.load):
                m.d.sync += address.eq(control.operand_address - params.operand_base)
        if self.dynamic is not None:
            # The generator lets no row ask for an operand while these are read.
            with m.If(self.issue.active & (self.issue.weights == Weights.LANES)):
                m.d.sync += address.eq(self.issue.lane_address)
        # Words are written a cycle later than among the activations: the way to another memory is long.
        out, written = self.write[group], self.write_valid[group]
        place = Signal.like(address, name="operand_place")
        word = Signal(self.word, name="operand_word", reset_less=True)
        to_operand, to_gate = Signal(), Signal()
        m.d.sync += [
            place.eq(out.address - params.operand_base),
            word.eq(out.word),
            to_operand.eq(written & out.to.to_operand),
            to_gate.eq(written & out.to.to_gate),
        ]
        if params.receives_features:
            with m.If(self.receive_ready):
                m.d.sync += [
                    place.eq(self.receive_address - params.operand_base),
                    word.eq(self.receive_word),
                    to_operand.eq(self.receive_valid),
                ]
        words = []
        for name, depth, enable in (
            ("operands", params.operand_depth, to_operand),
            ("gates", params.gate_depth, to_gate),
        ):
            m.submodules[name] = mem = memory.Memory(shape=8 * params.columns, depth=max(2, depth), init=[])
            read, write = mem.read_port(), mem.write_port()
            m.d.comb += [
                read.addr.eq(address),
                write.addr.eq(place),
                write.data.eq(word),
                write.en.eq(enable),
            ]
            words.append(delay(m, read.data, 1, name=name))
        if self.dynamic is not None:
            m.d.comb += self.dynamic.operand.eq(words[0])
        return words[0], words[1]

    def _write_words(
        self, m: Module, group: int, prefix: str, rows: list[RowPost], port: Any, at: Callable[[int, int], Any]
    ) -> None:
        """Max-pool, pack, and write; the rows' words are complete a cycle after each other, so one port is enough."""
        params = self.params
        stage = self.post_params.value_stage
        out = Signal(self.write_layout, name=prefix + "write", reset_less=True)
        out_valid = Signal(name=prefix + "write_valid")
        finished = []
        logits = []
        for r, row in enumerate(rows):
            control = at(stage, r)
            m.submodules[f"{prefix}packer{r}"] = packer = Packer(params.columns)
            value = row.value.as_signed()
            even = Signal.like(value, name=f"{prefix}even{r}", reset_less=True)
            with m.If(control.valid):
                m.d.sync += even.eq(value)
            pooled = Signal(8, name=f"{prefix}value{r}", reset_less=True)
            m.d.sync += pooled.eq(Mux(control.pool & (even > value), even, value))
            m.d.comb += [
                packer.valid.eq(control.emit),
                packer.value.eq(pooled),
                packer.lane.eq(control.lane),
                packer.fill.eq(control.unsigned << 7),
            ]
            packed, written = at(stage + 1, r), at(stage + 2, r)
            complete = Signal(name=f"{prefix}complete{r}")
            m.d.sync += complete.eq(packed.done & packed.rows[0])
            word = Signal(self.write_layout, name=f"{prefix}word{r}")
            m.d.comb += [
                word.address.eq(written.address),
                word.word.eq(packer.word),
                word.instruction.eq(written.instruction),
                word.to.eq(Cat(written.to_memory, written.to_operand, written.to_gate, written.to_features)),
            ]
            finished.append((complete, word))
            total = at(post.TOTAL, r)
            logits.append((total.load & total.rows[0] & (total.mode == Mode.LOGITS), row.total))
        if params.state_columns:
            finished += self._pool_state(m, rows, stage, at)
        if params.spatial:
            finished.append(self._softmax(m, rows, at))
        # One at a time, so that selecting is and-or.
        m.d.sync += [
            out_valid.eq(Cat(valid for valid, _ in finished).any()),
            out.eq(reduce(or_, (Mux(valid, word.as_value(), 0) for valid, word in finished))),
        ]
        if params.classifies:
            m.d.sync += self.logit_valid.eq(0)
            for valid, total in logits:
                with m.If(valid):
                    m.d.sync += [self.logit_valid.eq(1), self.logit.eq(total)]
        m.d.comb += [
            self.write[group].eq(out),
            self.write_valid[group].eq(out_valid),
            self.receive_ready.eq(~out_valid),
            port.addr.eq(out.address),
            port.data.eq(out.word),
            port.en.eq(out_valid & out.to.to_memory),
        ]
        if params.receives_features:
            with m.If(self.receive_ready):
                m.d.comb += [
                    port.addr.eq(self.receive_address),
                    port.data.eq(self.receive_word),
                    port.en.eq(self.receive_valid),
                ]

    def _softmax(self, m: Module, rows: list[RowPost], at: Callable[[int, int], Any]) -> tuple[Any, Any]:
        """The softmax of score rows, a word at a time: (valid, word)."""
        params = self.params
        assert params.spatial is not None
        columns = params.spatial.columns
        m.submodules.softmax = unit = SoftmaxUnit(
            rows=params.rows,
            lanes=params.columns,
            columns=columns,
            banded=params.spatial.banded,
            table=params.spatial.table,
        )
        for r, row in enumerate(rows):
            control = at(post.SCORE, r)
            m.d.comb += [
                unit.scores[r].eq(row.score),
                unit.valid[r].eq(control.emit & control.to_softmax & control.rows[0]),
                unit.end[r].eq(control.end & control.to_softmax & control.rows[0]),
                unit.channels[r].eq(control.state_address),
            ]
        first = at(post.SCORE, 0)
        m.d.comb += [unit.mask.eq(first.rows), unit.fraction.eq(first.fraction)]
        # The rows of a head follow each other, and the next head's come long after.
        words = columns * -(-columns // params.columns)
        place = Signal(range(words))
        instruction = Signal.like(first.instruction)
        with m.If(unit.complete):
            m.d.sync += place.eq(Mux(place == words - 1, 0, place + 1))
        with m.If(unit.end[0] & (first.state_address == 0)):
            m.d.sync += instruction.eq(first.instruction)
        word = Signal(self.write_layout, name="softmax_word")
        m.d.comb += [
            word.address.eq(params.spatial.base + place),
            word.word.eq(unit.word),
            word.instruction.eq(instruction),
            word.to.to_memory.eq(1),
        ]
        return unit.complete, word

    def _pool_state(
        self, m: Module, rows: list[RowPost], stage: int, at: Callable[[int, int], Any]
    ) -> list[tuple[Signal, Any]]:
        """The pooled values, each a word of one lane, some cycles after its row's last word: (valid, word) a row."""
        params = self.params
        m.submodules.pool = unit = StatePool(rows=params.rows, columns=params.state_columns, with_max=params.pool_max)
        extra = pool_wait(params)
        pooled = delay(m, unit.pooled, extra, name="pooled")
        later = stage + pool.LATENCY + extra
        finished = []
        for r, row in enumerate(rows):
            control = at(stage, r)
            active = control.to_state & control.rows[0]
            m.d.comb += [
                unit.values[r].eq(row.value),
                unit.valid[r].eq(control.emit & active),
                unit.end[r].eq(control.end & active),
            ]
            before, ended = at(later - 1, r), at(later, r)
            complete = Signal(name=f"pooled{r}_complete")
            m.d.sync += complete.eq(before.end & before.to_state & before.rows[0])
            word = Signal(self.write_layout, name=f"pooled{r}_word")
            m.d.comb += [
                word.address.eq(ended.state_address),
                word.word.eq(pooled.as_unsigned()),
                word.instruction.eq(ended.instruction),
                word.to.to_memory.eq(1),
            ]
            finished.append((complete, word))
        return finished
