"""Images as pixel streams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FIRST, LAST, BUBBLE = 1 << 24, 1 << 25, 1 << 31


def pixel_stream(image: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """An image [h, w, 3] as the words that :meth:`sim.cxxrtl.Simulator.run` takes: start of frame and ends of lines
    marked.
    """
    words = (
        image[..., 0].astype(np.uint32) | image[..., 1].astype(np.uint32) << 8 | image[..., 2].astype(np.uint32) << 16
    )
    words[0, 0] |= FIRST
    words[:, -1] |= LAST
    return np.ascontiguousarray(words.reshape(-1))
