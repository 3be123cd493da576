"""The hardware as an engine of `rasca evaluate`: images in, logits out, each compared with the integer model."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rasca_nn import integer
from rtl_gen.build import Build
from sim.cxxrtl import Simulator
from sim.frames import pixel_stream
from sim.simulate import cycle_limit


class RtlEngine:
    """The compiled accelerator, fed a stream of frames without a reset between them.

    Parameters
    ----------
    build : the accelerator to simulate.

    Members
    -------
    compared : values compared so far: every logit after every row group, and each frame's class and error flags.
    mismatches : how many of them differ.
    """

    def __init__(self, build: Build) -> None:
        self._build = build
        self._simulator = Simulator(build.params)
        self.compared = 0
        self.mismatches = 0

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Images ``[B, h, w, 3]`` to logits ``[B, classes]``."""
        model = self._build.model
        pixels = np.concatenate([pixel_stream(image) for image in images])
        limit = cycle_limit(self._build, len(images))
        run = self._simulator.run(pixels, len(images), limit=limit, trace=False)
        expected = integer.step_logits(model, torch.from_numpy(images)).numpy()
        self._compare(run.confidences["logits"].reshape(expected.shape), expected)
        self._compare(run.results["logits"], expected[:, -1])
        self._compare(run.results["klass"], expected[:, -1].argmax(1))
        self._compare(run.results["errors"], np.zeros(len(images)))
        return np.asarray(run.results["logits"])

    def _compare(self, got: NDArray[Any], expected: NDArray[Any]) -> None:
        self.compared += expected.size
        self.mismatches += int((got != expected).sum())
