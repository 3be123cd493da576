"""The iCE40's PLL (SB_PLL40): dividers for a wanted frequency, and the instance.

    input / reference -> phase detector -> VCO (533 .. 1066 MHz) -> / 2^output -> clock
                               ^---------- / loop <-'

Limits from Lattice's FPGA-DS-02008.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from rasca_nn.errors import RascaError

VCO_MHZ = (533.0, 1066.0)
PHASE_DETECTOR_MHZ = (10.0, 133.0)
REFERENCE, LOOP = 16, 128
OUTPUT = range(1, 7)
FILTER_MHZ = (17, 26, 44, 66, 101)
"""Of the phase detector, up to which each filter range from 1 on serves."""


@dataclass(frozen=True)
class PllDividers:
    """Divider settings; `output` is an exponent of two, `clock_mhz` is what they give."""

    reference: int
    loop: int
    output: int
    clock_mhz: float

    @property
    def filter_range(self) -> int:
        """For the phase detector's frequency."""
        detector = self.clock_mhz * 2**self.output / self.loop
        return 1 + sum(detector >= limit for limit in FILTER_MHZ)


def dividers(input_mhz: float, wanted_mhz: float) -> PllDividers:
    """The settings nearest to the wanted clock; on a tie the fastest phase detector, then the slowest VCO.

    Raises
    ------
    RascaError
        If no setting comes within 1 % of the wanted clock.
    """
    found = []
    for reference in range(1, REFERENCE + 1):
        detector = input_mhz / reference
        if not PHASE_DETECTOR_MHZ[0] <= detector <= PHASE_DETECTOR_MHZ[1]:
            continue
        for loop in range(1, LOOP + 1):
            vco = detector * loop
            if VCO_MHZ[0] <= vco <= VCO_MHZ[1]:
                for output in OUTPUT:
                    error = round(abs(vco / 2**output - wanted_mhz), 6)
                    found.append((error, reference, vco, PllDividers(reference, loop, output, vco / 2**output)))
    if not found or min(found, key=lambda item: item[:3])[0] > wanted_mhz / 100:
        raise RascaError(f"no PLL setting makes {wanted_mhz:g} MHz of {input_mhz:g} MHz")
    return min(found, key=lambda item: item[:3])[3]


class Ice40Pll(wiring.Component):
    """One SB_PLL40_CORE, or SB_PLL40_PAD where its input is the PLL's own pin.

    Parameters
    ----------
    settings : from :func:`dividers`.
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
            p_DIVQ=self.settings.output,
            p_FILTER_RANGE=self.settings.filter_range,
            i_RESETB=1,
            i_BYPASS=0,
            o_PLLOUTGLOBAL=self.clock_out,
            o_LOCK=self.locked,
            **source,
        )
        return m
