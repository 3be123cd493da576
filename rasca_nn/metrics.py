"""Accuracy figures of yes/no decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rasca_nn.rows import CROP_PREFIX


def rates(labels: NDArray[np.int64], decisions: NDArray[np.int64]) -> dict[str, Any]:
    """n, accuracy, balanced_accuracy, tpr and tnr of decisions 0/1; a rate without a row is None."""
    hit = labels == decisions
    tpr = float(hit[labels == 1].mean()) if (labels == 1).any() else None
    tnr = float(hit[labels == 0].mean()) if (labels == 0).any() else None
    both = None if tpr is None or tnr is None else (tpr + tnr) / 2
    return {
        "n": len(labels),
        "accuracy": float(hit.mean()) if len(hit) else None,
        "balanced_accuracy": both,
        "tpr": tpr,
        "tnr": tnr,
    }


def ranking(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float | None:
    """How often a positive scores above a negative (area under the ROC curve), whatever the threshold; ties count half.

    None where one of the labels does not occur.
    """
    positive, negative = scores[labels == 1], np.sort(scores[labels == 0])
    if not len(positive) or not len(negative):
        return None
    below = np.searchsorted(negative, positive, "left") + np.searchsorted(negative, positive, "right")
    return float(below.mean() / (2 * len(negative)))


def groups(sources: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Which rows belong to each reported group: ``photos``, ``coco`` (photos from COCO alone) and ``crops``."""
    crop = np.array([s.startswith(CROP_PREFIX) for s in sources], np.bool_)
    coco = np.array([s.startswith("coco") for s in sources], np.bool_)
    found = {"photos": ~crop, "coco": coco, "crops": crop}
    return {name: mask for name, mask in found.items() if mask.any()}


def report(labels: NDArray[np.int64], decisions: NDArray[np.int64], sources: Sequence[str]) -> dict[str, Any]:
    """:func:`rates` over all rows, and under ``groups`` the same for each of :func:`groups`."""
    parts = {name: rates(labels[mask], decisions[mask]) for name, mask in groups(sources).items()}
    return rates(labels, decisions) | {"groups": parts}
