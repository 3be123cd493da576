"""Scales of the spatial attention: its two products have one shift each, so scales lie on grids of powers of two."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rasca_nn.calibrate import Samples, squared_error
from rasca_nn.config import RaScaNetConfig
from rasca_nn.errors import RascaError
from rasca_nn.int8_file import SPATIAL_LIMITS, SpatialShifts, mixed
from rasca_nn.tables import EXP_STEP

HIDDEN_SCALE = 1 / 127
"""Scale of the hidden state."""


class QuantizeError(RascaError):
    """A network that cannot be quantised; the message names the layer."""


def _best(name: str, values: NDArray[np.float64], scales: list[float], low: int, high: int, needed: float = 0.0) -> int:
    """Which of the scales, none below ``needed``, loses least (:func:`rasca_nn.calibrate.squared_error`)."""
    errors = {i: squared_error(values, s, low, high) for i, s in enumerate(scales) if s >= needed}
    if not errors:
        raise QuantizeError(f"{name}: its weights need a unit of {needed:.3g}; the largest there is {max(scales):.3g}")
    return min(errors, key=lambda i: errors[i])


def choose(
    config: RaScaNetConfig, head: int, samples: Samples, scales: dict[str, float], needed: tuple[float, float]
) -> SpatialShifts:
    """Shifts of a head's spatial attention; enters the scales of key, value and mix into ``scales``.

    ``needed``: the least scales of key and value with which their weights fit 8 bits. Raises :class:`QuantizeError`
    where they fit none.
    """
    key, value = f"spatial{head}.key", f"spatial{head}.value"
    # Scores H^T K (over sqrt(d) if banded) in units of EXP_STEP.
    divisor = math.sqrt(config.hidden) if config.spatial_attention == "banded" else 1.0
    units = [EXP_STEP * divisor / HIDDEN_SCALE / 2**k for k in range(SPATIAL_LIMITS["scores"] + 1)]
    scores = _best(key, samples[key], units, -128, 127, needed[0])
    scales[key] = units[scores]

    fractions = [2.0 ** -(7 + q) for q in range(SPATIAL_LIMITS["weights"] + 1)]
    weights = _best(key, samples[f"spatial{head}.weights"], fractions, 0, 127)
    sums = [scales[f"head{head}.conv4"] * 2**a for a in range(SPATIAL_LIMITS["residual"] + 1)]
    residual = _best(value, samples[mixed(head)], sums, -128, 127)
    scales[mixed(head)] = sums[residual]
    units = [sums[residual] / fractions[weights] / 2**k for k in range(SPATIAL_LIMITS["mix"] + 1)]
    mix = _best(value, samples[value], units, -128, 127, needed[1])
    scales[value] = units[mix]
    return SpatialShifts(scores, weights, mix, residual)
