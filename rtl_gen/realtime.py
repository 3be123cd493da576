"""Whether an accelerator keeps up with a sensor, which cannot wait.

The estimator's engines (:mod:`rtl_gen.estimate`) are run behind a row interface whose rows come when the sensor sends
them. A row that comes while the line buffer is full waits in the front end's FIFO; if it waits for longer than the
FIFO has room for, pixels are lost and the accelerator is refused. All steps of every frame are taken to be computed;
with a rule of early termination a step waits for the verdict on the one before, which takes longer and is what counts.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rasca_hw.camera.dvp import DEPTH
from rasca_hw.lines import COLOURS
from rasca_nn.errors import RascaError
from rtl_gen.build import Build
from rtl_gen.camera import Placement
from rtl_gen.estimate import Lines, estimate
from rtl_gen.sensor import Sensor

CROSSING = 6
"""Cycles from the clock of pclk in which a pixel is complete to its first possible cycle at the crop's output."""
RETURN = 4
"""Cycles and two clocks of pclk before an event's own cycle: what has left the FIFO by then is seen by its writer,
whatever the phase of the two clocks.
"""
ROUNDING = 1e-6
"""Of a clock's cycle: one that falls on a cycle's edge belongs to it."""
FRAMES = 4
"""Frames in a row that are looked at: what one leaves over, the next one meets."""
CLOCK_MHZ = (1, 1000)
"""Clocks of the accelerator that are looked at."""


class RealTimeError(RascaError):
    """The accelerator is too slow for the sensor; the message says by how much, and the remedy."""


@dataclass(frozen=True)
class RealTime:
    """How an accelerator stands to a sensor.

    line_cycles, group_cycles : cycles in which the sensor sends a line, and the rows of a group.
    step_cycles : cycles a step takes in a stream without pauses, rounded up.
    margin : share of the group's time that is left, in per cent; negative where only the blanking makes up for it.
    pixel_cycles : cycles in which the sensor sends a pixel; the crop takes one a cycle.
    waiting, depth : the most places of the FIFO that are taken when an event comes, those of events on their way
        through it included, and how many may be.
    latency : cycles from the end of the last row's line to the result.
    """

    sensor: str
    clock_mhz: float
    line_cycles: float
    group_cycles: int
    step_cycles: int
    margin: float
    pixel_cycles: float
    waiting: int
    depth: int
    latency: int

    @property
    def latency_us(self) -> float:
        return self.latency / self.clock_mhz

    @property
    def latency_rows(self) -> float:
        """In lines of the sensor."""
        return self.latency / self.line_cycles

    @property
    def fits(self) -> bool:
        return self.pixel_cycles >= 1 and self.waiting <= self.depth


class _SensorLines(Lines):
    """The row interface behind a sensor: every event of the sensor on its way through the FIFO and the crop.

    The crop takes an event a cycle, and the next one `COLOURS` cycles after one that made it give a pixel; the first
    pixel of a row also waits for a place in the line buffer.
    """

    def __init__(self, build: Build, sensor: Sensor, where: Placement, ratio: Fraction) -> None:
        super().__init__(build, 0)
        self.sensor = sensor
        self.ratio = float(ratio)
        self.where = where
        self.columns = where.left + where.factor * np.arange(1, build.params.width) - 1
        # Rows that fill no group come behind the last used one, which is then no frame's last.
        self.cut = build.model.config.height > self.used_rows
        self.line = 0
        self.come: list[NDArray[np.int64]] = []
        self.left: list[NDArray[np.int64]] = []

    def row(self, index: int) -> int:
        """First cycle in which row `index`, counted over all frames, is available."""
        sensor, where = self.sensor, self.where
        while len(self.complete) <= index:
            row = len(self.complete)
            frame, line = divmod(row, self.used_rows)
            free = self.freed[row - self.capacity] if row >= self.capacity else 0
            start = frame * sensor.frame_clocks + sensor.blank_clocks + sensor.before_clocks
            last = line == self.used_rows - 1
            held = last and not self.cut
            until = where.top + (line + 1) * where.factor
            for y in range(self.line, until):
                box_ends = y == until - 1
                there, first = self._line(start + y * sensor.line_clocks, box_ends, box_ends and not held, free)
            self.line = until
            if line == 0:
                self.first_pixel.append(first)
            if last:
                for y in range(until, sensor.height):
                    self._line(start + y * sensor.line_clocks, False, False, 0)
                ended, _ = self._take(np.array([(frame + 1) * sensor.frame_clocks]), np.array([held]), 0)
                there = ended if held else there
                self.ended.append(there)
                self.line = 0
            self.complete.append(there + COLOURS)
        return self.complete[index]

    def _line(self, start: int, row: bool, ends: bool, free: int) -> tuple[int, int]:
        """A line whose first clock is `start`: its pixels, and its end, which gives the one held back if it `ends` the
        row. Returns the cycles of its last event and of the first pixel given.
        """
        clocks = start + self.sensor.format.value.clocks * np.arange(1, self.sensor.width + 2)
        clocks[-1] = clocks[-2]
        given = np.zeros(len(clocks), bool)
        if row:
            given[self.columns] = True
        given[-1] = ends
        return self._take(clocks, given, free)

    def _take(self, clocks: NDArray[np.int64], given: NDArray[np.bool_], free: int) -> tuple[int, int]:
        """Takes events that come in those clocks of pclk, some of which make the crop give a pixel; the first of these
        is taken in cycle `free` at the soonest. Returns the cycles of the last event and of that pixel.
        """
        come = np.ceil(clocks * self.ratio - ROUNDING).astype(np.int64) + CROSSING
        steps = np.where(given, COLOURS, 1)
        least = np.cumsum(steps) - steps
        taken = least + np.maximum.accumulate(np.maximum(come - least, self.time))
        first = int(np.argmax(given))
        begins = max(int(taken[first]), free)
        if given[first]:
            taken[first + 1 :] = np.maximum(taken[first + 1 :], begins + least[first + 1 :] - least[first])
        self.come.append(come)
        self.left.append(taken)
        last = begins if first == len(taken) - 1 else int(taken[-1])
        self.time = last + int(steps[-1])
        return last, begins

    def waiting(self) -> int:
        """The most places of the FIFO that are taken, as its writer sees it, when an event comes."""
        come, left = np.concatenate(self.come), np.concatenate(self.left)
        seen = np.searchsorted(left, come - RETURN - 2 * self.ratio, side="right")
        return int(np.max(np.arange(len(come)) - seen))


