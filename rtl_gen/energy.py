"""What a design on an iCE40 UP5K may draw: an estimate from what another accelerator of that part was measured at.

MARLANN makes as many products a cycle there, 16. At work its core draws 10.58 mW at 12 MHz and 16.99 mW at 20 MHz: a
line through both gives a part that is always drawn and one for each cycle. While it waits, its clock running, it draws
3.53 mW at 12 MHz: that gives the part of a cycle in which the array is held, as a broadcast array is between two frames
(:mod:`rasca_hw.broadcast`). A cycle in which it waits and is not held is taken for one at work, which draws the most:
what the hold saves is an upper bound.
"""

from __future__ import annotations

from typing import Any

from rtl_gen.target import Target

SOURCE = (
    "SymbioticEDA/MARLANN, power-test/README.md: core of an iCE40 UP5K at work 10.58 mW at 12 MHz, 16.99 mW at 20 MHz; "
    "idle 3.53 mW at 12 MHz"
)
AT_WORK = ((12, 10.58), (20, 16.99))
IDLE = (12, 3.53)
"""MHz and mW."""
PRODUCTS = 16
"""A cycle, of the design that was measured."""
RATES = (1, 5, 30)
"""Frames a second."""


def _parts() -> tuple[float, float, float]:
    """mW that are always drawn; nJ of a cycle at work, and of one in which the array is held."""
    (slow, less), (fast, more) = AT_WORK
    work = (more - less) / (fast - slow)
    always = less - work * slow
    mhz, idle = IDLE
    return always, work, (idle - always) / mhz


def energy(target: Target, frame_cycles: int) -> dict[str, Any] | None:
    """The estimate for frames of so many cycles; None for a device or an array that nothing is known of.

    `mj_per_frame` is all that is drawn while the array works on a frame, with what is always drawn. A rate that the
    clock does not allow is left out.
    """
    if target.device.lower() != "ice40up5k" or target.multipliers != PRODUCTS or target.array != "broadcast":
        return None
    always, work, held = _parts()
    running, resting = (always + each * target.clock_mhz for each in (work, held))
    rates = []
    for rate in RATES:
        share = rate * frame_cycles / (target.clock_mhz * 1e6)
        if share <= 1:
            drawn = running * share + resting * (1 - share)
            rates.append(
                {
                    "frames_per_second": rate,
                    "at_work": round(share, 4),
                    "mw": round(drawn, 2),
                    "saved_at_most_mw": round(running - drawn, 2),
                }
            )
    return {
        "kind": "estimate",
        "source": SOURCE,
        "always_mw": round(always, 2),
        "nj_per_cycle": round(work, 3),
        "nj_per_held_cycle": round(held, 3),
        "at_work_mw": round(running, 2),
        "mj_per_frame": round(running / target.clock_mhz * frame_cycles / 1e6, 3),
        "rates": rates,
    }
