"""Photos in and decisions out over a UART, one at a time: while an answer is sent, nothing is received.

::

    rx pin -> Receiver -bits-> PacketReceiver -----> pixels  -> (accelerator)
                                    | verdict \\
                                    |          Crc32
                                    |         /
    tx pin <- Transmitter <-bits- PacketSender <---- results <- (accelerator)
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from fpga.packet_receiver import FAULT_BITS, PacketReceiver
from fpga.packet_sender import PacketSender
from fpga.protocol import BAUD, Identity
from rasca_hw.crc import Crc32
from rasca_hw.interfaces import Pixel, result_layout
from rasca_hw.uart import Receiver, Transmitter, bit_time


class UartBridge(wiring.Component):
    """UART pins on one side, the accelerator's streams on the other.

    A pixel must be taken before the next byte's first bit: within 1.5 bit times.

    Parameters
    ----------
    identity : the network behind it.
    clock_hz : frequency of the clock.
    baud : bits a second on both pins.

    Members
    -------
    rx, tx : pins.
    pulse : a packet is given up at the second one without a byte between.
    refusal : the fault that photos get (:class:`fpga.protocol.Fault`); 0 where the accelerator takes them.
    pixels, results : the accelerator's.
    busy : a frame is being received.
    fault : fault of the last request (:class:`fpga.protocol.Fault`) until the next one begins; 0 for none.
    person, answered : whether the last good result was class 1, and whether there was one.
    """

    def __init__(self, identity: Identity, *, clock_hz: float, baud: float = BAUD) -> None:
        self.identity = identity
        self.time = bit_time(clock_hz, baud)
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "pulse": In(1),
                "refusal": In(FAULT_BITS),
                "pixels": Out(stream.Signature(Pixel)),
                "results": In(stream.Signature(result_layout(identity.classes))),
                "busy": Out(1),
                "fault": Out(FAULT_BITS),
                "person": Out(1),
                "answered": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.receiver = receiver = Receiver(time=self.time)
        m.submodules.transmitter = transmitter = Transmitter(time=self.time)
        m.submodules.packets_in = packets_in = PacketReceiver(height=self.identity.height, width=self.identity.width)
        m.submodules.packets_out = packets_out = PacketSender(self.identity)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            *(getattr(packets_in, name).eq(getattr(receiver, name)) for name in ("bit", "number", "shift", "end")),
            packets_in.framing.eq(receiver.framing),
            packets_in.pulse.eq(self.pulse),
            packets_in.refusal.eq(self.refusal),
            transmitter.send.eq(packets_out.send),
            transmitter.bit.eq(packets_out.bit),
            packets_out.number.eq(transmitter.number),
            packets_out.shift.eq(transmitter.shift),
            self.tx.eq(transmitter.tx),
            self.busy.eq(packets_in.busy),
            self.fault.eq(packets_in.verdict.fault),
            self.person.eq(packets_out.person),
            self.answered.eq(packets_out.answered),
        ]
        share_crc(m, packets_in, packets_out)
        connect(m, packets_in.pixels, flipped(self.pixels))
        connect(m, packets_in.verdict, packets_out.verdict)
        connect(m, flipped(self.results), packets_out.results)
        return m


def share_crc(m: Module, packets_in: PacketReceiver, packets_out: PacketSender) -> None:
    """One CRC for both: the sender uses it while a verdict is there, the receiver otherwise."""
    m.submodules.crc = crc = Crc32()
    into, out = packets_in.crc, packets_out.crc
    answering = packets_in.verdict.valid
    with m.If(answering):
        m.d.comb += crc.data.eq(out.data)
    with m.Else():
        m.d.comb += crc.data.eq(into.data)
    m.d.comb += [
        *(getattr(crc, name).eq(getattr(into, name) | getattr(out, name)) for name in ("start", "valid", "tail")),
        into.crc.eq(crc.crc),
        out.crc.eq(crc.crc),
    ]
