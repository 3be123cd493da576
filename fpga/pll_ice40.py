"""The iCE40's PLL (SB_PLL40). Limits from Lattice's FPGA-DS-02008."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .dividers import PllDividers, PllLimits

LIMITS = PllLimits(16, 128, [2**n for n in range(1, 7)], detector_mhz=(10.0, 133.0), vco_mhz=(533.0, 1066.0))
FILTER_MHZ = (17, 26, 44, 66, 101)
"""Of the phase detector, up to which each filter range from 1 on serves."""


def filter_range(settings: PllDividers) -> int:
    """For the phase detector's frequency."""
    detector_mhz = settings.clock_mhz * settings.output / settings.loop
    return 1 + sum(detector_mhz >= limit for limit in FILTER_MHZ)


class Ice40Pll(wiring.Component):
    """One SB_PLL40_CORE, or SB_PLL40_PAD where its input is the PLL's own pin.

    Parameters
    ----------
    settings : from `LIMITS.dividers`.
    pad : the port of the PLL's own pin; by default `clock_in` is used.

    Members
    -------
    clock_in, clock_out : clocks.
    locked : `clock_out` is stable; asynchronous.
    """

    def __init__(self, settings: PllDividers, *, pad: Any = None) -> None:
        self.settings = settings
        self.pad = pad
        super().__init__({"clock_in": In(1), "clock_out": Out(1), "locked": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        kind, source = "SB_PLL40_CORE", {"i_REFERENCECLK": self.clock_in}
        if self.pad is not None:
            kind, source = "SB_PLL40_PAD", {"io_PACKAGEPIN": self.pad.io}
        m.submodules.pll = Instance(
            kind,
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=self.settings.reference - 1,
            p_DIVF=self.settings.loop - 1,
            p_DIVQ=self.settings.output.bit_length() - 1,
            p_FILTER_RANGE=filter_range(self.settings),
            i_RESETB=1,
            i_BYPASS=0,
            o_PLLOUTGLOBAL=self.clock_out,
            o_LOCK=self.locked,
            **source,
        )
        return m
