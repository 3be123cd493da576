"""Early termination: after which row group a frame is decided, and which groups are passed over.

After each step the margin, logit 1 less the largest other logit, is compared with two limits. `consecutive` steps in
a row at `threshold` or more decide the frame, and its other groups are passed over (paper, supplement 2.1, with two
steps; the released network with one). After a step at `lower` or less the next group is passed over (released
network). With two classes a margin stands for a probability; docs/numerics.md.
"""

# No `from __future__ import annotations`: data.Struct reads the annotations as shapes, strings make it empty.
from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .array import delay

LATENCY = 3
"""Cycles from `complete` to the first in which `passed` and `skip` are those of the step."""


class Rule(data.Struct):
    """What a user sets; see :mod:`rasca_hw.counters` for its registers."""

    enabled: 1
    skips: 1
    """Whether `lower` is used."""
    consecutive: 8
    threshold: signed(32)
    lower: signed(32)


class Termination(wiring.Component):
    """Members
    -------
    rule : of the frame at hand.
    complete, margin : a step's classification is there (a pulse), with its margin.
    skipped : a group was passed over (a pulse).
    cut : the frame ends here.
    passed, parity : groups done with in this frame; toggles from frame to frame.
    skip : the next group is to be passed over.
    stopped : the frame was decided early; until its last group was passed over.
    decide : the frame is decided early (a pulse).
    reached : groups done with at that decision or cut.
    """

    def __init__(self, *, steps: int) -> None:
        self.steps = steps
        super().__init__(
            {
                "rule": In(Rule),
                "complete": In(1),
                "margin": In(signed(33)),
                "skipped": In(1),
                "cut": In(1),
                "passed": Out(8),
                "parity": Out(1),
                "skip": Out(1),
                "stopped": Out(1),
                "decide": Out(1),
                "reached": Out(8),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        rule = self.rule
        passed, reached = Signal(range(self.steps)), Signal(range(self.steps + 1))
        m.d.comb += [self.passed.eq(passed), self.reached.eq(reached)]
        margin = Signal.like(self.margin, reset_less=True)
        confident, low = Signal(), Signal()
        m.d.sync += [
            margin.eq(self.margin),
            confident.eq(margin >= rule.threshold),
            low.eq(rule.skips & (margin <= rule.lower)),
        ]
        judged = delay(m, self.complete, LATENCY - 1, name="judged", reset_less=False)
        streak = Signal(8)
        longer = Signal(8)
        m.d.comb += longer.eq(Mux(confident, Mux(streak == 255, streak, streak + 1), 0))
        last = passed == self.steps - 1

        m.d.sync += self.decide.eq(0)
        with m.If(judged):
            m.d.sync += [passed.eq(passed + 1), reached.eq(passed + 1), streak.eq(longer)]
            with m.If(rule.enabled & confident & (longer >= rule.consecutive)):
                m.d.sync += [self.stopped.eq(1), self.skip.eq(1), self.decide.eq(~last)]
            with m.Elif(rule.enabled & low):
                # With the last group passed over, there is nothing left to wait for.
                before_last = passed == self.steps - 2
                m.d.sync += [self.stopped.eq(before_last), self.skip.eq(1), self.decide.eq(before_last)]
        with m.If(self.skipped):
            m.d.sync += [passed.eq(passed + 1), self.skip.eq(self.stopped)]
        with m.If(self.cut):
            m.d.sync += reached.eq(passed)
        with m.If(self.cut | ((judged | self.skipped) & last)):
            m.d.sync += [passed.eq(0), self.parity.eq(~self.parity), streak.eq(0), self.skip.eq(0), self.stopped.eq(0)]
        return m
