"""The demo with a camera: pins of the sensor in; results on a UART and LEDs, the picture on a screen.

    sensor -> FrontEnd -> Accelerator -> PacketSender -> tx
       |         |            `-> Bars -> Screen -> tmds
       |         `-> the picture ---------^
       `-- scl, sda -- RegisterSequence, once after reset

The packets are those of docs/uart.md: an IDENTITY after reset and after every 64th result, a RESULT for each frame,
with the accelerator's number of it. Nothing is received.

LEDs, from 0: 0 person (class 1); 1 no person (class 0); 2 changes with each result; 3 the sensor's registers are
written; 4 they could not be; 5 the last frame was marked as bad; 6 pixels were lost since reset; 7 blinks about once a
second.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from fpga.bars import Bars
from fpga.packet_sender import PacketSender
from fpga.protocol import BAUD, Identity
from fpga.screen import Screen
from fpga.tmds import CHANNELS
from fpga.video import VideoMode
from rasca_hw.accelerator import Accelerator
from rasca_hw.camera.front_end import FrontEnd
from rasca_hw.camera.sccb import RegisterSequence
from rasca_hw.crc import Crc32
from rasca_hw.params import AcceleratorParams
from rasca_hw.uart import Transmitter, bit_time

LEDS = 8
LEVELS = 64
"""Of a bar."""
IDENTITY_EVERY = 64
"""Results."""


class CameraDemo(wiring.Component):
    """Pins on the outside; a board's top adds the clocks of `sync`, `pixel` and `shift`.

    Parameters
    ----------
    front_end, sequence : for the sensor; `sequence` writes its registers once.
    params, identity : the network.
    clock_hz, baud : of `sync` and of the UART.
    mode, levels : of the screen, see :class:`fpga.screen.Screen`.

    Members
    -------
    pclk, vsync, href, data : of the sensor.
    scl, sda : as they are; scl_low, sda_low : pull them low.
    tx : UART. leds : see above, 1 is on. tmds : see :class:`fpga.tmds.Serializer`.
    """

    def __init__(
        self,
        front_end: FrontEnd,
        sequence: RegisterSequence,
        params: AcceleratorParams,
        identity: Identity,
        *,
        clock_hz: float,
        mode: VideoMode,
        baud: float = BAUD,
        levels: int = LEVELS,
    ) -> None:
        self.front_end = front_end
        self.sequence = sequence
        self.params = params
        self.identity = identity
        self.clock_hz = clock_hz
        self.time = bit_time(clock_hz, baud)
        self.screen = Screen(front_end.crop, steps=params.steps, levels=levels, mode=mode)
        super().__init__(
            {
                "pclk": In(1),
                "vsync": In(1),
                "href": In(1),
                "data": In(8),
                "scl": In(1, init=1),
                "sda": In(1, init=1),
                "scl_low": Out(1),
                "sda_low": Out(1),
                "tx": Out(1, init=1),
                "leds": Out(LEDS),
                "tmds": Out(2).array(CHANNELS + 1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.front_end = front_end = self.front_end
        m.submodules.accelerator = accelerator = Accelerator(self.params)
        m.submodules.sequence = sequence = self.sequence
        m.submodules.sender = sender = PacketSender(self.identity)
        m.submodules.transmitter = transmitter = Transmitter(time=self.time)
        m.submodules.bars = bars = Bars(levels=self.screen.levels, scale=self.identity.scale)
        m.submodules.screen = screen = self.screen
        connect(m, front_end.pixels, accelerator.pixels)
        connect(m, accelerator.results, sender.results)
        connect(m, accelerator.confidences, bars.confidences)
        m.submodules.crc = crc = Crc32()

        started = Signal()
        m.d.sync += started.eq(1)
        m.d.comb += [
            *(getattr(front_end, pin).eq(getattr(self, pin)) for pin in ("pclk", "vsync", "href", "data")),
            sequence.start.eq(~started),
            sequence.scl.eq(self.scl),
            sequence.sda.eq(self.sda),
            self.scl_low.eq(sequence.scl_low),
            self.sda_low.eq(sequence.sda_low),
            screen.event.eq(front_end.event),
            screen.taken.eq(front_end.taken),
            screen.step.eq(bars.step),
            screen.length.eq(bars.length),
            screen.valid.eq(bars.valid),
            *(self.tmds[i].eq(screen.tmds[i]) for i in range(CHANNELS + 1)),
            transmitter.send.eq(sender.send),
            transmitter.bit.eq(sender.bit),
            sender.number.eq(transmitter.number),
            sender.shift.eq(transmitter.shift),
            *(getattr(crc, name).eq(getattr(sender.crc, name)) for name in ("start", "valid", "tail", "data")),
            sender.crc.crc.eq(crc.crc),
            self.tx.eq(transmitter.tx),
        ]
        self._verdicts(m, sender)

        blink = Signal(range(round(self.clock_hz)))
        m.d.sync += blink.eq(blink + 1)
        answers, marked = Signal(), Signal()
        result = accelerator.results
        with m.If(result.valid & result.ready):
            m.d.sync += [answers.eq(~answers), marked.eq(result.payload.errors.as_value().any())]
        m.d.comb += self.leds.eq(
            Cat(
                sender.answered & sender.person,
                sender.answered & ~sender.person,
                answers,
                sequence.done,
                sequence.error,
                marked,
                front_end.overflow,
                blink[-1],
            )
        )
        return m

    def _verdicts(self, m: Module, sender: PacketSender) -> None:
        """Each result is sent as it is, and the identity before every `IDENTITY_EVERY` of them."""
        verdict, result = sender.verdict, sender.results
        left = Signal(range(IDENTITY_EVERY + 1))
        place = Signal(range(len(result.payload.frame)))
        due = left == 0
        m.d.comb += [
            verdict.valid.eq(due | result.valid),
            verdict.fed.eq(~due),
            verdict.identify.eq(due),
            verdict.frame.eq(~due & result.payload.frame.bit_select(place, 1)),
        ]
        with m.If(verdict.next):
            m.d.sync += place.eq(place + 1)
        with m.If(verdict.valid & verdict.ready):
            m.d.sync += [left.eq(Mux(due, IDENTITY_EVERY, left - 1)), place.eq(0)]
