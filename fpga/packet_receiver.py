"""Bytes of the host into pixels for the accelerator and a verdict on each request.

The accelerator always gets whole frames: when bytes stop coming in mid-frame, the missing pixels are sent as zeros, so
that a frame that was begun always yields a result, which the verdict then says to throw away. There is no frame buffer,
and the CRC comes last; hence the accelerator may be done with a frame before it is known to be good.
"""

# No `from __future__ import annotations`: data.Struct reads the annotations as shapes, strings make it empty.
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out, connect, flipped

from fpga.protocol import CRC_BYTES, HEADER, TO_BOARD, Fault, Kind, Layout
from rasca_hw.interfaces import Pixel
from rasca_hw.uart import Byte


def struct_of(layout: Layout) -> data.StructLayout:
    """The struct with a packet's fields, first byte in the lowest bits."""
    return data.StructLayout({f.name: Shape(8 * f.size, f.signed) for f in layout.fields})


class Verdict(data.Struct):
    """How a request ended."""

    frame: 16
    """The host's number of it; 0 if it is not known."""
    kind: 8
    """:class:`fpga.protocol.Kind` of the request."""
    fault: 8
    """:class:`fpga.protocol.Fault`; NONE for a good one."""
    fed: 1
    """A whole frame went into the accelerator, so one result comes out."""


