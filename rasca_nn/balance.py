"""Moving a trained classifier's decision to where both classes err equally."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rasca_nn.calibrate import batches
from rasca_nn.data import Photos
from rasca_nn.model import RaScaNet


def equal_error(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The threshold at which as large a part of the positives lies below as of the negatives above."""
    positive, negative = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])
    cuts = np.sort(scores)
    missed = np.searchsorted(positive, cuts) / len(positive)
    wrong = 1 - np.searchsorted(negative, cuts) / len(negative)
    return float(cuts[np.abs(missed - wrong).argmin()])


def balance(model: RaScaNet, photos: Photos, infer: Callable[[Tensor], Tensor] | None = None) -> float:
    """Shift the two logits of ``model`` so that 0 is the :func:`equal_error` threshold on ``photos``.

    Training draws both classes equally and crops them; whole photos lie a little elsewhere. Only for two classes.
    ``infer`` gives the logits of a batch where the model is used in another way than in float. Returns the shift of the
    difference of the logits.
    """
    infer = infer or model
    with torch.inference_mode():
        logits = torch.cat([infer(batch) for batch in batches(photos.images)]).double().numpy()
    offset = equal_error(logits[:, 1] - logits[:, 0], photos.labels)
    with torch.no_grad():
        bias: torch.Tensor = model.classifier[-1].bias  # type: ignore[assignment]
        bias += torch.tensor([offset / 2, -offset / 2])
    return -offset
