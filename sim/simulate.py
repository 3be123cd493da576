"""`rasca sim`: photos through a generated accelerator, every layer of every step against the integer model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from rasca_hw.counters import REGISTERS, RULE
from rasca_nn import integer, termination
from rasca_nn.data import load_image
from rasca_nn.int8_file import Int8Model
from rasca_nn.termination import Rule
from rtl_gen.build import Build
from rtl_gen.estimate import estimate
from sim.compare import Comparison, Trace, compare
from sim.cxxrtl import Run, SimulationError, Simulator, compile_simulator
from sim.frames import pixel_stream


class Machine(Protocol):
    """A simulator with a model loaded: see :class:`sim.cxxrtl.Simulator`."""

    def run(
        self,
        pixels: NDArray[np.uint32],
        frames: int,
        *,
        limit: int,
        settings: Mapping[int, int] | None = None,
    ) -> Run: ...


@dataclass(frozen=True)
class Simulated:
    """One photo: what the hardware decided and how it compares.

    `confidence` [steps] is the probability of class 1 after each row group, NaN for groups that were not computed;
    `probability` that of the decision and `step` the groups done with then; `cycles` are from the first pixel to the
    decision, `interval` those from the decision before (None for the first frame after a reset), each with its
    estimate; `busy` is the share of the multipliers' cycles with a product that counts, over the interval, else over
    `cycles`. `active` are the cycles with an array at work, since the decision before; `without_rule` the estimate of
    `cycles` without early termination, None where that is off.
    """

    image: Path
    pixels: NDArray[np.uint8]
    klass: int
    confidence: NDArray[np.float64]
    probability: float
    step: int
    cycles: int
    estimated: int
    interval: int | None
    estimated_interval: int | None
    latency: int
    estimated_latency: int
    busy: float
    active: int
    without_rule: int | None
    comparison: Comparison

    @property
    def groups(self) -> int:
        """Row groups computed."""
        return int((~np.isnan(self.confidence)).sum())

    @property
    def ok(self) -> bool:
        """Nothing differs: no value, and no number of cycles."""
        counted = (self.cycles, self.interval, self.latency)
        estimated = (self.estimated, self.estimated_interval, self.estimated_latency)
        return self.comparison.mismatches == 0 and counted == estimated

    def to_dict(self) -> dict[str, Any]:
        """The keys of `rasca sim --json`."""
        first = self.comparison.first
        return {
            "image": str(self.image),
            "class": self.klass,
            "label": "person" if self.klass == 1 else "no person",
            "probability": round(self.probability, 6),
            "steps": self.step,
            "groups": self.groups,
            "saved": round(1 - self.groups / len(self.confidence), 4),
            "cycles": self.cycles,
            "estimated_cycles": self.estimated,
            "interval_cycles": self.interval,
            "estimated_interval_cycles": self.estimated_interval,
            "latency_cycles": self.latency,
            "estimated_latency_cycles": self.estimated_latency,
            "busy": round(self.busy, 4),
            "active_cycles": self.active,
            "cycles_without_rule": self.without_rule,
            "compared": self.comparison.compared,
            "mismatches": self.comparison.mismatches,
            "first_mismatch": str(first) if first else None,
            "confidence": [None if np.isnan(p) else round(float(p), 6) for p in self.confidence],
        }


def probability(model: Int8Model, logits: NDArray[Any]) -> NDArray[np.float64]:
    """Softmax of integer logits [..., classes], class 1 (docs/numerics.md, result)."""
    real = logits.astype(np.float64) * model.scales["classifier.output"]
    share = np.exp(real - real.max(-1, keepdims=True))
    return np.asarray(share[..., 1] / share.sum(-1))


def traces(
    model: Int8Model, images: NDArray[np.uint8], rule: Rule | None = None
) -> tuple[list[list[Trace]], NDArray[np.bool_]]:
    """The integer model's tensors, for each image [h, w, 3] of a batch and each of its steps by name, and which steps
    are made [B, T].
    """
    batch = torch.from_numpy(images)
    if rule:
        steps: list[integer.Trace] = []
        ran = termination.run(model, batch, rule, steps).ran.numpy()
    else:
        steps = integer.run(model, batch)
        ran = np.ones((len(images), len(steps)), np.bool_)
    found = [[_of_image(step, i) for step, made in zip(steps, row, strict=True) if made] for i, row in enumerate(ran)]
    return found, ran


def _of_image(step: integer.Trace, i: int) -> Trace:
    return {name: value[i].numpy().astype(np.int64) for name, value in step.items()}


def settings(model: Int8Model, rule: Rule | None) -> dict[int, int]:
    """The registers of early termination (:mod:`rasca_hw.counters`) for a rule; none without, as after reset."""
    if rule is None:
        return {}
    threshold, lower = rule.limits(model.scales["classifier.output"])
    switches = 1 | (rule.lower is not None) << 1 | rule.consecutive << 8
    return {RULE: switches, RULE + 1: threshold, RULE + 2: lower}


def cycle_limit(build: Build, frames: int) -> int:
    """Cycles after which a run has gone wrong: twice what the engines need one after another."""
    step = 500 + sum(e.step_cycles + e.prologue_cycles for e in build.engines)
    pixels = build.model.config.height * build.model.config.width * 4
    return 2 * frames * (build.params.steps * step + pixels) + 10_000


def simulate(
    build: Build,
    images: list[Path],
    machine: Callable[[], Machine],
    progress: Callable[[int, int], None] | None = None,
    *,
    stream: bool = False,
    rule: Rule | None = None,
) -> list[Simulated]:
    """Each photo alone on a machine fresh from reset, or all as one stream of frames; with early termination by `rule`.

    Raises RascaError for a photo that cannot be read.
    """
    config = build.model.config
    photos = np.stack([load_image(path, config.height, config.width) for path in images])
    found: list[Simulated] = []
    for start, end in [(0, len(images))] if stream else [(i, i + 1) for i in range(len(images))]:
        found += _run(build, images[start:end], photos[start:end], machine(), rule)
        if progress:
            progress(end, len(images))
    return found


def _run(
    build: Build, images: list[Path], photos: NDArray[np.uint8], machine: Machine, rule: Rule | None
) -> list[Simulated]:
    """A stream of frames from reset on."""
    frames = len(images)
    pixels = np.concatenate([pixel_stream(photo) for photo in photos])
    registers = settings(build.model, rule)
    run = machine.run(pixels, frames, limit=cycle_limit(build, frames), settings=registers)
    steps, ran = traces(build.model, photos, rule)
    comparisons = compare(build, run, steps)
    if len(run.confidences) != ran.sum():
        raise SimulationError(f"{len(run.confidences)} confidences came for {frames} frames of {ran.sum()} steps")
    confidences = np.full(ran.shape, np.nan)
    confidences[ran] = probability(build.model, run.confidences["logits"])
    # Writing a register takes a cycle, in which the engines are at work already.
    estimates = estimate(build, frames, ran.tolist() if rule else None, start=len(registers))
    always = [cycles.frame_cycles for cycles in estimate(build, frames)] if rule else [None] * frames
    found = []
    for f, expected in enumerate(estimates):
        counted = dict(zip(REGISTERS, (int(v) for v in run.counters[f]), strict=False))
        cycles = counted["interval"] if f else counted["frame_cycles"]
        products = int(run.counters[f][len(REGISTERS) :].sum())
        found.append(
            Simulated(
                image=images[f],
                pixels=photos[f],
                klass=int(run.results["klass"][f]),
                confidence=confidences[f],
                probability=float(probability(build.model, run.results["logits"][f])),
                step=int(run.results["step"][f]),
                cycles=counted["frame_cycles"],
                estimated=expected.frame_cycles,
                interval=counted["interval"] if f else None,
                estimated_interval=expected.interval if f else None,
                latency=counted["latency"],
                estimated_latency=expected.latency,
                busy=products / (counted["multipliers"] * build.target.products_per_multiplier * cycles),
                active=counted["active"],
                without_rule=always[f],
                comparison=comparisons[f],
            )
        )
    return found


@dataclass(frozen=True)
class Icarus:
    """The generated Verilog in Icarus, driven by cocotb."""

    build: Build

    def run(
        self,
        pixels: NDArray[np.uint32],
        frames: int,
        *,
        limit: int,
        settings: Mapping[int, int] | None = None,
    ) -> Run:
        from sim.icarus import run_accelerator

        return run_accelerator(self.build.params, pixels, frames, limit=limit, settings=settings)


def compiled(build: Build, vcd: Path | None = None, *, native: bool = True) -> Callable[[], Machine]:
    """Machines of the compiled simulator, compiled when the first one is made; OSError if `vcd` cannot be written.

    CXXRTL compiles where `native` is not set, and for waveforms.
    """
    if vcd:
        vcd.open("w").close()
    library = cache(lambda: compile_simulator(build.params, vcd=vcd is not None, native=native))
    return lambda: Simulator(build.params, vcd=vcd, library=library())
