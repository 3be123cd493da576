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

PRESENT = 0.02
"""A view shows a person when boxes cover at least this part of it."""
CANDIDATES = 12
"""Random crops tried for each view before the whole photo is taken."""


class Views(NamedTuple):
    """Where each view lies in its photo and what it shows.

    ``window`` float32 ``[B, 4]`` (top, left, bottom, right in 0..1), ``labels`` int64 ``[B]``.
    """

    window: NDArray[np.float32]
    labels: NDArray[np.int64]


def integral(cover: NDArray[np.float32]) -> NDArray[np.float32]:
    """Summed-area table ``[N, rows + 1, columns + 1]`` of coverage grids ``[N, rows, columns]``."""
    table = np.zeros((len(cover), cover.shape[1] + 1, cover.shape[2] + 1), np.float32)
    table[:, 1:, 1:] = cover.cumsum(1, dtype=np.float32).cumsum(2, dtype=np.float32)
    return table


def choose_views(
    rng: np.random.Generator,
    table: NDArray[np.float32],
    known: NDArray[np.bool_],
    labels: NDArray[np.int64],
    want: NDArray[np.int64],
    min_area: float = 0.2,
) -> Views:
    """A random window of each of B photos that shows what is wanted.

    Parameters
    ----------
    table : :func:`integral` of the photos' coverage, ``[B, ...]``.
    known, labels : whether the coverage is known, and the whole photo's label.
    want : the label wished for; where no candidate has it the whole photo and its own label are taken.
    min_area : smallest part of a photo a view may be; positives without boxes keep at least 0.6.
    """
    batch, rows, columns = len(table), table.shape[1] - 1, table.shape[2] - 1
    shape = (batch, CANDIDATES)
    blind = (~known & (labels == 1))[:, None]
    area = np.exp(rng.uniform(np.where(blind, math.log(0.6), math.log(min_area)), 0.0, shape))
    aspect = np.exp(rng.uniform(-0.3, 0.3, shape))
    high, wide = np.minimum(np.sqrt(area / aspect), 1), np.minimum(np.sqrt(area * aspect), 1)
    top, left = rng.uniform(0, 1, shape) * (1 - high), rng.uniform(0, 1, shape) * (1 - wide)
    # Snapped outwards, so a view that counts as empty is empty.
    y0, x0 = np.floor(top * rows).astype(int), np.floor(left * columns).astype(int)
    y1, x1 = np.ceil((top + high) * rows).astype(int), np.ceil((left + wide) * columns).astype(int)
    y1, x1 = np.minimum(y1, rows), np.minimum(x1, columns)
    b = np.arange(batch)[:, None]
    covered = table[b, y1, x1] - table[b, y0, x1] - table[b, y1, x0] + table[b, y0, x0]
    part = covered / ((y1 - y0) * (x1 - x0))
    suits = np.where(want[:, None] == 1, (part >= PRESENT) | blind, (part < 1e-4) & ~blind)
    pick = suits.argmax(1)
    found = suits[np.arange(batch), pick]
    window = np.stack([top, left, top + high, left + wide], -1)[np.arange(batch), pick]
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


def jitter(rng: np.random.Generator, images: Tensor, strength: float = 0.4) -> Tensor:
    """Brightness, contrast, saturation, hue and now and then grey, one 3x3 matrix and offset an image.

    ``images`` float ``[B, 3, h, w]`` in 0..255; the result is clamped to that range.
    """
    batch = len(images)
    grey = np.tile(np.array([0.299, 0.587, 0.114]), (3, 1))
    # The hue turns in the chroma plane of YIQ.
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    angle = rng.uniform(-0.3, 0.3, batch) * strength
    turn = np.zeros((batch, 3, 3))
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 1, 2], turn[:, 2, 1] = -np.sin(angle), np.sin(angle)
    hue = np.linalg.inv(to_yiq) @ turn @ to_yiq
    saturation = rng.uniform(1 - strength, 1 + strength, batch) * (rng.random(batch) > 0.1)
    mix = saturation[:, None, None] * hue + (1 - saturation)[:, None, None] * grey
    gain = rng.uniform(1 - strength, 1 + strength, batch)
    contrast = rng.uniform(1 - strength, 1 + strength, batch)
    mix = torch.from_numpy((mix * (gain * contrast)[:, None, None]).astype(np.float32))
    middle = torch.from_numpy((127.5 * gain * (1 - contrast)).astype(np.float32))
    pixels = images.permute(0, 2, 3, 1).flatten(1, 2)
    mixed = torch.baddbmm(middle[:, None, None], pixels, mix.transpose(1, 2)).clamp_(0, 255)
    return mixed.view(batch, *images.shape[2:], 3).permute(0, 3, 1, 2)