class Raster(wiring.Component):
    """Groups of three bytes into pixels, with their place in the frame; a pixel leaves a cycle after its third byte.

    Members
    -------
    byte, take : the next byte, where `take` is 1. Not allowed while `stalled`.
    pad : a black pixel instead of bytes, dropping those of an unfinished pixel. Not allowed while `stalled`.
    stalled : the last pixel was not taken before this cycle.
    final : this byte or pad makes the last pixel of the frame.
    """

    def __init__(self, *, height: int, width: int) -> None:
        self.height = height
        self.width = width
        super().__init__(
            {
                "byte": In(8),
                "take": In(1),
                "pad": In(1),
                "stalled": Out(1),
                "final": Out(1),
                "pixels": Out(stream.Signature(Pixel)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        held = Signal(16)
        phase = Signal(range(3))
        column = Signal(range(self.width))
        row = Signal(range(self.height))
        done = Signal()
        # A cycle behind, for pixels come two cycles apart or more.
        last = Signal()
        bottom = Signal()
        m.d.sync += [last.eq(column == self.width - 1), bottom.eq(row == self.height - 1)]
        m.d.comb += [
            # Not until `ready`: that would chain the accelerator's logic to this one's within a cycle.
            self.stalled.eq(self.pixels.valid),
            done.eq(self.pad | (self.take & (phase == 2))),
            self.final.eq(done & last & bottom),
        ]
        with m.If(self.pixels.ready):
            m.d.sync += self.pixels.valid.eq(0)
        with m.If(self.take):
            m.d.sync += [held.eq(Cat(held[8:], self.byte)), phase.eq(phase + 1)]
        with m.If(done):
            pixel = self.pixels.payload
            m.d.sync += [
                phase.eq(0),
                self.pixels.valid.eq(1),
                Cat(pixel.r, pixel.g, pixel.b).eq(Mux(self.pad, 0, Cat(held, self.byte))),
                pixel.first.eq((column == 0) & (row == 0)),
                pixel.last.eq(last),
                column.eq(Mux(last, 0, column + 1)),
            ]
            with m.If(last):
                m.d.sync += row.eq(Mux(self.final, 0, row + 1))
        return m


class PacketReceiver(wiring.Component):
    """Parses :func:`fpga.protocol.request`.

    Takes a byte a cycle but for one after each pixel, unless `pixels` or `verdicts` is not taken. A pixel leaves a
    cycle after its third byte.

    Parameters
    ----------
    height, width : the network's input; a header with another size is a fault.
    timeout : clock cycles without a byte after which a packet is given up.

    Members
    -------
    bytes : from the UART.
    overflow : a byte was lost before `bytes` (pulse).
    pixels : whole frames.
    verdicts : one item a request, after its last pixel was sent.
    busy : a frame is being received.
    """

    def __init__(self, *, height: int, width: int, timeout: int) -> None:
        self.height = height
        self.width = width
        self.timeout = timeout
        super().__init__(
            {
                "bytes": In(stream.Signature(Byte)),
                "overflow": In(1),
                "pixels": Out(stream.Signature(Pixel)),
                "verdicts": Out(stream.Signature(Verdict)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        m.submodules.raster = raster = Raster(height=self.height, width=self.width)
        connect(m, raster.pixels, flipped(self.pixels))
        byte = self.bytes.payload.data
        take = Signal()
        m.d.comb += [take.eq(self.bytes.valid & self.bytes.ready), crc.data.eq(byte), raster.byte.eq(byte)]

        quiet = Signal(range(self.timeout + 1))
        timed_out = Signal()
        m.d.comb += timed_out.eq(quiet == self.timeout)
        with m.If(self.bytes.valid):
            m.d.sync += quiet.eq(0)
        with m.Elif(~timed_out):
            m.d.sync += quiet.eq(quiet + 1)

        # The first fault of a packet is the one reported: the later ones follow from it.
        verdict = self.verdicts.payload
        clean = Signal()
        m.d.comb += clean.eq(verdict.fault == Fault.NONE)

        def blame(fault: Fault) -> Any:
            return verdict.fault.eq(Mux(clean, fault, verdict.fault))

        with m.If(self.overflow & ~self.verdicts.valid):
            m.d.sync += blame(Fault.OVERFLOW)
        with m.Elif(take & self.bytes.payload.framing):
            m.d.sync += blame(Fault.FRAMING)

        header = Signal(struct_of(HEADER))
        count = Signal(range(max(HEADER.size, CRC_BYTES)))
        skipped = Signal()

        with m.FSM() as fsm:
            with m.State("sync0"):
                m.d.comb += self.bytes.ready.eq(1)
                with m.If(take):
                    with m.If(byte == TO_BOARD[0]):
                        m.next = "sync1"
                    with m.Else():
                        m.d.sync += skipped.eq(1)
                with m.Elif(timed_out & skipped):
                    m.d.sync += [blame(Fault.NO_SYNC), verdict.frame.eq(0), verdict.fed.eq(0)]
                    m.next = "verdict"
            with m.State("sync1"):
                m.d.comb += self.bytes.ready.eq(1)
                with m.If(take & (byte == TO_BOARD[1])):
                    m.d.comb += crc.start.eq(1)
                    m.d.sync += [verdict.fault.eq(Fault.NONE), verdict.frame.eq(0), verdict.fed.eq(0), count.eq(0)]
                    m.next = "header"
                with m.Elif(timed_out | (take & (byte != TO_BOARD[0]))):
                    m.d.sync += skipped.eq(1)
                    m.next = "sync0"
            with m.State("header"):
                m.d.comb += [self.bytes.ready.eq(1), crc.valid.eq(take)]
                with m.If(take):
                    m.d.sync += [header.eq(Cat(header.as_value()[8:], byte)), count.eq(count + 1)]
                    with m.If(count == HEADER.size - 1):
                        m.next = "check"
                with m.Elif(timed_out):
                    m.d.sync += blame(Fault.TIMEOUT)
                    m.next = "verdict"
            with m.State("check"):
                fits = (header.height == self.height) & (header.width == self.width)
                m.d.sync += [verdict.frame.eq(header.frame), verdict.kind.eq(header.kind), count.eq(0)]
                with m.If((header.kind == Kind.FRAME) & fits):
                    m.d.sync += verdict.fed.eq(1)
                    m.next = "pixels"
                with m.Elif(header.kind == Kind.IDENTIFY):
                    m.next = "crc"
                with m.Else():
                    m.d.sync += blame(Fault.HEADER)
                    m.next = "verdict"
            with m.State("pixels"):
                m.d.comb += [self.bytes.ready.eq(~raster.stalled), crc.valid.eq(take), raster.take.eq(take)]
                with m.If(raster.final):
                    m.next = "crc"
                with m.Elif(timed_out):
                    m.d.sync += blame(Fault.TIMEOUT)
                    m.next = "pad"
            with m.State("pad"):
                m.d.comb += [self.bytes.ready.eq(1), raster.pad.eq(~raster.stalled)]
                with m.If(raster.final):
                    m.next = "verdict"
            with m.State("crc"):
                m.d.comb += [self.bytes.ready.eq(1), crc.valid.eq(take)]
                with m.If(take):
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == CRC_BYTES - 1):
                        m.next = "compare"
                with m.Elif(timed_out):
                    m.d.sync += blame(Fault.TIMEOUT)
                    m.next = "verdict"
            with m.State("compare"):
                with m.If(~crc.match_detected):
                    m.d.sync += blame(Fault.CRC)
                m.next = "verdict"
            with m.State("verdict"):
                m.d.comb += self.verdicts.valid.eq(1)
                with m.If(self.verdicts.ready):
                    m.d.sync += [verdict.fault.eq(Fault.NONE), skipped.eq(0)]
                    m.next = "sync0"
        m.d.comb += self.busy.eq(fsm.ongoing("pixels"))
        return m
