"""What values the float network's tensors take on real photos, and which 8-bit scale loses least on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rasca_nn.data import normalise
from rasca_nn.model import RaScaNet

SAMPLES = 1 << 15
"""Values kept of each tensor and batch."""

Samples = dict[str, NDArray[np.float64]]


def batches(images: NDArray[np.uint8], size: int = 16) -> Iterator[Tensor]:
    """Photos uint8 ``[N, h, w, 3]`` as float batches for the network, made one at a time."""
    for i in range(0, len(images), size):
        yield torch.from_numpy(normalise(images[i : i + size])).float().permute(0, 3, 1, 2)


def _thin(value: Tensor) -> NDArray[np.float64]:
    """At most :data:`SAMPLES` values, evenly spread, and the extremes."""
    flat = value.detach().reshape(-1)
    stride = -(-len(flat) // SAMPLES)
    return torch.cat([flat[::stride], flat.amin()[None], flat.amax()[None]]).double().numpy()


def observe(model: RaScaNet, images: NDArray[np.uint8], progress: Callable[[int, int], None] | None = None) -> Samples:
    """Values of every layer's output on the photos, by layer name.

    Behind the ReLU where there is one, in front of sigmoid, tanh and hard-swish; the classifier after every step.
    """
    found: dict[str, list[NDArray[np.float64]]] = {}

    def keep(name: str, value: Tensor) -> None:
        found.setdefault(name, []).append(_thin(value))

    with torch.inference_mode():
        done = 0
        for batch in batches(images):
            pooled = model.pool(model.scan(batch, keep)).flatten(0, 1)
            if model.config.classifier_hidden:
                keep("classifier.hidden", model.classifier[1](model.classifier[0](pooled)))
            keep("classifier.output", model.classify(pooled))
            if progress is not None:
                done += len(batch)
                progress(done, len(images))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def squared_error(values: NDArray[np.float64], scale: float, low: int, high: int) -> float:
    """Mean square of what rounding to ``scale`` and clamping to ``low..high`` loses."""
    kept = scale * np.clip(np.floor(values / scale + 0.5), low, high)
    return float(np.square(kept - values).mean())


def best_scale(values: NDArray[np.float64], low: int, high: int) -> float:
    """The scale with the least :func:`squared_error`, of 48 from a sixteenth of the full range up to all of it."""
    top = max(values.max() / high, values.min() / low if low else 0.0)
    if top <= 0:
        return 1.0
    candidates = top * np.geomspace(1 / 16, 1, 48)
    return float(candidates[np.argmin([squared_error(values, s, low, high) for s in candidates])])
