"""A sensor's parallel port: pclk, vsync, href and data, in a clock domain of their own.

    pins -> registers -> edges, pixels -> event -> asynchronous FIFO -> events          (pclk | sync)

A sensor cannot wait. When the FIFO is full an event is lost, and the next one that is written says so (`bad`), so that
the frame cannot look right; a lost end of frame is made up for as soon as there is room. Nothing here waits for
pclk: when it stops there are no events, and when it comes back the frame goes on where it was.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, DomainRenamer, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.fifo import AsyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from .interfaces import Event, Kind
from .pixels import Assembler, Format

DOMAIN = "pclk"
DEPTH = 64
"""Events that can wait by default; a power of two."""


class Dvp(wiring.Component):
    """Pins to events. The pins are in the domain `pclk`, whose edge is the one at which the sensor's data holds, and
    whose reset is asserted with that of `sync`; events and `overflow` are in `sync`.

    Parameters
    ----------
    format, high_first : see :class:`~rasca_hw.camera.pixels.Assembler`.
    vsync_blank : level of vsync between frames: 1 for a pulse between them, 0 for a signal that is high in a frame.
    href_active : level of href in a line.
    depth : events that can wait, a power of two; 16 or more.

    Members
    -------
    vsync, href, data : pins.
    events : see :class:`~rasca_hw.camera.interfaces.Event`.
    overflow : events were lost since reset.

    Raises
    ------
    ValueError
        For another depth.
    """

    def __init__(
        self,
        *,
        format: Format,
        high_first: bool = True,
        vsync_blank: bool = True,
        href_active: bool = True,
        depth: int = DEPTH,
    ) -> None:
        if depth < 16 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two of 16 or more, not {depth!r}")
        self.assembler = Assembler(format=format, high_first=high_first)
        self.vsync_blank = vsync_blank
        self.href_active = href_active
        self.depth = depth
        super().__init__(
            {
                "vsync": In(1),
                "href": In(1),
                "data": In(8),
                "events": Out(stream.Signature(Event)),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pclk = m.d[DOMAIN]
        # After a reset between frames the next frame is whole; after one in a frame there was no end yet.
        blank, was_blank = Signal(), Signal()
        active, was_active = Signal(), Signal()
        data = Signal(8)
        pclk += [
            blank.eq(self.vsync == self.vsync_blank),
            active.eq(self.href == self.href_active),
            data.eq(self.data),
            was_blank.eq(blank),
            was_active.eq(active),
        ]
        m.submodules.assembler = assembler = DomainRenamer(DOMAIN)(self.assembler)
        line = Signal()
        frame, frame_due = Signal(), Signal()
        m.d.comb += [
            line.eq(was_active & ~active),
            assembler.active.eq(active),
            assembler.data.eq(data),
            assembler.ended.eq(line),
            # Where a line and its frame end in the same clock, the frame's end follows a clock later.
            frame.eq(((blank & ~was_blank) | frame_due) & ~line),
        ]
        pclk += frame_due.eq(blank & ~was_blank & line)

        event = Signal(Event)
        happens = Signal()
        m.d.comb += [
            Cat(event.r, event.g, event.b).eq(assembler.colours),
            event.kind.eq(Mux(line, Kind.LINE, Mux(frame, Kind.FRAME, Kind.PIXEL))),
            # A pixel in the clock of a frame's end is lost: href must be low there.
            event.bad.eq(assembler.partial | (frame & assembler.valid)),
            happens.eq(line | frame | assembler.valid),
        ]
        self._write(m, pclk, event, happens)
        return m

    def _write(self, m: Module, pclk: Any, event: Any, happens: Signal) -> None:
        """The events into the FIFO, and what was lost when it was full."""
        m.submodules.fifo = fifo = AsyncFIFOBuffered(
            width=Event.as_shape().size, depth=self.depth + 1, w_domain=DOMAIN, r_domain="sync", exact_depth=True
        )
        lost, lost_frame, lost_since = Signal(), Signal(), Signal()
        is_frame = event.kind == Kind.FRAME
        written = Signal(Event)
        m.d.comb += [written.eq(event), fifo.w_data.eq(written)]
        with m.If(fifo.w_rdy & lost_frame):
            # The lost end of frame first; an event of this clock is lost too.
            m.d.comb += [written.kind.eq(Kind.FRAME), written.bad.eq(1), fifo.w_en.eq(1)]
            pclk += [lost.eq(lost_since | happens), lost_since.eq(0), lost_frame.eq(happens & is_frame)]
        with m.Elif(fifo.w_rdy):
            m.d.comb += [written.bad.eq(event.bad | lost), fifo.w_en.eq(happens)]
            with m.If(happens):
                pclk += lost.eq(0)
        with m.Elif(happens):
            pclk += lost.eq(1)
            with m.If(is_frame):
                pclk += [lost_frame.eq(1), lost_since.eq(0)]
            with m.Else():
                pclk += lost_since.eq(lost_frame)
        overflow = Signal()
        with m.If(happens & (~fifo.w_rdy | lost_frame)):
            pclk += overflow.eq(1)
        m.submodules.overflow = FFSynchronizer(overflow, self.overflow)
        m.d.comb += [
            self.events.valid.eq(fifo.r_rdy),
            self.events.payload.eq(fifo.r_data),
            fifo.r_en.eq(self.events.ready),
        ]
