"""Verdicts and results into packets for the host."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fpga.packet_receiver import VERDICT
from fpga.protocol import CRC_BYTES, FAULT, IDENTITY, REPLY, TO_HOST, Fault, Identity, Kind, Layout, result
from rasca_hw import crc
from rasca_hw.interfaces import result_layout
from rasca_hw.uart import BITS

HEAD = len(TO_HOST) + REPLY.size
FRAME = 2
"""Bytes of the number of the frame, the first field of every packet."""


class PacketSender(wiring.Component):
    """Sends one packet a verdict: the result, the identity, or the fault; nothing of it is stored.

    A verdict on a frame that was fed to the accelerator waits for its result, whether that is then sent or thrown away.

    Parameters
    ----------
    identity : what the board answers to IDENTIFY.

    Members
    -------
    verdict, results : held until the packet is sent.
    send, bit, number, shift : of :class:`rasca_hw.uart.Transmitter`, which takes bits four cycles apart or more.
    crc : to compute it.
    person : the last good result was class 1.
    answered : a good result was sent since reset.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        super().__init__(
            {
                "verdict": In(VERDICT),
                "results": In(stream.Signature(result_layout(identity.classes))),
                "send": Out(1),
                "bit": Out(1),
                "number": In(range(BITS)),
                "shift": In(1),
                "crc": Out(crc.PORT),
                "person": Out(1),
                "answered": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        verdict, item, crc = self.verdict, self.results.payload, self.crc
        logits = {f"logit{n}": item.logits[n] for n in range(self.identity.classes)}
        answer = {"class": item.klass, "step": item.step, "errors": item.errors.as_value(), **logits}
        faulty, good = Signal(), Signal()
        m.d.comb += [faulty.eq(verdict.fault != Fault.NONE), good.eq(~faulty & ~verdict.identify)]

        place = Signal(range(HEAD + max(layout.size for layout in (FAULT, IDENTITY, result(self.identity.classes)))))
        byte_done, last, bit = Signal(), Signal(), Signal()
        m.d.comb += byte_done.eq(self.shift & (self.number == BITS - 1))
        packets = (
            (faulty, Kind.FAULT, FAULT, {"fault": verdict.fault}),
            (~faulty & verdict.identify, Kind.IDENTITY, IDENTITY, self.identity.values()),
            (good, Kind.RESULT, result(self.identity.classes), answer),
        )
        # A cycle or two behind, for bits come many cycles apart.
        for chosen, kind, layout, values in packets:
            content = Signal(name=f"bit_{kind.name.lower()}")
            m.d.sync += content.eq(self._content(kind, layout, values).bit_select(Cat(self.number, place), 1))
            with m.If(chosen):
                m.d.sync += [bit.eq(content), last.eq(place == HEAD + layout.size - 1)]
        at_frame, counted = Signal(), Signal()
        m.d.sync += [at_frame.eq((place == HEAD) | (place == HEAD + 1)), counted.eq(place >= len(TO_HOST))]
        with m.If(at_frame):
            m.d.sync += bit.eq(verdict.frame)
        m.d.sync += verdict.next.eq(0)
        with m.FSM():
            with m.State("verdict"):
                m.d.comb += crc.start.eq(verdict.valid)
                m.d.sync += place.eq(0)
                with m.If(verdict.valid & (~verdict.fed | self.results.valid)):
                    m.next = "body"
            with m.State("body"):
                m.d.comb += [
                    self.send.eq(1),
                    self.bit.eq(bit),
                    crc.valid.eq(self.shift & counted),
                ]
                m.d.sync += verdict.next.eq(self.shift & at_frame)
                with m.If(byte_done):
                    m.d.sync += place.eq(place + 1)
                    with m.If(last):
                        m.d.sync += place.eq(0)
                        m.next = "crc"
            with m.State("crc"):
                m.d.comb += [self.send.eq(1), self.bit.eq(crc.crc), crc.valid.eq(self.shift), crc.tail.eq(1)]
                with m.If(byte_done):
                    m.d.sync += place.eq(place + 1)
                    with m.If(place == CRC_BYTES - 1):
                        m.next = "sent"
            with m.State("sent"):
                m.d.comb += [verdict.ready.eq(1), self.results.ready.eq(verdict.fed)]
                with m.If(good):
                    m.d.sync += [self.person.eq(item.klass == 1), self.answered.eq(1)]
                m.next = "verdict"
        m.d.comb += crc.data.eq(self.bit)
        return m

    def _content(self, kind: Kind, layout: Layout, values: dict[str, Any]) -> Any:
        """All bits of a packet before its CRC, lowest first; those of the frame's number are 0."""
        head = Const(int.from_bytes(TO_HOST + REPLY.pack(kind=kind, length=layout.size), "little"), BITS * HEAD)
        fields = []
        for field in layout.fields:
            value = values.get(field.name, 0)
            bits = Const(value, BITS * field.size) if isinstance(value, int) else value[: BITS * field.size]
            fields.append(Cat(bits, Const(0, BITS * field.size - len(bits))))
        return Cat(head, *fields)
