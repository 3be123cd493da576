"""From logits to results: arg-max, early termination, step and frame numbers, and what was wrong with the frame."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .interfaces import Errors, confidence_layout, result_layout
from .termination import Rule, Termination


class ResultUnit(wiring.Component):
    """Members
    -------
    logit_valid, logit : logits of a step in ascending order.
    cut : the frame ends without further steps (truncated).
    errors : of the frame that is being finished.
    rule, skipped, passed, parity, skip, stopped : see :class:`~rasca_hw.termination.Termination`.
    classified : a pulse with each step's classification.
    decided : a pulse with each frame's end; `results` holds from the next cycle until read.
    confidences, results : one item a step, one a frame. While one is not read the logits of a next one are lost, and
        that item with them; `overrun` says so in the next result.
    """

    def __init__(self, *, classes: int, steps: int) -> None:
        self.classes = classes
        self.steps = steps
        super().__init__(
            {
                "logit_valid": In(1),
                "logit": In(signed(32)),
                "cut": In(1),
                "errors": In(Errors),
                "rule": In(Rule),
                "skipped": In(1),
                "passed": Out(8),
                "parity": Out(1),
                "skip": Out(1),
                "stopped": Out(1),
                "classified": Out(1),
                "decided": Out(1),
                "confidences": Out(stream.Signature(confidence_layout(classes))),
                "results": Out(stream.Signature(result_layout(classes))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        index = Signal(range(self.classes))
        confidence, result = self.confidences, self.results
        # Logits have no place of their own: they go at once to where a reader looks for them.
        lost_confidence = self._keep(m, confidence, index)
        lost_result = self._keep(m, result, index)
        # With two classes the best one so far is the first, which is kept already; a lost result has no class.
        best = result.payload.logits[0] if self.classes == 2 else Signal(signed(32))
        # For the margin, also of a step that is lost to the readers.
        second, rival = Signal(signed(32)), Signal(signed(32))
        complete = Signal()
        finished = Signal()
        frame = Signal(16)
        overrun = Signal()
        m.d.sync += complete.eq(0)
        with m.If(self.logit_valid):
            m.d.sync += index.eq(index + 1)
            with m.If((index == 0) | (self.logit > best)):
                if self.classes > 2:
                    m.d.sync += best.eq(self.logit)
                with m.If(~lost_result):
                    m.d.sync += result.payload.klass.eq(index)
            with m.If(index == 1):
                m.d.sync += second.eq(self.logit)
            with m.Elif((index == 0) | (self.logit > rival)):
                m.d.sync += rival.eq(self.logit)
            with m.If(index == self.classes - 1):
                m.d.sync += [index.eq(0), complete.eq(1)]

        m.submodules.termination = termination = Termination(steps=self.steps)
        unfinished = Signal()
        m.d.comb += [
            termination.rule.eq(self.rule),
            termination.complete.eq(complete),
            termination.margin.eq(second - rival),
            termination.skipped.eq(self.skipped),
            termination.cut.eq(self.cut),
            self.passed.eq(termination.passed),
            self.parity.eq(termination.parity),
            self.skip.eq(termination.skip),
            self.stopped.eq(termination.stopped),
        ]
        step = Signal(8)
        last = termination.passed == self.steps - 1

        # `passed` counts a step some cycles after its logits.
        m.d.comb += step.eq(Mux(unfinished, termination.reached, termination.passed + (complete | finished)))
        m.d.comb += self.classified.eq(complete)
        m.d.sync += [
            unfinished.eq(termination.decide | self.cut),
            finished.eq(complete & last),
            self.decided.eq((self.cut & ~termination.stopped) | (complete & last) | termination.decide),
        ]
        with m.If(complete):
            with m.If(lost_confidence):
                m.d.sync += overrun.eq(1)
            with m.Else():
                m.d.sync += [confidence.valid.eq(1), confidence.payload.step.eq(step)]
        with m.If(self.decided):
            m.d.sync += frame.eq(frame + 1)
            with m.If(lost_result):
                m.d.sync += overrun.eq(1)
            with m.Else():
                m.d.sync += [
                    overrun.eq(0),
                    result.valid.eq(1),
                    result.payload.frame.eq(frame),
                    result.payload.step.eq(step),
                    result.payload.errors.eq(self.errors),
                    result.payload.errors.overrun.eq(overrun),
                ]
        return m

    def _keep(self, m: Module, item: Any, index: Signal) -> Signal:
        """Puts a step's logits into an item, unless it still waits to be read; returns whether they are lost."""
        waits = item.valid & ~item.ready
        before, lost = Signal(), Signal()
        m.d.comb += lost.eq(Mux(self.logit_valid & (index == 0), 0, before) | waits)
        m.d.sync += [item.valid.eq(waits), before.eq(lost)]
        with m.If(self.logit_valid & ~lost):
            m.d.sync += item.payload.logits[index].eq(self.logit)
        with m.If(self.cut):
            m.d.sync += before.eq(0)
        return lost
