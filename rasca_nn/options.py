"""How to train, as data."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from rasca_nn.errors import RascaError
from rasca_nn.rows import FOLDS

CONFIDENCE = ("none", "trivial", "proposed", "boxes")
"""Labels of the confidence loss."""


class TrainError(RascaError):
    """Training cannot start or go on."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to train; the defaults suit a few thousand photos.

    Parameters
    ----------
    epochs : rounds of ``draws`` images.
    minutes : end after so long instead, with rate and phases following the clock; 0 for by epochs. Such a run depends
        on the speed of the machine and so cannot be repeated exactly.
    draws : images an epoch, half of them meant to show a person; 0 for as many as there are rows.
    batch : views in a step of AdamW, of all processes together.
    learning_rate : the highest; it rises over ``warmup`` of the run, then falls as a cosine.
    weight_decay : of all but biases and batch norms.
    warmup : part of the run over which the learning rate rises.
    confidence : label of the confidence loss at each step: ``none`` (no such loss), ``trivial`` (the frame's label),
        ``proposed`` (pseudo-labels of the paper's equation 15) or ``boxes`` (whether a box reaches into the row group;
        photos without known boxes are left out).
    alpha : weight of the confidence loss of one step (paper, equation 16).
    box_weight : weight of the place-by-place loss, which is not the paper's; 0 switches it off.
    relabel : whether crops of photos with known boxes get the label of what they show.
    present, absent : that label: 1 where one person's box covers ``present`` of the crop, 0 where none covers
        ``absent``; crops between the two are not taken. The paper's rule is 0.005 for both.
    smoothing : label smoothing of the cross entropy.
    ema : decay of the averaged weights, which are what is kept and measured.
    small : part of the run, from its start, at half the height and width, which takes a quarter of the time.
    settle : part of the run after which the batch norms behind the recurrence use their running statistics.
    min_area : smallest part of a photo a random crop may be.
    jitter : strength of the colour jitter, 0..1.
    tilt : standard deviation of the rotation, in radians.
    oversample : photos are kept this many times the network's input size, so that crops stay sharp.
    crops : also read the folder's crops, where it has any.
    fold : from 1 on, measure on this quarter of the training rows and train on the others, so that settings can be
        chosen without the validation split; 0 for off.
    qat : quantisation-aware: train what the integer model computes, from a trained network (:mod:`rasca_nn.qat`).
    validate_every : epochs between measurements on the validation split.
    seed : of weights, views and order.
    threads : CPU threads.

    Raises :class:`TrainError` for a value out of its range.
    """

    epochs: int = 30
    minutes: float = 0.0
    draws: int = 8192
    batch: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup: float = 0.03
    confidence: str = "proposed"
    alpha: float = 0.02
    box_weight: float = 1.0
    relabel: bool = True
    present: float = 0.005
    absent: float = 0.005
    smoothing: float = 0.05
    ema: float = 0.998
    small: float = 0.0
    settle: float = 0.5
    min_area: float = 0.2
    jitter: float = 0.4
    tilt: float = 0.08
    oversample: int = 1
    crops: bool = True
    fold: int = 0
    qat: bool = False
    validate_every: int = 1
    seed: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "oversample", "validate_every", "threads"):
            if getattr(self, name) < 1:
                raise TrainError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("warmup", "present", "absent", "smoothing", "ema", "small", "settle", "min_area", "jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainError(f"{name} must lie within 0..1, not {getattr(self, name)}")
        for name in ("minutes", "draws", "learning_rate", "weight_decay", "alpha", "box_weight", "tilt", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise TrainError(f"{name} must be a number from 0, not {getattr(self, name)}")
        if self.confidence not in CONFIDENCE:
            raise TrainError(f"confidence must be one of {', '.join(CONFIDENCE)}, not {self.confidence!r}")
        if not 0 <= self.fold <= FOLDS:
            raise TrainError(f"fold must be 0 (off) to {FOLDS}, not {self.fold}")
        if self.absent > self.present:
            raise TrainError(f"absent must not exceed present, {self.present}; it is {self.absent}")


def descriptions() -> dict[str, str]:
    """What :class:`Options` says about each of its parameters, for the command line's help."""
    found: dict[str, str] = {}
    for entry in re.split(r"\n    (?=\w)", (Options.__doc__ or "").split("----------")[1].split("\n\n")[0]):
        names, _, text = entry.partition(" : ")
        about = " ".join(text.split()).replace("``", "")
        found |= {name.strip(): about for name in names.split(",")}
    return found
