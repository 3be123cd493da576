"""Which rule of early termination to use: what each costs and saves on labelled photos, in the integer model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rasca_nn import sections
from rasca_nn.data import Photos
from rasca_nn.errors import RascaError
from rasca_nn.figure import check_name, write_png
from rasca_nn.int8_file import Int8Model
from rasca_nn.integer import step_logits
from rasca_nn.metrics import rates
from rasca_nn.termination import Rule

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99)
CONSECUTIVE = (1, 2, 3, 4)
COLUMNS = (
    *("threshold", "in a row", "accuracy %", "balanced %", "mean step", "MACs saved %", "early %"),
    *("persons: mean step", "persons: MACs saved %", "persons: early %"),
)
"""Of :func:`lines`."""
BATCH = 16


@dataclass(frozen=True)
class Scores:
    """What the network says after every step of every photo.

    ``margins`` int64 ``[N, T]``: logit 1 less the largest other; ``decisions`` bool ``[N, T]``: whether class 1 is the
    answer; ``labels`` int64 ``[N]``; ``scale``: real value of one unit of a margin.
    """

    margins: NDArray[np.int64]
    decisions: NDArray[np.bool_]
    labels: NDArray[np.int64]
    scale: float


@dataclass(frozen=True)
class Outcome:
    """A rule on the photos.

    ``steps``: mean step of the decision, ``saved``: part of the multiply-accumulates that were not made (each row group
    costs the same), ``early``: part of the photos decided before the last step; the same for the photos of persons.
    """

    threshold: float
    consecutive: int
    accuracy: float
    balanced_accuracy: float
    steps: float
    saved: float
    early: float
    steps_positive: float
    saved_positive: float
    early_positive: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def score(model: Int8Model, photos: Photos, progress: Callable[[int, int], None] | None = None) -> Scores:
    """Run the photos through the whole network. Both labels must occur, else :class:`RascaError`."""
    if set(photos.labels.tolist()) != {0, 1}:
        raise RascaError("thresholds need photos of both labels")
    parts = []
    for i in range(0, len(photos), BATCH):
        parts.append(step_logits(model, torch.from_numpy(photos.images[i : i + BATCH])))
        if progress is not None:
            progress(min(i + BATCH, len(photos)), len(photos))
    logits = torch.cat(parts).long()
    rivals = torch.cat([logits[..., :1], logits[..., 2:]], -1).amax(-1)
    decisions = (logits.argmax(-1) == 1).numpy()
    return Scores((logits[..., 1] - rivals).numpy(), decisions, photos.labels, model.scales["classifier.output"])


def decided(scores: Scores, rule: Rule) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Step of each photo's decision, 1..T ``[N]``, and whether it then is class 1 ``[N]``; no group is passed over."""
    confident = scores.margins >= rule.limits(scores.scale)[0]
    total = confident.shape[1]
    steps = np.full(len(confident), total)
    streak = np.zeros(len(confident), np.int64)
    for t in range(total):
        streak = np.where(confident[:, t], streak + 1, 0)
        steps = np.where((streak >= rule.consecutive) & (steps == total), t + 1, steps)
    return steps, scores.decisions[np.arange(len(steps)), steps - 1]


def outcome(scores: Scores, rule: Rule) -> Outcome:
    """What a rule costs and saves."""
    steps, decisions = decided(scores, rule)
    total, positive = scores.margins.shape[1], scores.labels == 1
    found = rates(scores.labels, decisions.astype(np.int64))
    return Outcome(
        rule.threshold,
        rule.consecutive,
        found["accuracy"],
        found["balanced_accuracy"],
        *_about(steps, total),
        *_about(steps[positive], total),
    )


def _about(steps: NDArray[np.int64], total: int) -> tuple[float, float, float]:
    mean = float(steps.mean())
    return mean, 1 - mean / total, float((steps < total).mean())


def table(
    scores: Scores, thresholds: Sequence[float] = THRESHOLDS, consecutive: Sequence[int] = CONSECUTIVE
) -> list[Outcome]:
    """Every threshold with every count of steps."""
    return [outcome(scores, Rule(threshold, count)) for count in consecutive for threshold in thresholds]


def whole(scores: Scores) -> dict[str, Any]:
    """Accuracies without early termination."""
    return rates(scores.labels, scores.decisions[:, -1].astype(np.int64))


def lines(outcomes: Sequence[Outcome], without: dict[str, Any], total: int) -> list[tuple[str, ...]]:
    """The table for people, :data:`COLUMNS`; the last line is without early termination."""

    def rounded(accuracy: float, balanced: float, *about: float) -> list[str]:
        return [f"{100 * accuracy:.1f}", f"{100 * balanced:.1f}", *(f"{value:.1f}" for value in about)]

    found = []
    for r in outcomes:
        everyone = (r.steps, 100 * r.saved, 100 * r.early)
        persons = (r.steps_positive, 100 * r.saved_positive, 100 * r.early_positive)
        cells = rounded(r.accuracy, r.balanced_accuracy, *everyone, *persons)
        found.append((f"{r.threshold:g}", str(r.consecutive), *cells))
    never = (float(total), 0.0, 0.0)
    return [*found, ("never", "", *rounded(without["accuracy"], without["balanced_accuracy"], *never, *never))]


def choose(outcomes: Sequence[Outcome], balanced_accuracy: float, tolerance: float = 0.0) -> Outcome | None:
    """The one that saves most of those that keep the balanced accuracy but for ``tolerance``; None if none saves."""
    kept = [found for found in outcomes if found.saved > 0 and found.balanced_accuracy >= balanced_accuracy - tolerance]
    return max(kept, key=lambda found: found.saved, default=None)


def verdict(chosen: Outcome | None) -> str:
    """The choice in a line."""
    if chosen is None:
        return "no rule saves anything and keeps the balanced accuracy; allow a loss with --tolerance"
    return (
        f"chosen: --threshold {chosen.threshold:g} --consecutive {chosen.consecutive}; it saves {chosen.saved:.1%} "
        f"of the multiply-accumulates, {chosen.saved_positive:.1%} on photos of persons"
    )


def section(title: str, cells: Sequence[Sequence[str]], chosen: str, command: str) -> list[str]:
    """:func:`lines` and :func:`verdict` as Markdown."""
    said = chosen[0].upper() + chosen[1:]
    head = [f"### {title}", "", f"{said}. Made by", "", f"    {command}", ""]
    return head + sections.table(COLUMNS, cells)


def draw(scores: Scores, rule: Rule, out: Path) -> None:
    """A PNG: how many photos of persons are decided at which step (supplement, figure 2)."""
    check_name(out)
    from matplotlib.figure import Figure

    total = scores.margins.shape[1]
    steps = decided(scores, rule)[0][scores.labels == 1]
    counts = np.bincount(steps, minlength=total + 1)[1:]
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(np.arange(1, total + 1), counts, color="tab:blue")
    axes.axvline(
        steps.mean(),
        color="tab:red",
        ls="--",
        label=f"mean {steps.mean():.1f}, {1 - steps.mean() / total:.1%} of the work saved",
    )
    about = f"decided at {rule.threshold:g} in {rule.consecutive} steps in a row"
    axes.set_title(f"{len(steps)} photos of persons; {about}", fontsize=9)
    late = f"{counts[-1]} not before the last step ({counts[-1] / len(steps):.1%})"
    axes.bar([total], counts[-1:], color="tab:gray", label=late)
    axes.set_xlabel(f"step of the decision, of {total}")
    axes.set_ylabel("photos")
    axes.legend(loc="upper left")
    write_png(figure, out)
