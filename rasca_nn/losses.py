"""What training minimises: the paper's equation 16, and a further hint from boxes.

Every network here has ``scan``, ``pool``, ``classify`` and ``confidence`` as :class:`rasca_nn.model.RaScaNet`, and
``state_unit``, the real value of one unit of its states.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rasca_nn.options import Options
from rasca_nn.training_data import Batch

COVERED = 0.3
"""Part of a place that persons must cover for the place to count as one with a person."""


class Network(Protocol):
    """A network in training."""

    @property
    def state_unit(self) -> float: ...
    def scan(self, x: Tensor) -> Tensor: ...
    def pool(self, hidden: Tensor) -> Tensor: ...
    def classify(self, pooled: Tensor) -> Tensor: ...
    def confidence(self, pooled: Tensor) -> Tensor: ...


def confidence_labels(kind: str, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Label of every step ``[T, B]`` and weight of every photo ``[B]``, by :attr:`Options.confidence`.

    ``logits`` ``[T, B, classes]`` are the classifier's on every state.
    """
    positive = (batch.labels == 1).float()
    everyone = torch.ones_like(positive)
    if kind == "trivial":
        return positive.expand(len(logits), -1), everyone
    if kind == "proposed":
        return logits.softmax(-1)[..., 1] * positive, everyone
    return (batch.cover.amax(2).T > COVERED).float(), batch.known.float()


def confidence_loss(confidence: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Squared error against the labels ``[T, B]``, summed over the steps, mean over the photos."""
    each = (confidence - labels).square().sum(0)
    return (each * weight).sum() / weight.sum().clamp(min=1)


def place_loss(scores: Tensor, batch: Batch) -> Tensor:
    """Whether a person is at a step and column, and whether one has been above: scores ``[T, 2, B, columns]``."""
    # A person is recognised a little after it begins, so the targets lag behind the rows.
    lag = max(1, len(scores) // 10)
    target = F.pad((batch.cover > COVERED).float(), (0, 0, lag, 0))[:, :-lag].permute(1, 0, 2)
    targets = torch.stack([target, target.cummax(0).values], 1)
    each = F.binary_cross_entropy_with_logits(scores, targets, reduction="none").mean((0, 1, 3))
    return (each * batch.known).sum() / batch.known.sum().clamp(min=1)


def terms(
    network: Network, classifier: nn.Module, place: nn.Conv1d, batch: Batch, options: Options
) -> dict[str, Tensor]:
    """The terms of the loss; each already has its weight.

    ``classifier``: the module whose batch norm must not see the states of all steps; ``place``: 1x1 convolution from
    the state to the two maps of :func:`place_loss`.
    """
    states = network.scan(batch.images.contiguous(memory_format=torch.channels_last))
    pooled = network.pool(states)
    logits = network.classify(pooled[-1])
    found = {"class": F.cross_entropy(logits, batch.labels, label_smoothing=options.smoothing)}
    if options.confidence != "none":
        with torch.no_grad():
            classifier.eval()
            labels, weight = confidence_labels(options.confidence, network.classify(pooled), batch)
            classifier.train()
        found["confidence"] = options.alpha * confidence_loss(network.confidence(pooled), labels, weight)
    if options.box_weight:
        scores = place((states * network.state_unit).transpose(1, 2).flatten(0, 1))
        scores = scores.view(len(states), len(batch.labels), 2, -1).transpose(1, 2)
        found["place"] = options.box_weight * place_loss(scores, batch)
    return found
