"""Early termination in the integer model: the rule, and frames run under it (docs/numerics.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rasca_nn.errors import RascaError
from rasca_nn.int8_file import Int8Model
from rasca_nn.integer import IntegerNet, Trace


@dataclass(frozen=True)
class Rule:
    """When a frame is decided before its end, and which row groups are passed over.

    Parameters
    ----------
    threshold : probability of class 1 that `consecutive` steps in a row must reach (paper, supplement 2.1: 0.99, two
        steps; released network: 0.99, one step).
    lower : after a step at this probability or less the next group is passed over (released network: 0.005); None for
        never.

    Raises :class:`RascaError` for values out of range.
    """

    threshold: float = 0.99
    consecutive: int = 2
    lower: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.threshold), ("lower", self.lower)):
            if value is not None and not 0 < value < 1:
                raise RascaError(f"early termination: {name} must be above 0 and below 1, not {value}")
        if not 1 <= self.consecutive <= 255:
            raise RascaError(f"early termination: consecutive must be 1 to 255, not {self.consecutive}")
        if self.lower is not None and self.lower >= self.threshold:
            raise RascaError(f"early termination: lower {self.lower} must be below threshold {self.threshold}")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Rule:
        """From plain values. Raises :class:`RascaError` for other keys or values of another type."""
        if data.keys() != {"threshold", "consecutive", "lower"}:
            found = ", ".join(data) or "none"
            raise RascaError(f"early termination: keys must be threshold, consecutive, lower, not {found}")
        for name, value in data.items():
            if value is None and name == "lower":
                continue
            if isinstance(value, bool) or not isinstance(value, int if name == "consecutive" else int | float):
                kind = "an integer from 1 to 255" if name == "consecutive" else "a number"
                raise RascaError(f"early termination: {name} must be {kind}, not {value!r}")
        return cls(**data)

    def limits(self, scale: float) -> tuple[int, int]:
        """Threshold and lower limit as margins of logits with that scale; the lower one 0 where there is none."""

        def margin(probability: float) -> float:
            return max(-(2.0**31), min(2.0**31 - 1, math.log(probability / (1 - probability)) / scale))

        return math.ceil(margin(self.threshold)), math.floor(margin(self.lower)) if self.lower is not None else 0


@dataclass(frozen=True)
class Terminated:
    """Frames under a rule.

    `ran` bool ``[B, T]``: the row groups computed; `logits` int32 ``[B, T, classes]`` after each of them, 0 elsewhere;
    `steps` ``[B]``: groups read or passed over at the decision; `final` ``[B, classes]``: the logits decided on.
    """

    ran: Tensor
    logits: Tensor
    steps: Tensor
    final: Tensor


def run(model: Int8Model, images: Tensor, rule: Rule, traces: list[Trace] | None = None) -> Terminated:
    """Frames uint8 ``[B, h, w, 3]`` in the integer model under a rule.

    ``traces``: takes every tensor of every step (:func:`rasca_nn.integer.run`); those of a frame's steps that are not
    made mean nothing.
    """
    net = IntegerNet(model)
    groups = net.groups(images)
    batch, count = groups.shape[:2]
    threshold, lower = rule.limits(model.scales["classifier.output"])
    hidden = net.start(batch)
    stopped = torch.zeros(batch, dtype=torch.bool)
    skip, streak = stopped.clone(), torch.zeros(batch, dtype=torch.int64)
    ran = torch.zeros(batch, count, dtype=torch.bool)
    logits = torch.zeros(batch, count, model.config.classes, dtype=torch.int32)
    final, steps = logits[:, 0].clone(), torch.zeros(batch, dtype=torch.int64)
    for t in range(count):
        active = ~stopped & ~skip
        if traces is None and not active.any():
            skip = torch.zeros_like(skip)
            continue
        trace: Trace = {}
        moved = net.recur(net.project(net.heads(groups[:, t], trace), hidden, trace), hidden, trace)
        hidden = torch.where(active[:, None, None], moved, hidden)
        found = net.classify(hidden, trace)
        if traces is not None:
            traces.append(trace)
        ran[:, t] = active
        logits[active, t] = final[active] = found[active]
        rivals = torch.cat([found[:, :1], found[:, 2:]], 1).amax(1).long()
        margin = found[:, 1].long() - rivals
        streak = torch.where(active, torch.where(margin >= threshold, streak + 1, 0), streak)
        steps = torch.where(active, t + 1, steps)
        stopped = stopped | (active & (streak >= rule.consecutive))
        low = margin <= lower if rule.lower is not None else torch.zeros_like(stopped)
        skip = active & ~stopped & low
    return Terminated(ran, logits, steps, final)


@dataclass
class Tally:
    """Where frames were decided, over many of them: step and groups computed of each."""

    total: int
    steps: list[int] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)

    def add(self, steps: NDArray[Any], groups: NDArray[Any]) -> None:
        """Some more frames."""
        self.steps += steps.tolist()
        self.groups += groups.tolist()

    def report(self) -> dict[str, Any]:
        """Mean step of the decision, mean groups computed, and the share of the work that was not."""
        groups = float(np.mean(self.groups))
        return {
            "steps": self.total,
            "mean_step": float(np.mean(self.steps)),
            "mean_groups": groups,
            "saved": 1 - groups / self.total,
        }


class TerminatingEngine:
    """The integer model under a rule, as an engine of :mod:`rasca_nn.evaluate`; `tally` counts."""

    def __init__(self, model: Int8Model, rule: Rule) -> None:
        self.model = model
        self.rule = rule
        self.tally = Tally(model.config.steps)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Images ``[B, h, w, 3]`` to the logits decided on, ``[B, classes]``."""
        found = run(self.model, torch.from_numpy(images), self.rule)
        self.tally.add(found.steps.numpy(), found.ran.sum(1).numpy())
        return np.asarray(found.final.numpy())
