"""What a design on an iCE40 UP5K may draw: an estimate from what another accelerator of that part was measured at.

MARLANN makes as many products a cycle there, 16, and its core draws 10.6 mW at 12 MHz and 17.0 mW at 20 MHz
(SymbioticEDA/MARLANN, power-test/README.md): a line through both gives a part that is always drawn and one for each
cycle. Nobody published what such a design draws while its clock runs and its operands are held, between two frames.
So there are two ends: as much as at work (no gating), and nothing beyond what is always drawn (perfect gating).
"""

from __future__ import annotations

from typing import Any

from rtl_gen.target import Target

SOURCE = "SymbioticEDA/MARLANN, power-test/README.md: 10.6 mW at 12 MHz, 17.0 mW at 20 MHz, iCE40 UP5K"
MEASURED = ((12, 10.6), (20, 17.0))
"""MHz and mW."""
PRODUCTS = 16
"""A cycle, of the design that was measured."""
RATES = (1, 5, 30)
"""Frames a second."""


def _line() -> tuple[float, float]:
    """mW that are always drawn, and nJ a cycle."""
    (slow, less), (fast, more) = MEASURED
    each = (more - less) / (fast - slow)
    return less - each * slow, each


def energy(target: Target, frame_cycles: int) -> dict[str, Any] | None:
    """The estimate for frames of so many cycles; None for a device or an array that nothing is known of.

    A rate that the clock does not allow is left out.
    """
    if target.device.lower() != "ice40up5k" or target.multipliers != PRODUCTS:
        return None
    static, each = _line()
    running = static + each * target.clock_mhz
    rates = []
    for rate in RATES:
        work = rate * frame_cycles / (target.clock_mhz * 1e6)
        if work <= 1:
            gated = static + each * target.clock_mhz * work
            rates.append(
                {
                    "frames_per_second": rate,
                    "at_work": round(work, 4),
                    "no_gating_mw": round(running, 2),
                    "perfect_gating_mw": round(gated, 2),
                    "saved_mw_at_most": round(running - gated, 2),
                }
            )
    return {
        "kind": "estimate",
        "source": SOURCE,
        "always_mw": round(static, 2),
        "nj_per_cycle": round(each, 3),
        "mj_per_frame": round(each * frame_cycles / 1e6, 3),
        "rates": rates,
    }
