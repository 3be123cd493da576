"""The demo with a camera: pins of the sensor in; results on a UART and LEDs, and the picture on a screen.

    sensor -> FrontEnd -> Core -> PacketSender -> tx
       |         |         `-> Bars -> Screen -> tmds          (where there is a screen)
       |         `-> the picture ------^
       `-- scl, sda -- RegisterSequence, again and again until the sensor has answered

The packets are those of docs/uart.md: an IDENTITY after reset and after every 64th result, a RESULT for each frame,
with the accelerator's number of it, and a FAULT for each time the weights could not be read. Nothing is received.

LEDs, from 0: 0 person (class 1); 1 no person (class 0); 2 changes with each result; 3 the sensor's registers are
written; 4 they could not be; 5 the last frame was marked as bad; 6 pixels were lost since reset; 7 blinks about once a
second; 8 the weights are there; 9 they could not be read from the flash. A board connects those it has.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from fpga.bars import Bars
from fpga.core import Core
from fpga.packet_receiver import FAULT_BITS
from fpga.packet_sender import PacketSender
from fpga.protocol import BAUD, TIMEOUT_S, Identity
from fpga.screen import Screen
from fpga.tmds import CHANNELS
from rasca_hw.boot import BootLoader
from rasca_hw.camera.front_end import FrontEnd
from rasca_hw.camera.sccb import RegisterSequence
from rasca_hw.crc import Crc32
from rasca_hw.flash import PAUSE_CYCLES, PINS
from rasca_hw.heartbeat import Heartbeat
from rasca_hw.uart import Transmitter, bit_time

LEDS = 10
PERSON, NO_PERSON, ANSWERS, CONFIGURED, SILENT, MARKED, LOST, BLINK, LOADED, BROKEN = range(LEDS)
"""Their places in `leds`."""
IDENTITY_EVERY = 64
"""Results."""


class CameraDemo(wiring.Component):
    """Pins on the outside; a board's top adds the clocks of `sync` and, with a screen, of `pixel` and `shift`.

    Parameters
    ----------
    front_end, sequence : for the sensor; `sequence` writes its registers.
    accelerator, loader : see :class:`fpga.core.Core`.
    identity : the network in the accelerator.
    clock_hz, baud : of `sync` and of the UART.
    pclk_mhz : of the sensor, for a board's constraints.
    timeout_s : a period of this length at least passes before the registers are first written, in which the sensor's
        clock runs, and before each new try.
    screen : None for none.

    Members
    -------
    pclk, vsync, href, data : of the sensor.
    scl, sda : as they are; scl_low, sda_low : pull them low.
    tx : UART. leds : see above, 1 is on.
    tmds : see :class:`fpga.tmds.Serializer`; only with a screen.
    flash : the flash's pins; only with a loader.
    """

    def __init__(
        self,
        front_end: FrontEnd,
        sequence: RegisterSequence,
        accelerator: Any,
        identity: Identity,
        *,
        clock_hz: float,
        pclk_mhz: float,
        baud: float = BAUD,
        timeout_s: float = TIMEOUT_S,
        screen: Screen | None = None,
        loader: BootLoader | None = None,
    ) -> None:
        self.front_end = front_end
        self.sequence = sequence
        self.core = Core(accelerator, classes=identity.classes, loader=loader)
        self.identity = identity
        self.clock_hz = clock_hz
        self.pclk_mhz = pclk_mhz
        self.time = bit_time(clock_hz, baud)
        self.heartbeat = Heartbeat(short=PAUSE_CYCLES, long=clock_hz * timeout_s, blink=clock_hz)
        self.screen = screen
        more = {"flash": Out(PINS)} if loader else {}
        if screen:
            more["tmds"] = Out(2).array(CHANNELS + 1)
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
                **more,
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.front_end = front_end = self.front_end
        m.submodules.core = core = self.core
        m.submodules.sequence = sequence = self.sequence
        m.submodules.heartbeat = heartbeat = self.heartbeat
        m.submodules.sender = sender = PacketSender(self.identity)
        m.submodules.transmitter = transmitter = Transmitter(time=self.time)
        m.submodules.crc = crc = Crc32()
        connect(m, front_end.pixels, core.pixels)
        connect(m, core.results, sender.results)
        if core.loader:
            connect(m, core.flash, flipped(self.flash))

        m.d.comb += [
            *(getattr(front_end, pin).eq(getattr(self, pin)) for pin in ("pclk", "vsync", "href", "data")),
            # A sensor that has had its clock for too short a time, or none, does not answer: later it may.
            sequence.start.eq(~sequence.done & heartbeat.long),
            sequence.scl.eq(self.scl),
            sequence.sda.eq(self.sda),
            self.scl_low.eq(sequence.scl_low),
            self.sda_low.eq(sequence.sda_low),
            core.pulse.eq(heartbeat.short),
            core.retry.eq(heartbeat.long),
            transmitter.send.eq(sender.send),
            transmitter.bit.eq(sender.bit),
            sender.number.eq(transmitter.number),
            sender.shift.eq(transmitter.shift),
            *(getattr(crc, name).eq(getattr(sender.crc, name)) for name in ("start", "valid", "tail", "data")),
            sender.crc.crc.eq(crc.crc),
            self.tx.eq(transmitter.tx),
        ]
        self._verdicts(m, sender)
        self._confidences(m)

        answers, marked = Signal(), Signal()
        with m.If(core.results.valid & core.results.ready):
            m.d.sync += [answers.eq(~answers), marked.eq(core.results.payload.errors.as_value().any())]
        m.d.comb += self.leds.eq(
            Cat(
                sender.answered & sender.person,
                sender.answered & ~sender.person,
                answers,
                sequence.done,
                sequence.error,
                marked,
                front_end.overflow,
                heartbeat.blink,
                core.loaded,
                core.broken,
            )
        )
        return m

    def _confidences(self, m: Module) -> None:
        """To the screen."""
        front_end, core, screen = self.front_end, self.core, self.screen
        if screen is None:
            m.d.comb += core.confidences.ready.eq(1)
            return
        m.submodules.screen = screen
        m.submodules.bars = bars = Bars(levels=screen.levels, scale=self.identity.scale)
        connect(m, core.confidences, bars.confidences)
        m.d.comb += [
            screen.event.eq(front_end.event),
            screen.taken.eq(front_end.taken),
            screen.step.eq(bars.step),
            screen.length.eq(bars.length),
            screen.valid.eq(bars.valid),
            *(self.tmds[i].eq(screen.tmds[i]) for i in range(CHANNELS + 1)),
        ]

    def _verdicts(self, m: Module, sender: PacketSender) -> None:
        """Each result is sent as it is, the identity before every `IDENTITY_EVERY` of them, and why there are none."""
        verdict, result, core = sender.verdict, sender.results, self.core
        left = Signal(range(IDENTITY_EVERY + 1))
        place = Signal(range(len(result.payload.frame)))
        due = left == 0
        # As it was when it was found: a packet's content must not change while it is sent.
        fault = Signal(FAULT_BITS)
        with m.If(core.broken & self.heartbeat.long & (fault == 0)):
            m.d.sync += fault.eq(core.refusal)
        m.d.comb += [
            verdict.valid.eq(due | (fault != 0) | result.valid),
            verdict.fed.eq(~due & (fault == 0)),
            verdict.identify.eq(due),
            verdict.fault.eq(Mux(due, 0, fault)),
            verdict.frame.eq(verdict.fed & result.payload.frame.bit_select(place, 1)),
        ]
        with m.If(verdict.next):
            m.d.sync += place.eq(place + 1)
        with m.If(verdict.valid & verdict.ready):
            m.d.sync += [left.eq(Mux(due, IDENTITY_EVERY, left - verdict.fed)), place.eq(0)]
            with m.If(~due):
                m.d.sync += fault.eq(0)
