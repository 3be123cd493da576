"""The accelerator behind a sensor, compiled, at its pins: words of D[7:0], href and vsync in, results out.

As :mod:`sim.cxxrtl`, but with the sensor's clock beside the accelerator's, and the weights compiled in.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import rtlil
from numpy.typing import NDArray

from fpga.tools import find
from rasca_hw.camera.front_end import FrontEnd
from rasca_hw.camera.system import CameraAccelerator
from rasca_hw.interfaces import result_layout
from rasca_hw.params import AcceleratorParams
from sim.camera import RESET
from sim.cxxrtl import PASSES, SPLIT, SimulationError, cache_folder, runtime_headers
from sim.split import split_eval

DRIVER = Path(__file__).with_suffix(".cc")
FLAGS = ("-std=c++17", "-O1", "-DNDEBUG", "-w", '-DMODEL="design.cc"')
ALWAYS = (1, 0)


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

    spoiled : when frames were found to be wrong. overflow : when that flag changed. resets : of the accelerator.
    """

    results: tuple[Result, ...]
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
    folder : where programs are kept; :func:`sim.cxxrtl.cache_folder` by default.
    """

    def __init__(
        self, front_end: FrontEnd, params: AcceleratorParams, *, clock_mhz: float, folder: Path | None = None
    ) -> None:
        self.params = params
        self.period = round(5e5 / clock_mhz) * 2
        text = rtlil.convert(CameraAccelerator(front_end, params), name="rasca", emit_src=False)
        compiler = find("c++").command
        parts = [text, DRIVER.read_text(), SPLIT.read_text(), PASSES, find("yosys").version, *compiler, *FLAGS]
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]
        folder = folder or cache_folder()
        self.program = (folder / f"{key}.pins").resolve()
        if self.program.exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            work = Path(name).resolve()
            (work / "design.il").write_text(text)
            script = f"read_rtlil design.il; hierarchy -top rasca; {PASSES}; write_cxxrtl -g0 design.cc"
            _call([*find("yosys").command, "-q", "-p", script], work)
            (source,) = split_eval((work / "design.cc").read_text(), 1, clocks=True)
            (work / "design.cc").write_text(source)
            _call([*compiler, *FLAGS, f"-I{runtime_headers()}", f"-I{work}", "-o", "pins", str(DRIVER)], work)
            (work / "pins").replace(self.program)

    def run(self, pairs: NDArray[np.uint32], *, reads: tuple[int, int] = ALWAYS, after_us: float = 100) -> PinRun:
        """Plays words (:func:`stream`, :func:`reset`), then goes on without pclk.

        `reads`: cycles in which results are read, and in which they are not, in turns.
        """
        arguments = [str(self.program), str(self.period), *map(str, reads), str(round(after_us * 1e6))]
        done = subprocess.run(arguments, input=np.ascontiguousarray(pairs).tobytes(), capture_output=True, check=True)
        found: dict[str, list[Any]] = {name: [] for name in ("result", "spoiled", "overflow", "reset", "end")}
        for line in done.stdout.decode().splitlines():
            name, time, *rest = line.split()
            found[name].append(self._result(int(time), rest[0]) if name == "result" else int(time))
        if len(found["end"]) != 1:
            raise SimulationError("the simulation ended early")
        return PinRun(
            results=tuple(found["result"]),
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


def _call(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise SimulationError(f"{Path(command[0]).name} failed while building the simulator: {said[0]}")
