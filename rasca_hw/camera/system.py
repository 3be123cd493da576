"""The accelerator behind a sensor: pins in, results out."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..accelerator import Accelerator
from ..interfaces import confidence_layout, result_layout
from ..params import AcceleratorParams
from ..spram import LOAD
from .front_end import FrontEnd


class CameraAccelerator(wiring.Component):
    """Members
    -------
    pclk, vsync, href, data, overflow, spoiled : see :class:`~rasca_hw.camera.front_end.FrontEnd`.
    results, confidences, load, register, value, write, data_in : see :class:`~rasca_hw.accelerator.Accelerator`;
        `data_in` is its `data`.
    latency : cycles from the window's last pixel, as the crop takes it, to the last result.
    """

    def __init__(self, front_end: FrontEnd, params: AcceleratorParams) -> None:
        self.front_end = front_end
        self.params = params
        super().__init__(
            {
                "pclk": In(1),
                "vsync": In(1),
                "href": In(1),
                "data": In(8),
                "overflow": Out(1),
                "spoiled": Out(1),
                "results": Out(stream.Signature(result_layout(params.classes))),
                "confidences": Out(stream.Signature(confidence_layout(params.classes))),
                "register": In(8),
                "value": Out(32),
                "write": In(1),
                "data_in": In(32),
                "latency": Out(32),
                **({"load": In(LOAD)} if params.boot else {}),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.front_end = front_end = self.front_end
        m.submodules.accelerator = accelerator = Accelerator(self.params)
        connect(m, front_end.pixels, accelerator.pixels)
        if self.params.boot:
            connect(m, flipped(self.load), accelerator.load)
        connect(m, accelerator.results, flipped(self.results))
        connect(m, accelerator.confidences, flipped(self.confidences))
        m.d.comb += [getattr(front_end, pin).eq(getattr(self, pin)) for pin in ("pclk", "vsync", "href", "data")]
        m.d.comb += [
            self.overflow.eq(front_end.overflow),
            self.spoiled.eq(front_end.spoiled),
            accelerator.register.eq(self.register),
            self.value.eq(accelerator.value),
            accelerator.write.eq(self.write),
            accelerator.data.eq(self.data_in),
        ]
        running, before = Signal(32), Signal()
        m.d.sync += [running.eq(running + 1), before.eq(accelerator.results.valid)]
        with m.If(front_end.filled):
            m.d.sync += running.eq(1)
        with m.If(accelerator.results.valid & ~before):
            m.d.sync += self.latency.eq(running)
        return m
