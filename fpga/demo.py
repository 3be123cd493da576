"""The demo: an accelerator behind a UART, its weights from flash where it has them there, and LEDs.

LEDs, from 0: 0 person (class 1); 1 no person (class 0); 2 a photo is coming in; 3 to 6 fault of the last request in
binary (:class:`fpga.protocol.Fault`, 0 for none); 7 blinks about once a second; 8 the weights are there; 9 they could
not be read from the flash. A board connects those it has.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from fpga.core import Core
from fpga.protocol import BAUD, TIMEOUT_S, Identity
from fpga.uart_bridge import UartBridge
from rasca_hw.boot import BootLoader
from rasca_hw.flash import PAUSE_CYCLES, PINS
from rasca_hw.heartbeat import Heartbeat

LEDS = 10
PERSON, NO_PERSON, COMING, FAULT, BLINK, LOADED, BROKEN = 0, 1, 2, 3, 7, 8, 9
"""Their places in `leds`."""


class Demo(wiring.Component):
    """Pins on the outside, in one clock domain; a board's top adds the clock.

    Parameters
    ----------
    accelerator, loader : see :class:`fpga.core.Core`.
    identity : the network in the accelerator.
    clock_hz, baud : as for :class:`fpga.uart_bridge.UartBridge`.
    timeout_s : pause inside a packet after which it is given up, and between two tries of the loader; in hardware one
        to four times as long.

    Members
    -------
    rx, tx : UART pins, idle 1.
    leds : see above, 1 is on.
    flash : the flash's pins; only with a loader.
    """

    def __init__(
        self,
        accelerator: Any,
        identity: Identity,
        *,
        clock_hz: float,
        baud: float = BAUD,
        timeout_s: float = TIMEOUT_S,
        loader: BootLoader | None = None,
    ) -> None:
        self.core = Core(accelerator, classes=identity.classes, loader=loader)
        self.bridge = UartBridge(identity, clock_hz=clock_hz, baud=baud)
        self.heartbeat = Heartbeat(short=PAUSE_CYCLES, long=clock_hz * timeout_s, blink=clock_hz)
        flash = {"flash": Out(PINS)} if loader else {}
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "leds": Out(LEDS), **flash})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.bridge = bridge = self.bridge
        m.submodules.heartbeat = heartbeat = self.heartbeat
        m.submodules.core = core = self.core
        connect(m, bridge.pixels, core.pixels)
        connect(m, core.results, bridge.results)
        if core.loader:
            connect(m, core.flash, flipped(self.flash))
        m.d.comb += [
            core.confidences.ready.eq(1),
            core.pulse.eq(heartbeat.short),
            core.retry.eq(heartbeat.long),
            bridge.refusal.eq(core.refusal),
            bridge.pulse.eq(heartbeat.long),
            bridge.rx.eq(self.rx),
            self.tx.eq(bridge.tx),
            self.leds.eq(
                Cat(
                    bridge.answered & bridge.person,
                    bridge.answered & ~bridge.person,
                    bridge.busy,
                    bridge.fault,
                    heartbeat.blink,
                    core.loaded,
                    core.broken,
                )
            ),
        ]
        return m
