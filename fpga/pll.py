"""The ECP5's PLL (EHXPLLL).

The loop runs over an output of its own (CLKOP) and the clock is a second one (CLKOS), so that clock = VCO / output with
VCO = input / reference * loop: finer steps at a fast phase detector than with the clock in the loop. The two outputs
have no fixed phase, which a design with a single clock does not need. Limits from Lattice's FPGA-DS-02012.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .dividers import PllDividers, PllLimits

DIVIDER = 128
LIMITS = PllLimits(DIVIDER, DIVIDER, range(1, DIVIDER + 1), detector_mhz=(10.0, 400.0), vco_mhz=(400.0, 800.0))


class Ecp5Pll(wiring.Component):
    """One EHXPLLL.

    Parameters
    ----------
    input_mhz : frequency of `clock_in`.
    settings : from `LIMITS.dividers`.
    slower : a second clock with so many times the period of `clock_out`; 0 for none.

    Members
    -------
    clock_in, clock_out, slow_out : clocks.
    locked : they are stable; asynchronous.
    """

    def __init__(self, *, input_mhz: float, settings: PllDividers, slower: int = 0) -> None:
        if not 0 <= slower * settings.output <= DIVIDER:
            raise ValueError(f"slower must be 0 to {DIVIDER // settings.output}, not {slower!r}")
        self.input_mhz = input_mhz
        self.settings = settings
        self.slower = slower
        super().__init__({"clock_in": In(1), "clock_out": Out(1), "slow_out": Out(1), "locked": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        loop = Signal()
        slow: dict[str, Any] = {}
        if self.slower:
            slow = {
                "a_FREQUENCY_PIN_CLKOS2": f"{self.settings.clock_mhz / self.slower:g}",
                "p_CLKOS2_ENABLE": "ENABLED",
                "p_CLKOS2_DIV": self.settings.output * self.slower,
                "p_CLKOS2_CPHASE": 0,
                "p_CLKOS2_FPHASE": 0,
                "o_CLKOS2": self.slow_out,
            }
        m.submodules.pll = Instance(
            "EHXPLLL",
            ("a", "FREQUENCY_PIN_CLKI", f"{self.input_mhz:g}"),
            ("a", "FREQUENCY_PIN_CLKOP", f"{self.input_mhz / self.settings.reference:g}"),
            ("a", "FREQUENCY_PIN_CLKOS", f"{self.settings.clock_mhz:g}"),
            ("a", "ICP_CURRENT", "12"),
            ("a", "LPF_RESISTOR", "8"),
            ("a", "MFG_ENABLE_FILTEROPAMP", "1"),
            ("a", "MFG_GMCREF_SEL", "2"),
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA",
            p_CLKI_DIV=self.settings.reference,
            p_CLKFB_DIV=1,
            p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=self.settings.loop,
            p_CLKOP_CPHASE=0,
            p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED",
            p_CLKOS_DIV=self.settings.output,
            p_CLKOS_CPHASE=0,
            p_CLKOS_FPHASE=0,
            i_RST=0,
            i_STDBY=0,
            i_PHASESEL0=0,
            i_PHASESEL1=0,
            i_PHASEDIR=0,
            i_PHASESTEP=0,
            i_PHASELOADREG=0,
            i_PLLWAKESYNC=0,
            i_ENCLKOP=1,
            i_CLKI=self.clock_in,
            i_CLKFB=loop,
            o_CLKOP=loop,
            o_CLKOS=self.clock_out,
            o_LOCK=self.locked,
            **slow,
        )
        return m
