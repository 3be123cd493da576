"""The hardware as an engine of `rasca evaluate`: images in, logits out, each compared with the integer model."""

from __future__ import annotations

import hashlib
import pickle
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rasca_hw.counters import REGISTERS
from rasca_nn import integer, termination
from rasca_nn.data import Progress
from rasca_nn.termination import Rule, Tally
from rtl_gen.build import Build
from sim.cxxrtl import Run, SimulationError, Simulator, compile_simulator
from sim.frames import pixel_stream
from sim.simulate import cycle_limit, settings
from sim.spread import spread

PIECE = 8
"""Photos of a piece of work: a stream of frames from reset on."""


@dataclass(frozen=True)
class Piece:
    """Photos for one accelerator; `key` tells accelerators apart."""

    build: Build
    key: str
    rule: Rule | None
    images: NDArray[np.uint8]


_machines = threading.local()
"""The simulator that a thread made last, with its key: the next piece is mostly for the same accelerator."""


def run_piece(piece: Piece) -> tuple[Run, tuple[NDArray[Any], ...]]:
    """What the hardware gave, and what the integer model expects: see :meth:`RtlEngine.many`."""
    key, machine = getattr(_machines, "last", ("", None))
    if machine is None or key != piece.key:
        machine = Simulator(piece.build.params, library=compile_simulator(piece.build.params))
        _machines.last = piece.key, machine
    pixels = np.concatenate([pixel_stream(image) for image in piece.images])
    limit = cycle_limit(piece.build, len(piece.images))
    registers = settings(piece.build.model, piece.rule)
    run = machine.run(pixels, len(piece.images), limit=limit, trace=False, settings=registers)
    return run, _expected(piece)


def _expected(piece: Piece) -> tuple[NDArray[Any], ...]:
    """Of the integer model: steps made [B, T], logits [B, T, classes], step of the decision [B], its logits."""
    images = torch.from_numpy(piece.images)
    if piece.rule:
        found = termination.run(piece.build.model, images, piece.rule)
        return found.ran.numpy(), found.logits.numpy(), found.steps.numpy(), found.final.numpy()
    logits = integer.step_logits(piece.build.model, images).numpy()
    return np.ones(logits.shape[:2], bool), logits, np.full(len(logits), logits.shape[1]), logits[:, -1]


class RtlEngine:
    """The compiled accelerator, one on each core or Dask worker, each fed streams of frames.

    Parameters
    ----------
    build : the accelerator to simulate.
    machines : simulators that run side by side; by default as many as there are cores.
    rule : early termination.
    dask : address of a Dask scheduler, see :func:`sim.spread.spread`.

    Members
    -------
    compared : values compared so far: every logit after every row group that was computed, and each frame's class,
        logits, step, groups computed, products and error flags.
    mismatches : how many of them differ.
    tally : where the hardware decided.
    """

    def __init__(
        self, build: Build, machines: int | None = None, rule: Rule | None = None, dask: str | None = None
    ) -> None:
        self._build = build
        self._rule = rule
        self._machines = machines
        self._dask = dask
        self._key = hashlib.sha256(pickle.dumps(build)).hexdigest()
        self.tally = Tally(build.params.steps)
        if dask is None:
            compile_simulator(build.params)
        self.compared = 0
        self.mismatches = 0

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Images ``[B, h, w, 3]`` to logits ``[B, classes]``."""
        return self.many(images)

    def many(self, images: NDArray[np.uint8], progress: Progress | None = None) -> NDArray[Any]:
        """Images ``[B, h, w, 3]`` to logits ``[B, classes]``, in pieces that are worked on side by side."""
        starts = range(0, len(images), PIECE)
        pieces = (Piece(self._build, self._key, self._rule, np.array(images[i : i + PIECE])) for i in starts)
        logits = []
        for run, expected in spread(run_piece, pieces, jobs=self._machines, dask=self._dask):
            logits.append(self._check(run, expected))
            if progress:
                progress(sum(map(len, logits)), len(images))
        return np.concatenate(logits)

    def _check(self, run: Run, expected: tuple[NDArray[Any], ...]) -> NDArray[Any]:
        """Compares a piece; returns its logits."""
        ran, logits, steps, final = expected
        confidences, results = run.confidences["logits"], run.results
        groups = run.counters[:, REGISTERS.index("groups")]
        products = run.counters[:, len(REGISTERS) :].sum(1)
        self.tally.add(results["step"], groups)
        if len(confidences) != ran.sum():
            raise SimulationError(f"{len(confidences)} confidences came where {ran.sum()} were expected")
        self._compare(confidences, logits[ran])
        self._compare(results["logits"], final)
        self._compare(results["klass"], final.argmax(1))
        self._compare(results["step"], steps)
        self._compare(results["errors"], np.zeros(len(results)))
        self._compare(groups, ran.sum(1))
        if self._rule:
            # Without a rule the next frame's heads may be at work before a frame is decided.
            self._compare(products, ran.sum(1) * sum(engine.products for engine in self._build.engines))
        return np.asarray(results["logits"])

    def _compare(self, got: NDArray[Any], expected: NDArray[Any]) -> None:
        self.compared += expected.size
        self.mismatches += int((got != expected).sum())
