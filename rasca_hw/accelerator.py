"""The accelerator: row interface, engines, result.

    pixels -> LineBuffer -> Engine (heads, in lockstep) -> FeatureLink -> Engine (attention, ConvGRU, classifier) ->
    results

While the second engine works on step t, the first works on step t + 1. With a single engine, it runs the whole
program and there is no link.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .counters import Counters, frames_in_flight
from .engine import Engine
from .interfaces import Pixel, confidence_layout, result_layout
from .lines import COLOURS, LineBuffer, line_buffer_words
from .link import FeatureLink
from .params import AcceleratorParams, EngineParams
from .result import ResultUnit
from .spram import LOAD


def make_engine(params: AcceleratorParams, engine: EngineParams) -> Engine:
    """One of the accelerator's engines."""
    return Engine(
        engine,
        steps=params.steps,
        rows=params.rows,
        kernel_height=params.kernel_height,
        line_words=line_buffer_words(params.width, engine.columns, params.line_rows) if engine.reads_lines else 1,
        row_words=COLOURS * -(-params.width // engine.columns),
    )


class Accelerator(wiring.Component):
    """Members
    -------
    pixels : In, :class:`~rasca_hw.interfaces.Pixel`. Ready is low while the line buffer is full.
    results : Out, one decision a frame (:func:`~rasca_hw.interfaces.result_layout`).
    confidences : Out, the logits after each step.
    load : In, :data:`~rasca_hw.spram.LOAD`, where a boot loader has to fill the memories first (`params.boot`).
    register, value, write, data : counters and settings, see :mod:`rasca_hw.counters`.
    """

    def __init__(self, params: AcceleratorParams) -> None:
        self.params = params
        self.engines = [make_engine(params, engine) for engine in params.engines]
        super().__init__(
            {
                "pixels": In(stream.Signature(Pixel)),
                "results": Out(stream.Signature(result_layout(params.classes))),
                "confidences": Out(stream.Signature(confidence_layout(params.classes))),
                "register": In(8),
                "value": Out(32),
                "write": In(1),
                "data": In(32),
                **({"load": In(LOAD)} if params.boot else {}),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        params = self.params
        first, last = self.engines[0], self.engines[-1]
        for engine in self.engines:
            m.submodules[engine.params.name] = engine
        m.submodules.lines = lines = LineBuffer(
            width=params.width,
            rows=params.rows,
            steps=params.steps,
            columns=params.engines[0].columns,
            line_rows=params.line_rows,
        )
        m.submodules.result = result = ResultUnit(classes=params.classes, steps=params.steps)
        m.submodules.counters = counters = Counters(
            engines=len(self.engines),
            frames=frames_in_flight(
                engines=len(self.engines), steps=params.steps, groups=params.line_rows // params.rows
            ),
            multipliers=sum(e.multipliers for e in params.engines),
            model_hash=params.model_hash,
        )
        connect(m, flipped(self.pixels), lines.pixels)
        connect(m, result.results, flipped(self.results))
        connect(m, result.confidences, flipped(self.confidences))
        m.d.comb += [
            lines.address.eq(first.line_address),
            first.line_word.eq(lines.word),
            first.handshake.row_stored.eq(lines.row_stored),
            lines.rows_done.eq(first.handshake.rows_done),
            first.handshake.abort.eq(lines.abort),
            lines.aborted.eq(first.handshake.restart),
            result.logit_valid.eq(last.logit_valid),
            result.logit.eq(last.logit),
            result.cut.eq(last.handshake.restart),
            result.errors.eq(counters.frame_errors),
            counters.started.eq(lines.started),
            counters.ended.eq(lines.ended),
            counters.errors.eq(lines.errors),
            lines.ignored.eq(counters.open),
            counters.decided.eq(result.decided),
            counters.classified.eq(result.classified),
            counters.working.eq(Cat(engine.working for engine in self.engines).any()),
            counters.address.eq(self.register),
            counters.write.eq(self.write),
            counters.data.eq(self.data),
            self.value.eq(counters.value),
            counters.opened.eq(first.handshake.opened),
            result.rule.eq(counters.held),
            result.skipped.eq(first.handshake.skipped),
            first.handshake.rule_enabled.eq(counters.rule.enabled),
            first.handshake.passed.eq(result.passed),
            first.handshake.parity.eq(result.parity),
            first.handshake.skip.eq(result.skip),
        ]
        m.d.comb += [counters.products[e].eq(engine.products) for e, engine in enumerate(self.engines)]
        if params.boot:
            connect(m, flipped(self.load), first.load)
        if first is not last:
            self._link(m, first, last)
        return m

    def _link(self, m: Module, sender: Engine, receiver: Engine) -> None:
        groups = sender.params.groups
        m.submodules.link = link = FeatureLink(
            groups=groups,
            columns=sender.params.columns,
            address_width=len(receiver.receive_address),
            words=self.params.feature_words,
            step=self.params.feature_step,
            depth=self.params.link_depth,
        )
        for group in range(groups):
            write = sender.write[group]
            m.d.comb += [
                link.put[group].eq(sender.write_valid[group] & write.to.to_features),
                link.word[group].eq(write.word),
            ]
        m.d.comb += [
            link.address.eq(sender.write[0].address),
            receiver.receive_valid.eq(link.get),
            receiver.receive_address.eq(link.out_address),
            receiver.receive_word.eq(link.out_word),
            link.ready.eq(receiver.receive_ready),
            sender.handshake.credit.eq(link.credit),
            link.credit_taken.eq(sender.handshake.credit_taken),
            receiver.handshake.features_full.eq(link.full),
            link.taken.eq(receiver.handshake.features_taken),
            link.given.eq(receiver.handshake.credit_given),
            link.cut.eq(sender.handshake.restart),
            receiver.handshake.abort.eq(link.cut_due),
            link.cut_taken.eq(receiver.handshake.restart),
            receiver.handshake.before_skipped.eq(sender.handshake.skipped),
        ]
