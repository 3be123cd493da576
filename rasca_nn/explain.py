"""Why a network decides as it does on one image: confidence along the rows (the paper's figure 5) and the class
activation map of the hidden state (figure 6).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from rasca_nn import integer, termination
from rasca_nn.calibrate import batches
from rasca_nn.errors import RascaError
from rasca_nn.figure import check_name, write_png
from rasca_nn.int8_file import HARDSWISH_SCALE, Int8Model
from rasca_nn.model import RaScaNet
from rasca_nn.quantize_spatial import HIDDEN_SCALE
from rasca_nn.scheme import input_scales
from rasca_nn.termination import Rule
from rasca_nn.thresholds import Scores, decided

FINE = 1e-6
"""Unit in which a float network's margins are compared with the rule's."""
STRONG = 4.0
"""Activation drawn in full colour, if none is stronger; in units of the logits."""


@dataclass(frozen=True)
class Explanation:
    """What happened on one image.

    Parameters
    ----------
    pixels : the image as the network sees it, uint8 ``[h, w, 3]``.
    rows : image rows a step.
    confidence : probability of class 1 after each step, ``[T]``.
    activation : class activation map ``[T, n]``: the state at each step and column, weighted by what its channels do
        for class 1 against the largest other, in units of the logits.
    rule, step, probability : the rule of early termination, the step it decides after (T where it never does) and the
        probability of class 1 it decides on, which differs from ``confidence`` where row groups are passed over.
    """

    pixels: NDArray[np.uint8]
    rows: int
    confidence: NDArray[np.float64]
    activation: NDArray[np.float64]
    rule: Rule
    step: int
    probability: float

    @property
    def early(self) -> bool:
        """Whether the rule decides before the last step."""
        return self.step < len(self.confidence)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        rule = {"threshold": self.rule.threshold, "consecutive": self.rule.consecutive, "lower": self.rule.lower}
        found = {"confidence": self.confidence.tolist(), "activation": self.activation.tolist(), "rule": rule}
        return found | {"step": self.step, "early": self.early, "probability": self.probability}


def _margin(logits: Tensor) -> Tensor:
    return logits[..., 1] - torch.cat([logits[..., :1], logits[..., 2:]], -1).amax(-1)


def activation_map(states: Tensor, pooled: Tensor, classify: Callable[[Tensor], Tensor]) -> NDArray[np.float64]:
    """States ``[T, d, n]`` weighted by the gradient of the classifier's margin at ``pooled`` ``[T, d]``: ``[T, n]``.

    With one linear layer as classifier these are its weights, as in the paper.
    """
    with torch.enable_grad():
        point = pooled.detach().clone().requires_grad_()
        (weight,) = torch.autograd.grad(_margin(classify(point)).sum(), point)
    return torch.einsum("td,tdn->tn", weight, states).double().numpy()


def _real_classifier(model: Int8Model) -> Callable[[Tensor], Tensor]:
    """The integer model's classifier in real numbers, which can be differentiated."""
    inputs = input_scales(model.config, model.scales)

    def linear(name: str, x: Tensor) -> Tensor:
        layer, unit = model.layers[name], model.scales[name]
        fraction = unit / 2.0 ** layer.shift.astype(np.float64)
        weight = layer.weight[:, :, 0, 0] * fraction[:, None] / inputs[name]
        return x @ torch.from_numpy(weight).T + torch.from_numpy(layer.bias * fraction)

    def classify(pooled: Tensor) -> Tensor:
        x = pooled.double()
        if HARDSWISH_SCALE in model.scales:
            x = F.hardswish(linear("classifier.hidden", x))
        return linear("classifier.output", x)

    return classify


