"""Dividers of a PLL for a wanted frequency.

input / reference -> phase detector -> VCO -> / output -> clock
                           ^-- / loop <-'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rasca_nn.errors import RascaError


@dataclass(frozen=True)
class PllDividers:
    """Divider settings; `clock_mhz` is what they give."""

    reference: int
    loop: int
    output: int
    clock_mhz: float


@dataclass(frozen=True)
class PllLimits:
    """What one kind of PLL can do: dividers from 1 up to `references` and `loops`, one of `outputs`, and the ranges of
    the phase detector and the oscillator in MHz.
    """

    references: int
    loops: int
    outputs: Sequence[int]
    detector_mhz: tuple[float, float]
    vco_mhz: tuple[float, float]

    def dividers(self, input_mhz: float, wanted_mhz: float) -> PllDividers:
        """The settings nearest to the wanted clock; on a tie the fastest phase detector, then the slowest VCO.

        Raises
        ------
        RascaError
            If no setting comes within 1 % of the wanted clock.
        """
        found = []
        for reference in range(1, self.references + 1):
            detector = input_mhz / reference
            if not self.detector_mhz[0] <= detector <= self.detector_mhz[1]:
                continue
            for loop in range(1, self.loops + 1):
                vco = detector * loop
                if self.vco_mhz[0] <= vco <= self.vco_mhz[1]:
                    output = min(self.outputs, key=lambda divider: abs(vco / divider - wanted_mhz))
                    error = round(abs(vco / output - wanted_mhz), 6)
                    found.append((error, reference, vco, PllDividers(reference, loop, output, vco / output)))
        if not found or min(found, key=lambda item: item[:3])[0] > wanted_mhz / 100:
            raise RascaError(f"no PLL setting makes {wanted_mhz:g} MHz of {input_mhz:g} MHz")
        return min(found, key=lambda item: item[:3])[3]
