"""Cameras without hardware: the integer model of the front end, and sensors that send a picture at their pins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""[h, w, 3], red first."""

PIXEL, LINE, FRAME = 0, 1, 2
"""Kinds of events, see :class:`rasca_hw.camera.interfaces.Kind`."""
BAD = 1 << 26
"""An event's flag of something lost before it."""


@dataclass(frozen=True)
class Window:
    """What of a sensor's frame becomes the network's: `height` x `width` boxes of `factor` x `factor` pixels."""

    left: int
    top: int
    factor: int
    width: int
    height: int

    def apply(self, image: Image) -> Image:
        """Each box's mean, rounded half up."""
        rows = slice(self.top, self.top + self.factor * self.height)
        columns = slice(self.left, self.left + self.factor * self.width)
        boxes = image[rows, columns].astype(np.int64)
        boxes = boxes.reshape(self.height, self.factor, self.width, self.factor, 3)
        return np.floor(boxes.mean((1, 3)) + 0.5).astype(np.uint8)


def to_rgb565(image: Image) -> NDArray[np.uint16]:
    """The picture as a sensor sends it, [h, w]: the lower bits are left out."""
    r, g, b = (image[..., i].astype(np.uint16) for i in range(3))
    return (r >> 3) << 11 | (g >> 2) << 5 | b >> 3


def from_rgb565(words: NDArray[np.uint16]) -> Image:
    """Bytes of a colour of n bits: its bits, and below them its highest ones again."""
    r, g, b = words >> 11, words >> 5 & 63, words & 31
    return np.stack([r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2], axis=-1).astype(np.uint8)


def to_grey(image: Image) -> NDArray[np.uint8]:
    """Luma of ITU-R BT.601, [h, w]."""
    return np.round(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


def from_grey(grey: NDArray[np.uint8]) -> Image:
    """Three equal colours."""
    return np.repeat(grey[..., None], 3, axis=-1)


def line_events(line: Image) -> list[int]:
    """A line's pixels, [w, 3], and its end, as payloads of :class:`rasca_hw.camera.interfaces.Event`."""
    pixels: list[int] = (line.astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])).tolist()
    return [*pixels, LINE << 24]


def frame_events(image: Image) -> list[int]:
    """A frame's lines and its end."""
    return [event for line in image for event in line_events(line)] + [FRAME << 24]
