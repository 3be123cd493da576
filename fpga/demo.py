"""The demo: an accelerator behind a UART, and LEDs.

LEDs, from 0: 0 person (class 1); 1 no person (class 0); 2 a photo is coming in; 3 to 6 fault of the last request in
binary (:class:`fpga.protocol.Fault`, 0 for none); 7 blinks about once a second.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from fpga.protocol import BAUD, TIMEOUT_S, Identity
from fpga.uart_bridge import UartBridge

LEDS = 8


class Demo(wiring.Component):
    """Pins on the outside, in one clock domain; a board's top adds the clock.

    Parameters
    ----------
    accelerator : component with `pixels` and `results` and, maybe, `confidences`, which is not used.
    identity : the network in the accelerator.
    clock_hz, baud, timeout_s : as for :class:`fpga.uart_bridge.UartBridge`.

    Members
    -------
    rx, tx : UART pins, idle 1.
    leds : see above, 1 is on.
    """

    def __init__(
        self,
        accelerator: Any,
        identity: Identity,
        *,
        clock_hz: float,
        baud: float = BAUD,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.accelerator = accelerator
        self.clock_hz = clock_hz
        self.bridge = UartBridge(identity, clock_hz=clock_hz, baud=baud, timeout_s=timeout_s)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "leds": Out(LEDS)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.bridge = bridge = self.bridge
        m.submodules.accelerator = accelerator = self.accelerator
        connect(m, bridge.pixels, accelerator.pixels)
        connect(m, accelerator.results, bridge.results)
        if hasattr(accelerator, "confidences"):
            m.d.comb += accelerator.confidences.ready.eq(1)

        blink = Signal(range(round(self.clock_hz)))
        m.d.sync += blink.eq(blink + 1)
        person = bridge.klass == 1
        m.d.comb += [
            bridge.rx.eq(self.rx),
            self.tx.eq(bridge.tx),
            self.leds.eq(
                Cat(
                    bridge.answered & person,
                    bridge.answered & ~person,
                    bridge.busy,
                    bridge.fault[:4],
                    blink[-1],
                )
            ),
        ]
        return m