def _explain_float(model: RaScaNet, pixels: NDArray[np.uint8], rule: Rule) -> Explanation:
    if rule.lower is not None:
        raise RascaError("passing over row groups (--lower) is explained with an integer model")
    with torch.no_grad():
        (image,) = batches(pixels[None])
        states = model.scan(image)
        pooled = model.pool(states)[:, 0]
        logits = model.classify(pooled)
    margins = np.floor(_margin(logits).double().numpy() / FINE).astype(np.int64)[None]
    scores = Scores(margins, margins > 0, np.zeros(1, np.int64), FINE)
    confidence = logits.softmax(-1)[:, 1].double().numpy()
    activation = activation_map(states[:, :, 0], pooled, model.classify)
    step = int(decided(scores, rule)[0][0])
    return Explanation(pixels, model.config.rows, confidence, activation, rule, step, float(confidence[step - 1]))


def _explain_int8(model: Int8Model, pixels: NDArray[np.uint8], rule: Rule) -> Explanation:
    image = torch.from_numpy(pixels[None])
    traces = integer.run(model, image)
    states = torch.cat([trace["gru.candidate"] for trace in traces]).double() * HIDDEN_SCALE
    unit = HIDDEN_SCALE * (2 if model.config.pool == "mean+max" else 1)
    pooled = torch.cat([trace["pool"] for trace in traces]).double() * unit
    logits = torch.cat([trace["classifier.output"] for trace in traces]) * model.scales["classifier.output"]
    activation = activation_map(states, pooled, _real_classifier(model))
    ended = termination.run(model, image, rule)
    answer = (ended.final[0] * model.scales["classifier.output"]).softmax(-1)[1]
    confidence = logits.softmax(-1)[:, 1].double().numpy()
    step = int(ended.steps[0])
    return Explanation(pixels, model.config.rows, confidence, activation, rule, step, float(answer))


def explain(model: RaScaNet | Int8Model, pixels: NDArray[np.uint8], rule: Rule) -> Explanation:
    """Explain one image, uint8 ``[h, w, 3]`` of the network's size.

    Confidence and activation are those of the whole frame; ``lower`` of the rule needs an integer model.
    """
    if isinstance(model, Int8Model):
        return _explain_int8(model, pixels, rule)
    return _explain_float(model.eval(), pixels, rule)


def draw(found: Explanation, out: Path, title: str = "") -> None:
    """A PNG: the photo with the rows that early termination leaves out, confidence by rows, activation map."""
    check_name(out)
    from matplotlib.figure import Figure

    height, width = found.pixels.shape[:2]
    total = len(found.confidence)
    read = total * found.rows
    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    photo, bar, curve, cam = figure.subplots(1, 4, width_ratios=(6, 0.5, 3, 6), sharey=True)
    for axes in (photo, cam):
        axes.imshow(found.pixels, extent=(0, width, height, 0), aspect="auto")
        axes.set_xticks([])
    photo.set_title(title, fontsize=9)
    photo.set_ylabel("row")
    bar.imshow(found.confidence[:, None], extent=(0, 1, read, 0), aspect="auto", cmap="jet", vmin=0, vmax=1)
    bar.set_xticks([])
    edges = np.arange(total + 1) * found.rows
    curve.stairs(found.confidence, edges, orientation="horizontal", baseline=None, color="0.2")
    curve.axvline(found.rule.threshold, color="tab:red", ls="--")
    curve.set_xlim(0, 1.02)
    times = "once" if found.rule.consecutive == 1 else f"in {found.rule.consecutive} steps in a row"
    curve.set_xlabel(f"confidence; {found.rule.threshold:g} {times} decides", fontsize=8)
    top = max(STRONG, float(found.activation.max()))
    shown = cam.imshow(
        found.activation,
        extent=(0, width, read, 0),
        aspect="auto",
        cmap="jet",
        vmin=0,
        vmax=top,
        alpha=0.5,
        interpolation="bilinear",
    )
    cam.set_title("activation of class 1", fontsize=9)
    figure.colorbar(shown, ax=cam)
    if found.early:
        stop = found.step * found.rows
        photo.axhspan(stop, height, color="0.5", alpha=0.7)
        photo.text(width / 2, stop, f"decided after row {stop}, step {found.step} of {total}", ha="center", va="top")
        curve.axhline(stop, color="tab:red", lw=0.8)
    photo.set_ylim(height, 0)
    write_png(figure, out)
