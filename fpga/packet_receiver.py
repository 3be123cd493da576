"""The host's bits into pixels for the accelerator and a verdict on each request.

The accelerator always gets whole frames: when bytes stop coming in mid-frame, any pixels are sent in place of the
missing ones, so that a frame that was begun always yields a result, which the verdict then says to throw away. There is
no frame buffer, and the CRC comes last; hence the accelerator may be done with a frame before it is known to be good.

Everything is compared and stored bit by bit: that takes the fewest gates, and there is time.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from fpga.protocol import CRC_BYTES, HEADER, TO_BOARD, Fault, Kind
from rasca_hw import crc
from rasca_hw.interfaces import Pixel
from rasca_hw.uart import BITS

FAULT_BITS = 4
PIXEL_BYTES = 3
VERDICT = wiring.Signature(
    {
        "valid": Out(1),
        "ready": In(1),
        "fault": Out(FAULT_BITS),
        "identify": Out(1),
        "fed": Out(1),
        "frame": Out(1),
        "next": In(1),
    }
)
"""How a request ended; all of it holds until `ready`.

`fault` is a :class:`fpga.protocol.Fault`, `identify` the kind of a good request. `fed`: a whole frame went into the
accelerator, so one result comes out. `frame` is the next bit of the host's number of the frame, after each `next`.
"""


class Raster(wiring.Component):
    """Bits into pixels, with their place in the frame. A pixel must be taken before the next bit comes.

    Members
    -------
    bit, shift : a bit of the next pixel.
    complete : all bits of a pixel are there; it leaves from the next cycle on. Not while one does, and a cycle more.
    taken, final : a pixel was taken in the cycle before; the frame's last one was.
    """

    def __init__(self, *, height: int, width: int) -> None:
        self.height = height
        self.width = width
        super().__init__(
            {
                "bit": In(1),
                "shift": In(1),
                "complete": In(1),
                "taken": Out(1),
                "final": Out(1),
                "pixels": Out(stream.Signature(Pixel)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pixel = self.pixels.payload
        value = Signal(PIXEL_BYTES * BITS, reset_less=True)
        column = Signal(range(self.width))
        row = Signal(range(self.height))
        first = Signal(init=1)
        # A cycle behind, for pixels come three cycles apart or more.
        last, bottom = Signal(), Signal()
        m.d.sync += [last.eq(column == self.width - 1), bottom.eq(row == self.height - 1)]
        m.d.comb += [
            Cat(pixel.r, pixel.g, pixel.b).eq(value),
            pixel.first.eq(first),
            pixel.last.eq(last),
            self.final.eq(self.taken & last & bottom),
        ]
        # A register behind the accelerator's answer, which comes late in its cycle.
        m.d.sync += self.taken.eq(self.pixels.valid & self.pixels.ready)
        with m.If(self.shift):
            m.d.sync += value.eq(Cat(value[1:], self.bit))
        with m.If(self.complete):
            m.d.sync += self.pixels.valid.eq(1)
        with m.If(self.pixels.valid & self.pixels.ready):
            m.d.sync += self.pixels.valid.eq(0)
        with m.If(self.taken):
            m.d.sync += [first.eq(self.final), column.eq(column + 1)]
            with m.If(last):
                m.d.sync += [column.eq(0), row.eq(row + 1)]
            with m.If(last & bottom):
                m.d.sync += row.eq(0)
        return m


class PacketReceiver(wiring.Component):
    """Parses :func:`fpga.protocol.request`.

    While a verdict waits, bits are dropped; so is a pixel that comes before the last one was taken, and the frame.

    Parameters
    ----------
    height, width : the network's input; a header with another size is a fault.

    Members
    -------
    bit, number, shift, end, framing : of :class:`rasca_hw.uart.Receiver`.
    pulse : a packet is given up at the second one without a byte between.
    crc : to compute it.
    refusal : the fault that photos get; NONE where the accelerator takes them.
    pixels : whole frames.
    verdict : one a request, after its last pixel was sent. `fault` holds until the next request begins.
    busy : a frame is being received.
    """

    def __init__(self, *, height: int, width: int) -> None:
        self.height = height
        self.width = width
        super().__init__(
            {
                "bit": In(1),
                "number": In(range(BITS)),
                "shift": In(1),
                "end": In(1),
                "framing": In(1),
                "pulse": In(1),
                "crc": Out(crc.PORT),
                "refusal": In(FAULT_BITS),
                "pixels": Out(stream.Signature(Pixel)),
                "verdict": Out(VERDICT),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.raster = raster = Raster(height=self.height, width=self.width)
        connect(m, raster.pixels, flipped(self.pixels))
        verdict, crc = self.verdict, self.crc
        m.d.comb += [raster.bit.eq(self.bit), crc.data.eq(self.bit)]

        quiet, timed_out = Signal(), Signal()
        m.d.comb += timed_out.eq(self.pulse & quiet)
        with m.If(self.pulse):
            m.d.sync += quiet.eq(1)
        with m.If(self.shift | self.end):
            m.d.sync += quiet.eq(0)

        count = Signal(range(HEADER.size))
        in_header = Signal()
        with m.If(self.end):
            m.d.sync += count.eq(count + 1)
        # Of the byte so far: it is the expected one, or the other one that may be.
        one, other = Signal(init=1), Signal(init=1)
        first, second = self._expected(in_header, count)
        with m.If(self.shift):
            m.d.sync += [one.eq(one & (self.bit == first)), other.eq(other & (self.bit == second))]
        with m.If(self.end):
            m.d.sync += [one.eq(1), other.eq(1)]

        # The first fault of a packet is the one reported: the later ones follow from it.
        fault = verdict.fault
        clean = Signal(init=1)

        def blame(why: Any) -> None:
            with m.If(clean):
                m.d.sync += [fault.eq(why), clean.eq(0)]

        frame = Signal(16)
        m.d.comb += verdict.frame.eq(frame[0])
        at_frame = (count == 1) | (count == 2)
        with m.If(verdict.next | (self.shift & in_header & at_frame)):
            m.d.sync += frame.eq(Cat(frame[1:], self.bit))

        skipped, wrong, differs = Signal(), Signal(), Signal()
        with m.FSM() as fsm:
            with m.State("sync0"):
                with m.If(self.end):
                    with m.If(~skipped):
                        m.d.sync += [fault.eq(Fault.NONE), clean.eq(1)]
                    with m.If(self.framing):
                        m.d.sync += [fault.eq(Fault.FRAMING), clean.eq(0)]
                    m.d.sync += skipped.eq(1)
                    with m.If(other):
                        m.next = "sync1"
                with m.Elif(timed_out & skipped):
                    with m.If(fault != Fault.FRAMING):
                        m.d.sync += [fault.eq(Fault.NO_SYNC), clean.eq(0)]
                    m.d.sync += [frame.eq(0), verdict.fed.eq(0), skipped.eq(0)]
                    m.next = "verdict"
            with m.State("sync1"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [frame.eq(0), verdict.fed.eq(0), wrong.eq(0), differs.eq(0)]
                with m.If(self.end):
                    m.next = "sync0"
                    with m.If(other):
                        m.next = "sync1"
                    with m.If(one):
                        m.d.sync += [fault.eq(Fault.NONE), clean.eq(1), count.eq(0), skipped.eq(0)]
                        m.next = "header"
                with m.If(timed_out):
                    m.next = "sync0"
            with m.State("header"):
                m.d.comb += [in_header.eq(1), crc.valid.eq(self.shift)]
                with m.If(self.end):
                    with m.If(count == 0):
                        m.d.sync += [verdict.identify.eq(other), wrong.eq(~one & ~other)]
                    with m.Elif(~at_frame & ~one & ~verdict.identify):
                        m.d.sync += wrong.eq(1)
                    with m.If(count == HEADER.size - 1):
                        m.next = "check"
                with m.If(timed_out):
                    blame(Fault.TIMEOUT)
                    m.d.sync += frame.eq(0)
                    m.next = "verdict"
            with m.State("check"):
                m.d.sync += count.eq(0)
                with m.If(wrong):
                    blame(Fault.HEADER)
                    m.next = "verdict"
                with m.Elif(verdict.identify):
                    m.next = "crc"
                with m.Elif(self.refusal != Fault.NONE):
                    blame(self.refusal)
                    m.next = "verdict"
                with m.Else():
                    m.d.sync += verdict.fed.eq(1)
                    m.next = "pixels"
            with m.State("pixels"):
                m.d.comb += [crc.valid.eq(self.shift), raster.shift.eq(self.shift)]
                with m.If(self.end & (count == PIXEL_BYTES - 1)):
                    m.d.comb += raster.complete.eq(1)
                    m.d.sync += count.eq(0)
                with m.If(raster.final):
                    m.next = "crc"
                    with m.If(self.shift):
                        blame(Fault.OVERFLOW)
                        m.next = "verdict"
                with m.Elif(self.shift & raster.pixels.valid):
                    blame(Fault.OVERFLOW)
                    m.next = "pad"
                with m.Elif(timed_out):
                    blame(Fault.TIMEOUT)
                    m.next = "pad"
            with m.State("pad"):
                m.d.comb += raster.complete.eq(~raster.pixels.valid & ~raster.taken)
                with m.If(self.end):
                    m.d.sync += skipped.eq(1)
                with m.If(raster.final):
                    m.next = "verdict"
            with m.State("crc"):
                m.d.comb += [crc.valid.eq(self.shift), crc.tail.eq(1)]
                with m.If(self.shift & (self.bit != crc.crc)):
                    m.d.sync += differs.eq(1)
                with m.If(self.end & (count == CRC_BYTES - 1)):
                    with m.If(differs):
                        blame(Fault.CRC)
                    m.next = "verdict"
                with m.If(timed_out):
                    blame(Fault.TIMEOUT)
                    m.next = "verdict"
            with m.State("verdict"):
                m.d.comb += verdict.valid.eq(1)
                with m.If(self.end):
                    m.d.sync += skipped.eq(1)
                with m.If(verdict.ready):
                    m.next = "sync0"
        with m.If(self.end & self.framing & ~verdict.valid & ~fsm.ongoing("sync0") & ~fsm.ongoing("sync1")):
            blame(Fault.FRAMING)
        m.d.comb += self.busy.eq(fsm.ongoing("pixels"))
        return m

    def _expected(self, in_header: Signal, count: Signal) -> tuple[Any, Any]:
        """The bits that come now if the byte is the expected one, and if it is the other one that may be."""
        zero = HEADER.pack(kind=0, frame=0, height=self.height, width=self.width)
        header = int.from_bytes(zero, "little") | Kind.FRAME
        at_header = Const(header, BITS * HEADER.size).bit_select(Cat(self.number, count), 1)
        one, other = (Const(value, BITS).bit_select(self.number, 1) for value in (TO_BOARD[1], TO_BOARD[0]))
        identify = Const(Kind.IDENTIFY, BITS).bit_select(self.number, 1)
        return Mux(in_header, at_header, one), Mux(in_header, identify, other)
