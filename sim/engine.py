"""The hardware as an engine of `rasca evaluate`: images in, logits out, each compared with the integer model."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rasca_hw.counters import REGISTERS
from rasca_nn import integer, termination
from rasca_nn.termination import Rule, Tally
from rtl_gen.build import Build
from sim.cxxrtl import Run, SimulationError, Simulator, compile_simulator
from sim.frames import pixel_stream
from sim.simulate import cycle_limit, settings


class RtlEngine:
    """The compiled accelerator, one on each core, each fed a stream of frames without a reset between them.

    Parameters
    ----------
    build : the accelerator to simulate.
    machines : simulators that run side by side; by default as many as there are cores.
    rule : early termination.

    Members
    -------
    compared : values compared so far: every logit after every row group that was computed, and each frame's class,
        logits, step, groups computed, products and error flags.
    mismatches : how many of them differ.
    tally : where the hardware decided.
    """

    def __init__(self, build: Build, machines: int | None = None, rule: Rule | None = None) -> None:
        self._build = build
        self._rule = rule
        self.tally = Tally(build.params.steps)
        library = compile_simulator(build.params)
        count = machines or os.cpu_count() or 1
        self._simulators = [Simulator(build.params, library=library) for _ in range(count)]
        self.compared = 0
        self.mismatches = 0

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Images ``[B, h, w, 3]`` to logits ``[B, classes]``."""
        shares = np.array_split(images, min(len(images), len(self._simulators)))
        # Threads, since the simulators are foreign code that leaves Python's lock alone.
        with ThreadPoolExecutor(len(shares)) as pool:
            runs = list(pool.map(self._run, self._simulators, shares))
        ran, logits, steps, final = self._expected(torch.from_numpy(images))
        confidences = np.concatenate([run.confidences["logits"] for run in runs])
        results = np.concatenate([run.results for run in runs])
        counters = np.concatenate([run.counters for run in runs])
        groups = counters[:, REGISTERS.index("groups")]
        products = counters[:, len(REGISTERS) :].sum(1)
        self.tally.add(results["step"], groups)
        if len(confidences) != ran.sum():
            raise SimulationError(f"{len(confidences)} confidences came where {ran.sum()} were expected")
        self._compare(confidences, logits[ran])
        self._compare(results["logits"], final)
        self._compare(results["klass"], final.argmax(1))
        self._compare(results["step"], steps)
        self._compare(results["errors"], np.zeros(len(images)))
        self._compare(groups, ran.sum(1))
        if self._rule:
            # Without a rule the next frame's heads may be at work before a frame is decided.
            self._compare(products, ran.sum(1) * sum(engine.products for engine in self._build.engines))
        return np.asarray(results["logits"])

    def _expected(self, images: torch.Tensor) -> tuple[NDArray[Any], ...]:
        """Of the integer model: steps made [B, T], logits [B, T, classes], step of the decision [B], its logits."""
        model = self._build.model
        if self._rule:
            found = termination.run(model, images, self._rule)
            return found.ran.numpy(), found.logits.numpy(), found.steps.numpy(), found.final.numpy()
        logits = integer.step_logits(model, images).numpy()
        return np.ones(logits.shape[:2], bool), logits, np.full(len(logits), logits.shape[1]), logits[:, -1]

    def _run(self, simulator: Simulator, images: NDArray[np.uint8]) -> Run:
        pixels = np.concatenate([pixel_stream(image) for image in images])
        limit = cycle_limit(self._build, len(images))
        rule = settings(self._build.model, self._rule)
        return simulator.run(pixels, len(images), limit=limit, trace=False, settings=rule)

    def _compare(self, got: NDArray[Any], expected: NDArray[Any]) -> None:
        self.compared += expected.size
        self.mismatches += int((got != expected).sum())
