"""AXI4-Stream video (tuser: start of frame, tlast: end of line) to the crop's events, for systems that have one.

A frame's end is not seen before the next one's start, so the crop behind this should hold the window's last pixel until
all lines have come (:attr:`~rasca_hw.camera.crop.Hold.LINES`). tready is low while the accelerator is busy: a source
that cannot wait needs a buffer of its own.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .interfaces import Event, Kind

ORDER = "gbr"
"""Colours from the lowest byte of tdata upwards, as AMD's UG934 has them."""

VIDEO = wiring.Signature({"tdata": Out(24), "tuser": Out(1), "tlast": Out(1), "tvalid": Out(1), "tready": In(1)})


class AxiVideo(wiring.Component):
    """A beat takes a cycle, and a cycle more for each of tuser and tlast.

    Parameters
    ----------
    order : colours from the lowest byte of tdata upwards.

    Members
    -------
    video : the slave.
    events : see :class:`~rasca_hw.camera.interfaces.Event`.

    Raises
    ------
    ValueError
        Unless `order` names each colour once.
    """

    def __init__(self, *, order: str = ORDER) -> None:
        if sorted(order) != sorted("rgb"):
            raise ValueError(f"order must name r, g and b once each, not {order!r}")
        self.order = order
        super().__init__({"video": In(VIDEO), "events": Out(stream.Signature(Event))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        video, event = self.video, self.events.payload
        m.d.comb += [
            self.events.valid.eq(video.tvalid),
            Cat(event[colour] for colour in self.order).eq(video.tdata),
        ]
        taken = video.tvalid & self.events.ready
        with m.FSM():
            with m.State("Start"):
                m.d.comb += event.kind.eq(Kind.PIXEL)
                with m.If(video.tuser):
                    m.d.comb += event.kind.eq(Kind.FRAME)
                    with m.If(taken):
                        m.next = "Pixel"
                with m.Else():
                    self._pixel(m, taken)
            with m.State("Pixel"):
                m.d.comb += event.kind.eq(Kind.PIXEL)
                self._pixel(m, taken)
            with m.State("Line"):
                m.d.comb += [event.kind.eq(Kind.LINE), video.tready.eq(self.events.ready)]
                with m.If(taken):
                    m.next = "Start"
        return m

    def _pixel(self, m: Module, taken: Any) -> None:
        """The beat's pixel; the beat is done with it unless it ends the line."""
        with m.If(self.video.tlast):
            with m.If(taken):
                m.next = "Line"
        with m.Else():
            m.d.comb += self.video.tready.eq(self.events.ready)
            with m.If(taken):
                m.next = "Start"
