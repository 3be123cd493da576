"""Photos in and decisions out over a UART.

::

    rx pin -> Receiver -> FIFO -> PacketReceiver -> pixels  -> (accelerator)
                                        | verdicts
    tx pin <- Transmitter <----- PacketSender    <- results <- (accelerator)
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from fpga.packet_receiver import PacketReceiver
from fpga.packet_sender import PacketSender
from fpga.protocol import BAUD, TIMEOUT_S, Identity
from rasca_hw.interfaces import Pixel, result_layout
from rasca_hw.uart import Receiver, Transmitter, bit_time

FIFO_BYTES = 16
"""Covers pauses of the accelerator of 16 byte times (4,266 cycles at 80 MHz and 3 Mbaud)."""


class UartBridge(wiring.Component):
    """UART pins on one side, the accelerator's streams on the other.

    Parameters
    ----------
    identity : the network behind it.
    clock_hz : frequency of the clock.
    baud : bits a second on both pins.
    timeout_s : pause inside a packet after which it is given up.

    Members
    -------
    rx, tx : pins.
    pixels, results : the accelerator's.
    busy : a frame is being received.
    fault : fault of the last request (:class:`fpga.protocol.Fault`); 0 for none.
    klass, answered : class of the last good result, and whether there was one.
    """

    def __init__(
        self, identity: Identity, *, clock_hz: float, baud: float = BAUD, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.identity = identity
        self.time = bit_time(clock_hz, baud)
        self.timeout = round(clock_hz * timeout_s)
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "pixels": Out(stream.Signature(Pixel)),
                "results": In(stream.Signature(result_layout(identity.classes))),
                "busy": Out(1),
                "fault": Out(8),
                "klass": Out(4),
                "answered": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.receiver = receiver = Receiver(time=self.time)
        m.submodules.transmitter = transmitter = Transmitter(time=self.time)
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=9, depth=FIFO_BYTES)
        m.submodules.packets_in = packets_in = PacketReceiver(
            height=self.identity.height, width=self.identity.width, timeout=self.timeout
        )
        m.submodules.packets_out = packets_out = PacketSender(self.identity)

        m.d.comb += [
            receiver.rx.eq(self.rx),
            queue.w_data.eq(receiver.bytes.payload),
            queue.w_en.eq(receiver.bytes.valid),
            receiver.bytes.ready.eq(queue.w_rdy),
            packets_in.bytes.payload.eq(queue.r_data),
            packets_in.bytes.valid.eq(queue.r_rdy),
            queue.r_en.eq(packets_in.bytes.ready),
            packets_in.overflow.eq(receiver.overflow),
            self.tx.eq(transmitter.tx),
            self.busy.eq(packets_in.busy),
            self.fault.eq(packets_out.fault),
            self.klass.eq(packets_out.klass),
            self.answered.eq(packets_out.answered),
        ]
        connect(m, packets_in.pixels, flipped(self.pixels))
        connect(m, packets_in.verdicts, packets_out.verdicts)
        connect(m, flipped(self.results), packets_out.results)
        connect(m, packets_out.bytes, transmitter.bytes)
        return m