def real_time(
    build: Build,
    sensor: Sensor,
    where: Placement,
    *,
    clock_mhz: float | None = None,
    depth: int = DEPTH,
    rule: bool = False,
) -> RealTime:
    """Replays frames of the sensor, with a pclk of exactly its frequency.

    Parameters
    ----------
    where : the window.
    clock_mhz : of the accelerator; the target's by default.
    depth : of the front end's FIFO.
    rule : whether early termination may be switched on.

    Raises RealTimeError for a clock that is not in :data:`CLOCK_MHZ`.
    """
    mhz = build.target.clock_mhz if clock_mhz is None else clock_mhz
    if not CLOCK_MHZ[0] <= mhz <= CLOCK_MHZ[1]:
        raise RealTimeError(f"a clock behind a sensor must be {CLOCK_MHZ[0]} to {CLOCK_MHZ[1]} MHz, not {mhz:g}")
    clock = Fraction(mhz)
    ratio = clock / Fraction(sensor.pclk_mhz)
    params = build.params
    ran = [[True] * params.steps] * FRAMES if rule else None
    lines = _SensorLines(build, sensor, where, ratio)
    frames = estimate(build, FRAMES, ran, lines=lines)
    step = ceil(estimate(build, FRAMES, ran)[-1].interval / params.steps)
    group = params.rows * where.factor * sensor.line_clocks * ratio
    per_pixel = sensor.format.value.clocks * ratio
    return RealTime(
        sensor=sensor.name,
        clock_mhz=float(clock),
        line_cycles=float(sensor.line_clocks * ratio),
        group_cycles=int(group),
        step_cycles=step,
        margin=float(100 * (1 - step / group)),
        pixel_cycles=float(per_pixel),
        waiting=lines.waiting(),
        depth=depth,
        latency=max(frame.latency for frame in frames),
    )


def keep_up(
    build: Build,
    sensor: Sensor,
    where: Placement,
    *,
    clock_mhz: float | None = None,
    depth: int = DEPTH,
    rule: bool = False,
) -> RealTime:
    """As :func:`real_time`; raises RealTimeError where pixels would be lost, with the clock that would do."""

    def at(mhz: float | None) -> RealTime:
        return real_time(build, sensor, where, clock_mhz=mhz, depth=depth, rule=rule)

    found = at(clock_mhz)
    if found.fits:
        return found
    slow, most = floor(found.clock_mhz), CLOCK_MHZ[1]
    # A guess from below, doubled until it is one from above.
    high = min(slow + 1, most)
    while high < most and not at(high).fits:
        slow, high = high, min(2 * high, most)
    clock = slow + 1 + bisect_left(range(slow + 1, high + 1), True, key=lambda mhz: at(mhz).fits)
    remedies = [f"a clock of {clock} MHz or more"] if clock <= most else []
    at_clock = f"at {found.clock_mhz:g} MHz"
    if found.step_cycles > found.group_cycles:
        too_slow = (
            f"a step takes {found.step_cycles} cycles {at_clock}, {-found.margin:.1f} % more than the "
            f"{found.group_cycles} in which {found.sensor} sends its rows"
        )
    elif found.pixel_cycles < 1:
        too_slow = (
            f"{found.sensor} sends a pixel in {found.pixel_cycles:.2f} cycles {at_clock}, and one is taken a cycle"
        )
    else:
        too_slow = (
            f"a step takes {found.step_cycles} of the {found.group_cycles} cycles {at_clock} in which "
            f"{found.sensor} sends its rows, but at times {found.waiting} pixels wait where {found.depth} can"
        )
    if found.pixel_cycles >= 1:
        remedies += ["a larger array", "more line_rows", "a larger FIFO"]
    raise RealTimeError(f"{too_slow}; use {', '.join(remedies)}{', or ' if remedies else ''}a slower pclk")


def report_real_time(
    build: Build, sensor: Sensor, where: Placement, *, clock_mhz: float | None = None
) -> dict[str, Any]:
    """What the manifest says about a sensor. Raises RealTimeError where the accelerator does not keep up with it; with
    early termination switched on it may need longer, which is reported only.
    """
    found = keep_up(build, sensor, where, clock_mhz=clock_mhz)
    rule = real_time(build, sensor, where, clock_mhz=clock_mhz, rule=True)
    return {
        "sensor": sensor.name,
        "window": asdict(where),
        "clock_mhz": found.clock_mhz,
        "frames_per_second": round(sensor.frames_per_second, 2),
        "group_cycles": found.group_cycles,
        "step_cycles": found.step_cycles,
        "margin_percent": round(found.margin, 2),
        "fifo": {"waiting": found.waiting, "depth": found.depth},
        "latency": {
            "cycles": found.latency,
            "us": round(found.latency_us, 2),
            "rows": round(found.latency_rows, 2),
        },
        "early_termination": {
            "keeps_up": rule.fits,
            "step_cycles": rule.step_cycles,
            "margin_percent": round(rule.margin, 2),
        },
    }
