"""The accelerator with its engines' writes brought out, so that every layer of every step can be compared."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from rasca_hw.accelerator import Accelerator
from rasca_hw.interfaces import Pixel, confidence_layout, result_layout
from rasca_hw.params import AcceleratorParams


class TracedAccelerator(wiring.Component):
    """:class:`~rasca_hw.accelerator.Accelerator` with, for each engine e and lockstep group g, the members

    `trace_{e}_{g}_valid`, `_address`, `_word`, `_instruction`: the word written in this cycle.
    """

    def __init__(self, params: AcceleratorParams) -> None:
        self.params = params
        self.accelerator = Accelerator(params)
        members: dict[str, Any] = {
            "pixels": In(stream.Signature(Pixel)),
            "results": Out(stream.Signature(result_layout(params.classes))),
            "confidences": Out(stream.Signature(confidence_layout(params.classes))),
            "register": In(8),
            "value": Out(32),
            "write": In(1),
            "data": In(32),
        }
        for e, engine in enumerate(params.engines):
            for g in range(engine.groups):
                members[f"trace_{e}_{g}_valid"] = Out(1)
                members[f"trace_{e}_{g}_address"] = Out(16)
                members[f"trace_{e}_{g}_instruction"] = Out(8)
                members[f"trace_{e}_{g}_word"] = Out(8 * engine.columns)
        super().__init__(members)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.accelerator = inner = self.accelerator
        connect(m, flipped(self.pixels), inner.pixels)
        connect(m, inner.results, flipped(self.results))
        connect(m, inner.confidences, flipped(self.confidences))
        m.d.comb += [
            inner.register.eq(self.register),
            self.value.eq(inner.value),
            inner.write.eq(self.write),
            inner.data.eq(self.data),
        ]
        for e, engine in enumerate(inner.engines):
            for g in range(engine.params.groups):
                write = engine.write[g]
                m.d.comb += [
                    getattr(self, f"trace_{e}_{g}_valid").eq(engine.write_valid[g]),
                    getattr(self, f"trace_{e}_{g}_address").eq(write.address),
                    getattr(self, f"trace_{e}_{g}_instruction").eq(write.instruction),
                    getattr(self, f"trace_{e}_{g}_word").eq(write.word),
                ]
        return m
