"""Verdicts and results into packets for the host."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from fpga.packet_receiver import Verdict, struct_of
from fpga.protocol import CRC_BYTES, FAULT, IDENTITY, REPLY, TO_HOST, Fault, Identity, Kind, result
from rasca_hw.interfaces import result_layout


class PacketSender(wiring.Component):
    """Sends one packet a verdict: the result, the identity, or the fault.

    A verdict on a frame that was fed to the accelerator waits for its result, whether that is then sent or thrown away.

    Parameters
    ----------
    identity : what the board answers to IDENTIFY.

    Members
    -------
    verdicts, results : taken together, when the packet before is sent.
    bytes : to the UART.
    fault : fault of the last verdict.
    klass : class of the last good result.
    answered : a good result was sent since reset.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        super().__init__(
            {
                "verdicts": In(stream.Signature(Verdict)),
                "results": In(stream.Signature(result_layout(identity.classes))),
                "bytes": Out(stream.Signature(8)),
                "fault": Out(8),
                "klass": Out(4),
                "answered": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        verdict, item = self.verdicts.payload, self.results.payload
        layouts = {Kind.FAULT: FAULT, Kind.IDENTITY: IDENTITY, Kind.RESULT: result(self.identity.classes)}
        most = len(TO_HOST) + REPLY.size + max(layout.size for layout in layouts.values())
        bits = Signal(8 * most)
        left = Signal(range(most + 1))
        index = Signal(range(most + 1))

        def load(kind: Kind, **values: Any) -> list[Any]:
            """Assignments that make a packet of this kind the next to be sent."""
            layout = layouts[kind]
            body = Signal(struct_of(layout), name=kind.name.lower())
            m.d.comb += [body[field.name].eq(values[field.name]) for field in layout.fields]
            head = TO_HOST + REPLY.pack(kind=kind, length=layout.size)
            whole = Cat(Const(int.from_bytes(head, "little"), 8 * len(head)), body)
            return [bits.eq(whole), left.eq(len(head) + layout.size), index.eq(0)]

        logits = {f"logit{n}": item.logits[n] for n in range(self.identity.classes)}
        fault = load(Kind.FAULT, frame=verdict.frame, fault=verdict.fault)
        identity = load(Kind.IDENTITY, frame=verdict.frame, **self.identity.values())
        answer = load(
            Kind.RESULT,
            frame=verdict.frame,
            step=item.step,
            errors=item.errors.as_value(),
            **{"class": item.klass},
            **logits,
        )
        m.d.comb += [self.bytes.payload.eq(bits[:8]), crc.data.eq(bits[:8])]

        with m.FSM():
            with m.State("verdict"):
                with m.If(self.verdicts.valid & (~verdict.fed | self.results.valid)):
                    m.d.comb += [self.verdicts.ready.eq(1), self.results.ready.eq(verdict.fed), crc.start.eq(1)]
                    m.d.sync += self.fault.eq(verdict.fault)
                    with m.If(verdict.fault != Fault.NONE):
                        m.d.sync += fault
                    with m.Elif(verdict.fed):
                        m.d.sync += [*answer, self.klass.eq(item.klass), self.answered.eq(1)]
                    with m.Else():
                        m.d.sync += identity
                    m.next = "body"
            with m.State("body"):
                m.d.comb += [
                    self.bytes.valid.eq(1),
                    crc.valid.eq(self.bytes.ready & (index >= len(TO_HOST))),
                ]
                with m.If(self.bytes.ready):
                    m.d.sync += [bits.eq(bits[8:]), left.eq(left - 1), index.eq(index + 1)]
                    with m.If(left == 1):
                        m.next = "crc"
            with m.State("crc"):
                m.d.sync += [bits.eq(crc.crc), left.eq(CRC_BYTES)]
                m.next = "tail"
            with m.State("tail"):
                m.d.comb += self.bytes.valid.eq(1)
                with m.If(self.bytes.ready):
                    m.d.sync += [bits.eq(bits[8:]), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.next = "verdict"
        return m
