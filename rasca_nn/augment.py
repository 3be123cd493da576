"""Random views of photos for training: crop, flip, slight rotation, colour jitter, all on whole batches.

A crop of a photo whose person boxes are known gets the label of what it shows, so photos of persons also give
photographs without one, from the same source.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

CANDIDATES = 12
"""Random crops tried for each view before the whole photo is taken."""


class Views(NamedTuple):
    """Where each view lies in its photo and what it shows.

    ``window`` float32 ``[B, 4]`` (top, left, bottom, right in 0..1), ``labels`` int64 ``[B]``.
    """

    window: NDArray[np.float32]
    labels: NDArray[np.int64]


class LabelRule(NamedTuple):
    """What a view shows, by the largest part of it that one person's box covers.

    A person from ``present`` on, none below ``absent``; a view between the two is not taken. The paper's rule is 0.005
    for both.
    """

    present: float = 0.005
    absent: float = 0.005


def largest_part(boxes: NDArray[np.float32], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest part of each window that one box covers.

    Boxes ``[B, K, 4]`` (left, top, right, bottom) and windows ``[B, C, 4]`` (top, left, bottom, right) to ``[B, C]``.
    """
    left, top, right, bottom = np.moveaxis(boxes[:, None].astype(np.float64), -1, 0)
    y0, x0, y1, x1 = np.moveaxis(window[:, :, None], -1, 0)
    high = (np.minimum(bottom, y1) - np.maximum(top, y0)).clip(0)
    wide = (np.minimum(right, x1) - np.maximum(left, x0)).clip(0)
    found: NDArray[np.float64] = (high * wide / ((y1 - y0) * (x1 - x0))).max(-1)
    return found


def choose_views(
    rng: np.random.Generator,
    boxes: NDArray[np.float32],
    known: NDArray[np.bool_],
    labels: NDArray[np.int64],
    want: NDArray[np.int64],
    min_area: float = 0.2,
    rule: LabelRule | None = None,
) -> Views:
    """A random window of each of B photos that shows what is wanted.

    Parameters
    ----------
    boxes : the photos' persons, ``[B, K, 4]`` (:func:`rasca_nn.boxes.person_boxes`).
    known, labels : whether the boxes are known, and the whole photo's label.
    want : the label wished for; where no candidate has it the whole photo and its own label are taken.
    min_area : smallest part of a photo a view may be; positives without boxes keep at least 0.6.
    rule : the label of a view; default the paper's.
    """
    rule = rule or LabelRule()
    batch = len(boxes)
    shape = (batch, CANDIDATES)
    blind = (~known & (labels == 1))[:, None]
    area = np.exp(rng.uniform(np.where(blind, math.log(0.6), math.log(min_area)), 0.0, shape))
    aspect = np.exp(rng.uniform(-0.3, 0.3, shape))
    high, wide = np.minimum(np.sqrt(area / aspect), 1), np.minimum(np.sqrt(area * aspect), 1)
    top, left = rng.uniform(0, 1, shape) * (1 - high), rng.uniform(0, 1, shape) * (1 - wide)
    windows = np.stack([top, left, top + high, left + wide], -1)
    part = largest_part(boxes, windows)
    suits = np.where(want[:, None] == 1, (part >= rule.present) | blind, (part < rule.absent) & ~blind)
    pick = suits.argmax(1)
    found = suits[np.arange(batch), pick]
    window = windows[np.arange(batch), pick]
    window[~found] = (0, 0, 1, 1)
    return Views(window.astype(np.float32), np.where(found, want, labels))


def placement(rng: np.random.Generator, window: NDArray[np.float32], tilt: float = 0.08) -> Tensor:
    """Affine maps ``[B, 2, 3]`` from view to photo, for ``grid_sample``: window, flip and a small rotation."""
    batch = len(window)
    top, left, bottom, right = window.T
    flip = rng.choice([-1.0, 1.0], batch)
    angle = rng.normal(0, tilt, batch)
    high, wide = bottom - top, right - left
    cos, sin = np.cos(angle), np.sin(angle)
    theta = np.stack(
        [
            np.stack([wide * cos * flip, -wide * sin, left + right - 1], -1),
            np.stack([high * sin * flip, high * cos, top + bottom - 1], -1),
        ],
        1,
    )
    return torch.from_numpy(theta.astype(np.float32))


def sample(maps: Tensor, theta: Tensor, height: int, width: int) -> Tensor:
    """Float maps ``[B, C, H, W]`` seen through ``theta``, bilinear, ``[B, C, height, width]``."""
    grid = F.affine_grid(theta, [len(maps), maps.shape[1], height, width], align_corners=False)
    return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)


def colours(rng: np.random.Generator, batch: int, strength: float = 0.4) -> tuple[Tensor, Tensor]:
    """Brightness, contrast, saturation, hue now and then grey: a matrix ``[B, 3, 3]`` and an offset ``[B]``."""
    grey = np.tile(np.array([0.299, 0.587, 0.114]), (3, 1))
    # The hue turns in the chroma plane of YIQ.
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    angle = rng.uniform(-0.3, 0.3, batch) * strength
    turn = np.zeros((batch, 3, 3))
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 1, 2], turn[:, 2, 1] = -np.sin(angle), np.sin(angle)
    hue = np.linalg.inv(to_yiq) @ turn @ to_yiq
    coloured = (rng.random(batch) > 0.1) | (strength == 0)
    saturation = rng.uniform(1 - strength, 1 + strength, batch) * coloured
    mix = saturation[:, None, None] * hue + (1 - saturation)[:, None, None] * grey
    gain = rng.uniform(1 - strength, 1 + strength, batch)
    contrast = rng.uniform(1 - strength, 1 + strength, batch)
    mix = torch.from_numpy((mix * (gain * contrast)[:, None, None]).astype(np.float32))
    middle = torch.from_numpy((127.5 * gain * (1 - contrast)).astype(np.float32))
    return mix, middle


def recolour(images: Tensor, mix: Tensor, middle: Tensor) -> Tensor:
    """Float images ``[B, 3, h, w]`` in 0..255 under :func:`colours`, clamped to that range."""
    pixels = images.permute(0, 2, 3, 1).flatten(1, 2)
    mixed = torch.baddbmm(middle[:, None, None], pixels, mix.transpose(1, 2)).clamp_(0, 255)
    return mixed.view(len(images), *images.shape[2:], 3).permute(0, 3, 1, 2)
