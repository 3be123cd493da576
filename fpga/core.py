"""What the demos have in the middle: an accelerator, and the loader of its weights where they come from flash."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, ResetInserter
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from fpga.packet_receiver import FAULT_BITS
from fpga.protocol import Fault
from rasca_hw.boot import BootError, BootLoader
from rasca_hw.flash import PINS
from rasca_hw.interfaces import Pixel, confidence_layout, result_layout


class Core(wiring.Component):
    """Until the weights are there the accelerator is held in reset, and pixels are thrown away.

    Parameters
    ----------
    accelerator : component with `pixels`, `results` and `confidences`; with `load` if there is a loader.
    classes : of its results.
    loader : brings the accelerator's weights; None where they come with the bitstream.

    Members
    -------
    pixels, results, confidences : the accelerator's.
    pulse, retry : see :class:`rasca_hw.boot.BootLoader`.
    loaded : the weights are there.
    broken : the last try to read them failed.
    refusal : why photos are refused (:class:`fpga.protocol.Fault`); 0 where they are taken.
    flash : the flash's pins; only with a loader.
    """

    def __init__(self, accelerator: Any, *, classes: int, loader: BootLoader | None = None) -> None:
        self.accelerator = accelerator
        self.loader = loader
        flash = {"flash": Out(PINS)} if loader else {}
        super().__init__(
            {
                "pixels": In(stream.Signature(Pixel)),
                "results": Out(stream.Signature(result_layout(classes))),
                "confidences": Out(stream.Signature(confidence_layout(classes))),
                "pulse": In(1),
                "retry": In(1),
                "loaded": Out(1),
                "broken": Out(1),
                "refusal": Out(FAULT_BITS),
                **flash,
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        accelerator, loader = self.accelerator, self.loader
        m.submodules.accelerator = ResetInserter(~self.loaded)(accelerator) if loader else accelerator
        connect(m, accelerator.results, flipped(self.results))
        connect(m, accelerator.confidences, flipped(self.confidences))
        m.d.comb += [
            self.loaded.eq(1),
            accelerator.pixels.payload.eq(self.pixels.payload),
            accelerator.pixels.valid.eq(self.pixels.valid & self.loaded),
            self.pixels.ready.eq(accelerator.pixels.ready | ~self.loaded),
        ]
        if loader:
            m.submodules.loader = loader
            connect(m, loader.flash, flipped(self.flash))
            connect(m, loader.load, accelerator.load)
            m.d.comb += [
                loader.pulse.eq(self.pulse),
                loader.retry.eq(self.retry),
                self.loaded.eq(loader.done),
                self.broken.eq(loader.error != BootError.NONE),
                self.refusal.eq(Mux(self.loaded, Fault.NONE, loader.error | Fault.LOADING)),
            ]
        return m
