"""How to train, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rasca_nn.errors import RascaError


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
    batch, learning_rate, weight_decay : AdamW; the rate rises over ``warmup`` of the run, then falls as a cosine.
    alpha : weight of the confidence loss of one step (paper, equation 16).
    box_weight : weight of the place-by-place loss; 0 switches it and the relabelling of crops off.
    smoothing : label smoothing of the cross entropy.
    ema : decay of the averaged weights, which are what is kept and measured.
    small : part of the run, from its start, at half the height and width, which takes a quarter of the time.
    settle : part of the run after which the batch norms behind the recurrence use their running statistics.
    min_area : smallest part of a photo a random crop may be.
    oversample : photos are kept this many times the network's input size, so that crops stay sharp.
    crops : also read the folder's crops.
    validate_every : epochs between measurements on the validation split.
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
    alpha: float = 0.02
    box_weight: float = 1.0
    smoothing: float = 0.05
    ema: float = 0.998
    small: float = 0.0
    settle: float = 0.5
    min_area: float = 0.2
    oversample: int = 1
    crops: bool = True
    validate_every: int = 1
    seed: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "oversample", "validate_every", "threads"):
            if getattr(self, name) < 1:
                raise TrainError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("warmup", "smoothing", "ema", "small", "settle", "min_area"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainError(f"{name} must lie within 0..1, not {getattr(self, name)}")
        for name in ("minutes", "draws", "learning_rate", "weight_decay", "alpha", "box_weight", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise TrainError(f"{name} must be a number from 0, not {getattr(self, name)}")
