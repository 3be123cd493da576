"""From a sensor's pins to the accelerator's pixels.

pins -> Dvp (pclk | sync) -> Crop -> pixels
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain, Module, ResetSignal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from ..interfaces import Pixel
from .crop import Crop
from .dvp import DOMAIN, Dvp
from .interfaces import Event


class FrontEnd(wiring.Component):
    """Members
    -------
    pclk, vsync, href, data : pins of the sensor; the domain of pclk is made here and reset with `sync`.
    pixels : for the accelerator.
    overflow : pixels were lost since reset, because the accelerator was too slow; see :class:`~.dvp.Dvp`.
    spoiled, filled : of the :class:`~.crop.Crop`.
    event, taken : what the crop takes of the whole frame, for those who show it; nothing waits for them.
    """

    def __init__(self, dvp: Dvp, crop: Crop, *, falling: bool = False) -> None:
        """`falling`: the sensor's data holds at the falling edge of pclk."""
        self.dvp = dvp
        self.crop = crop
        self.falling = falling
        super().__init__(
            {
                "pclk": In(1),
                "vsync": In(1),
                "href": In(1),
                "data": In(8),
                "pixels": Out(stream.Signature(Pixel)),
                "overflow": Out(1),
                "spoiled": Out(1),
                "filled": Out(1),
                "event": Out(Event),
                "taken": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.pclk = domain = ClockDomain(local=True)
        m.submodules.reset = ResetSynchronizer(ResetSignal("sync"), domain=DOMAIN)
        m.submodules.dvp = dvp = self.dvp
        m.submodules.crop = crop = self.crop
        connect(m, dvp.events, crop.events)
        connect(m, crop.pixels, flipped(self.pixels))
        m.d.comb += [
            # Not a domain of the falling edge: synchronisers want rising ones.
            domain.clk.eq(~self.pclk if self.falling else self.pclk),
            dvp.vsync.eq(self.vsync),
            dvp.href.eq(self.href),
            dvp.data.eq(self.data),
            self.overflow.eq(dvp.overflow),
            self.spoiled.eq(crop.spoiled),
            self.filled.eq(crop.filled),
            self.event.eq(dvp.events.payload),
            self.taken.eq(dvp.events.valid & dvp.events.ready),
        ]
        return m
