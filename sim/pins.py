"""The accelerator behind a sensor, compiled, at its pins: words of D[7:0], href and vsync in, results out.

As :mod:`sim.cxxrtl`, but with the sensor's clock beside the accelerator's, and the weights compiled in.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rasca_hw.camera.front_end import FrontEnd
from rasca_hw.camera.system import CameraAccelerator
from rasca_hw.interfaces import result_layout
from rasca_hw.params import AcceleratorParams
from sim.camera import RESET
from sim.compiled_bench import compile_bench
from sim.cxxrtl import SimulationError

DRIVER = Path(__file__).with_suffix(".cc")


@dataclass(frozen=True)
class Result:
    """A result and when it was read, in picoseconds."""

    time: int
    frame: int
    klass: int
    step: int
    errors: int
    logits: tuple[int, ...]


@dataclass(frozen=True)
class PinRun:
    """What a run gave; times in picoseconds.

    latencies : cycles to each result from the end of the last used row at the row interface, and from the window's last
        pixel as the crop takes it; of those that were read at once.
    spoiled : when frames were found to be wrong. overflow : when that flag changed. resets : of the accelerator.
    """

    results: tuple[Result, ...]
    latencies: tuple[tuple[int, int], ...]
    spoiled: tuple[int, ...]
    overflow: tuple[int, ...]
    resets: tuple[int, ...]
    end: int


def stream(words: NDArray[np.uint16], periods: NDArray[np.uint32] | int) -> NDArray[np.uint32]:
    """Words and the periods of their clocks of pclk in picoseconds, as :meth:`PinSimulator.run` takes them."""
    pairs = np.empty((len(words), 2), np.uint32)
    pairs[:, 0], pairs[:, 1] = words, periods
    return pairs


def reset(cycles: int) -> NDArray[np.uint32]:
    """A reset of the accelerator of so many of its cycles, between two clocks of pclk."""
    pairs = np.zeros((cycles + 1, 2), np.uint32)
    pairs[:-1, 0] = RESET
    return pairs


class PinSimulator:
    """A compiled accelerator with its front end.

    Parameters
    ----------
    front_end, params : the design; `front_end` is used up.
    clock_mhz : of the accelerator.
    folder, optimise : see :func:`sim.compiled_bench.compile_bench`.
    """

    def __init__(
        self,
        front_end: FrontEnd,
        params: AcceleratorParams,
        *,
        clock_mhz: float,
        folder: Path | None = None,
        optimise: int = 1,
    ) -> None:
        self.params = params
        self.period = round(5e5 / clock_mhz) * 2
        self.program = compile_bench(CameraAccelerator(front_end, params), DRIVER, folder=folder, optimise=optimise)

    def run(self, pairs: NDArray[np.uint32], *, sleep: int = 0, until: int = 0, after_us: float = 100) -> PinRun:
        """Plays words (:func:`stream`, :func:`reset`), then goes on without pclk.

        `sleep`: before word `until` results are read in one cycle after so many in which they are not.
        """
        arguments = [str(self.program), str(self.period), str(sleep), str(until), str(round(after_us * 1e6))]
        done = subprocess.run(arguments, input=np.ascontiguousarray(pairs).tobytes(), capture_output=True, check=True)
        found: dict[str, list[Any]] = {
            name: [] for name in ("result", "latency", "spoiled", "overflow", "reset", "end")
        }
        for line in done.stdout.decode().splitlines():
            name, first, *rest = line.split()
            number = int(first)
            if name == "result":
                found[name].append(self._result(number, rest[0]))
            else:
                found[name].append((number, int(rest[0])) if name == "latency" else number)
        if len(found["end"]) != 1:
            raise SimulationError("the simulation ended early")
        return PinRun(
            results=tuple(found["result"]),
            latencies=tuple(found["latency"]),
            spoiled=tuple(found["spoiled"]),
            overflow=tuple(found["overflow"]),
            resets=tuple(found["reset"]),
            end=found["end"][0],
        )

    def _result(self, time: int, payload: str) -> Result:
        classes = self.params.classes
        item = result_layout(classes).from_bits(int(payload, 16))
        return Result(
            time=time,
            frame=item.frame,
            klass=item.klass,
            step=item.step,
            errors=item.errors.as_bits(),
            logits=tuple(item.logits[c] for c in range(classes)),
        )
