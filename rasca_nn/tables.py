"""The 256-entry tables of the integer model (docs/numerics.md, "Tables").

Entry i is stored at i + 128, but for exp, whose index is 0 to 255.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INDEX = np.arange(-128, 128)
SIGMOID_STEP, TANH_STEP, EXP_STEP = 1 / 16, 1 / 32, 1 / 32
"""Real value of one index step."""


def up(gate: NDArray[np.integer]) -> NDArray[np.int32]:
    """A gate 0..255 in units of 1/256: ``g + (g >> 7)``, so that 255 means exactly one."""
    wide = gate.astype(np.int32)
    return wide + (wide >> 7)


def sigmoid_table() -> NDArray[np.uint8]:
    """The gate nearest to 1/(1 + exp(-i/16)) for each index, the smaller on a tie; uint8."""
    wanted = 1 / (1 + np.exp(-INDEX * SIGMOID_STEP))
    off = np.abs(up(np.arange(256))[None, :] / 256 - wanted[:, None])
    return off.argmin(1).astype(np.uint8)


def tanh_table() -> NDArray[np.int8]:
    """floor(127 tanh(i/32) + 0.5); int8."""
    return np.floor(127 * np.tanh(INDEX * TANH_STEP) + 0.5).astype(np.int8)


def hardswish_table(s_in: float, s_out: float) -> NDArray[np.int8]:
    """clamp(floor(hs(i s_in) / s_out + 0.5), -128, 127) with hs(x) = x min(max(x + 3, 0), 6) / 6; int8."""
    x = INDEX * s_in
    y = x * np.clip(x + 3, 0, 6) / 6
    return np.clip(np.floor(y / s_out + 0.5), -128, 127).astype(np.int8)


def exp_table() -> NDArray[np.uint8]:
    """floor(255 exp(-i/32) + 0.5) for i = 0 .. 255; uint8."""
    return np.floor(255 * np.exp(-np.arange(256) * EXP_STEP) + 0.5).astype(np.uint8)
