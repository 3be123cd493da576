"""The register sequence on a noisy bus, compiled: random noise from a seed, and what may come of it.

Noise decides a line's level for a while, for both sides. The sensor's model hears the bus through a filter of four
cycles, which is about what the I2C specification asks for at 80 MHz; the sequence's own (:class:`Line`) is shorter, so
that nothing the sensor hears escapes it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rasca_hw.camera.sccb import RegisterSequence
from rtl_gen.camera import register_sequence
from rtl_gen.sensor import Sensor
from sim.compiled_bench import compile_bench

DRIVER = Path(__file__).with_suffix(".cc")
CLOCK_HZ = 8e6
KIND = "noise on SCCB"
MOST_PULSES = 6


@dataclass(frozen=True)
class SccbRun:
    """What the sensor was written, and how the sequence ended; `busy` if it did not."""

    written: tuple[tuple[int, int], ...]
    cycles: int
    busy: bool
    done: bool
    error: bool


class SccbSimulator:
    """A sensor's register sequence, compiled; `sequence` instead of the one it has."""

    def __init__(self, sensor: Sensor, sequence: RegisterSequence | None = None) -> None:
        self.sensor = sensor
        self.sequence = sequence or register_sequence(sensor, CLOCK_HZ)
        self.program = compile_bench(self.sequence, DRIVER)
        self.wanted = [(w.address, w.value) for w in self.sequence.writes if not w.pause]
        self.cycles = self.run(np.zeros((0, 4), np.uint32), limit=1 << 30).cycles

    def run(self, noise: NDArray[np.uint32], *, limit: int | None = None) -> SccbRun:
        """`noise`: rows of (first cycle, cycle behind the last, 0 for scl or 1 for sda, level)."""
        device, wide = self.sensor.address, int(self.sensor.wide_addresses)
        # A try that is stretched takes a millisecond more; all that a sequence may take is its registers' tries.
        limit = limit or 10 * self.cycles
        command = [str(self.program), str(device), str(wide), str(limit)]
        done = subprocess.run(command, input=np.ascontiguousarray(noise).tobytes(), capture_output=True, check=True)
        *registers, end = (line.split()[1:] for line in done.stdout.decode().splitlines())
        cycles, busy, ended, error, _ = (int(part) for part in end)
        written = tuple((int(address), int(value)) for address, value in registers)
        return SccbRun(written, cycles, bool(busy), bool(ended), bool(error))

    def draw(self, seed: int, number: int) -> NDArray[np.uint32]:
        """Noise of case `number` of a seed: pulses of one cycle to some bits on either line."""
        rng = np.random.default_rng([seed, number])
        pulses = int(rng.integers(1, MOST_PULSES + 1))
        begin = rng.integers(0, self.cycles, pulses)
        length = np.exp(rng.uniform(0, np.log(8 * self.sequence.quarter), pulses)).astype(np.int64)
        if rng.integers(8) == 0:
            # A line that is held for good from some time on.
            length[0] = 1 << 30
        lines, levels = rng.integers(2, size=(2, pulses))
        return np.stack([begin, begin + length, lines, levels], axis=1).astype(np.uint32)

    def judge(self, run: SccbRun) -> str:
        """ "exact" or "marked" (the error flag), or what is wrong."""
        if run.busy:
            return f"busy after {run.cycles} cycles"
        if run.error == run.done:
            return "neither done nor error, or both"
        if run.error:
            return "marked"
        return "exact" if as_written(run.written, self.wanted) else "done, but the registers are not as they must be"


def as_written(written: Sequence[tuple[int, int]], wanted: Sequence[tuple[int, int]]) -> bool:
    """Whether the writes are the wanted ones in their order, apart from tries of a register before the one that holds.

    A try that failed may have written the same register, with any value; nothing else may have been written.
    """
    left = list(written)
    for address, value in wanted:
        tries = 0
        while tries < len(left) and left[tries][0] == address:
            tries += 1
        values = [v for _, v in left[:tries]]
        if value not in values:
            return False
        # The same register again further on keeps its own writes: take no more than needed, and no wrong value behind.
        used = values.index(value) + 1
        while used < tries and values[used] == value:
            used += 1
        left = left[used:]
    return not left
