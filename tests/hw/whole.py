"""The whole accelerator on Icarus: builds, pictures, the integer model's traces."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rasca_nn import integer
from rasca_nn.config import RaScaNetConfig
from rasca_nn.int8_file import Int8Model
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import Build, build
from rtl_gen.target import load_target
from sim.compare import Comparison, Trace, compare
from sim.cxxrtl import Run
from sim.frames import pixel_stream
from sim.icarus import run_accelerator, to_verilog
from sim.top import TracedAccelerator

SINGLE = Path(__file__).with_name("single.toml")
"""A target whose one engine runs everything."""
BROADCAST = Path(__file__).with_name("broadcast.toml")
"""Likewise, with a broadcast array."""
PACKED = Path(__file__).with_name("packed.toml")
"""Two engines, two products a multiplier."""


@dataclass(frozen=True)
class Whole:
    """A model on a target, and pictures for it. The same seed gives the same everything."""

    model: Int8Model
    target: str
    seed: int = 0

    @classmethod
    def random(cls, config: RaScaNetConfig, target: str, seed: int = 1) -> Whole:
        return cls(random_int8_model(config, seed), target, seed)

    @cached_property
    def build(self) -> Build:
        return build(self.model, load_target(self.target))

    @cached_property
    def source(self) -> str:
        """Verilog."""
        return to_verilog(TracedAccelerator(self.build.params))

    def images(self, count: int) -> NDArray[np.uint8]:
        """Bytes of all values, [count, h, w, 3]."""
        config = self.model.config
        rng = np.random.default_rng(self.seed)
        return rng.integers(0, 256, (count, config.height, config.width, 3), dtype=np.uint8)

    def traces(self, image: NDArray[np.uint8]) -> list[Trace]:
        """The integer model's tensors of every step."""
        steps = integer.run(self.model, torch.from_numpy(image[None]))
        return [{name: value[0].numpy() for name, value in step.items()} for step in steps]

    def limit(self, frames: int) -> int:
        """Cycles after which something hangs: twice what the schedule needs, and what the camera's patterns add."""
        params = self.build.params
        step = sum(e.step_cycles for e in self.build.engines) + 12 * params.rows * params.width
        return 2 * frames * params.steps * step + 1000

    def run(
        self,
        pixels: NDArray[np.uint32],
        frames: int,
        *,
        idle: str = "none",
        stall: str = "none",
        source: str | None = None,
    ) -> Run:
        text = source if source is not None else self.source
        limit = self.limit(frames)
        return run_accelerator(self.build.params, pixels, frames, limit=limit, idle=idle, stall=stall, source=text)

    def check(
        self, count: int, *, idle: str = "none", stall: str = "none", source: str | None = None
    ) -> tuple[Run, list[Comparison]]:
        """Frames one after another, every written word compared."""
        images = self.images(count)
        pixels = np.concatenate([pixel_stream(image) for image in images])
        run = self.run(pixels, count, idle=idle, stall=stall, source=source)
        return run, compare(self.build, run, [self.traces(image) for image in images])

    def last_frame(self, run: Run) -> Run:
        """The run as if it had been the last frame's alone: of each layer the words written last."""
        parts = []
        trace = 0
        steps = self.build.params.steps
        for engine in self.build.engines:
            for _ in range(engine.params.groups):
                mine = run.writes[run.writes["trace"] == trace]
                for i, plan in enumerate(engine.plans):
                    op = plan.op
                    size = (op.dest.size if op.dest else 0) + (op.state.size if op.state else 0)
                    size *= 1 if i < engine.params.loop else steps
                    parts.append(mine[mine["instruction"] == i][-size:] if size else mine[:0])
                trace += 1
        return replace(run, writes=np.concatenate(parts), confidences=run.confidences[-steps:])
