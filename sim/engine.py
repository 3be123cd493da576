"""The hardware as an engine of `rasca evaluate`: images in, logits out, each compared with the integer model."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rasca_nn import integer
from rtl_gen.build import Build
from sim.cxxrtl import Run, SimulationError, Simulator, compile_simulator
from sim.frames import pixel_stream
from sim.simulate import cycle_limit


class RtlEngine:
    """The compiled accelerator, one on each core, each fed a stream of frames without a reset between them.

    Parameters
    ----------
    build : the accelerator to simulate.
    machines : simulators that run side by side; by default as many as there are cores.

    Members
    -------
    compared : values compared so far: every logit after every row group, and each frame's class and error flags.
    mismatches : how many of them differ.
    """

    def __init__(self, build: Build, machines: int | None = None) -> None:
        self._build = build
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
        expected = integer.step_logits(self._build.model, torch.from_numpy(images)).numpy()
        confidences = np.concatenate([run.confidences["logits"] for run in runs])
        if confidences.size != expected.size:
            raise SimulationError(f"{confidences.size} logits came where {expected.size} were expected")
        results = np.concatenate([run.results for run in runs])
        self._compare(confidences.reshape(expected.shape), expected)
        self._compare(results["logits"], expected[:, -1])
        self._compare(results["klass"], expected[:, -1].argmax(1))
        self._compare(results["errors"], np.zeros(len(images)))
        return np.asarray(results["logits"])

    def _run(self, simulator: Simulator, images: NDArray[np.uint8]) -> Run:
        pixels = np.concatenate([pixel_stream(image) for image in images])
        return simulator.run(pixels, len(images), limit=cycle_limit(self._build, len(images)), trace=False)

    def _compare(self, got: NDArray[Any], expected: NDArray[Any]) -> None:
        self.compared += expected.size
        self.mismatches += int((got != expected).sum())
