"""Targets by search: which engines, rows, columns, packing and memories a device takes for a model, and which are worth
it.

Every shape that the device has the multipliers for is drafted: its resources by :mod:`rtl_gen.resources`, and fewer
cycles than which it cannot take. In the order of their LUTs those that this bound does not rule out are scheduled and
replayed exactly (:mod:`rtl_gen.estimate`). So what comes out is the Pareto front of cycles a frame and LUTs, not a
sample of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rasca_hw.lines import COLOURS
from rasca_nn.errors import RascaError
from rasca_nn.int8_file import Int8Model
from rtl_gen.build import build
from rtl_gen.estimate import FrameCycles, estimate
from rtl_gen.resources import cells, predict
from rtl_gen.target import (
    BROADCAST_COLUMNS,
    EngineTarget,
    Target,
    TargetError,
    TooSmall,
    target_from_dict,
    to_dict,
    wide_multipliers,
)
from sim.spread import spread

FRAMES = 3
"""Of a stream, of which the last counts."""
FILL = 0.9
"""Share of a device's LUTs that a design may take: beyond, placing fails or timing does."""
COLUMNS = range(2, 65)
MAX_ROWS = 16
PRODUCTS = (1, 2)
"""Of a multiplier of 18 x 18 bits."""
MORE_LINES = (2, 1, 0)
"""Rows that the line buffer holds beyond the network's rows a group: behind a sensor two are needed to keep up."""
ACTIVATION_WORDS = (0, 512, 256)
"""Of one engine that runs all: as many as it takes, or what some block RAMs hold."""
BATCH = 8
"""Shapes that are replayed at once."""

Tell = Callable[[int, int], None]
"""Told how many shapes of how many have been looked at."""


@dataclass(frozen=True)
class Shape:
    """A shape that fits: its target with the largest memories that there is room for, what it takes, and the cycles
    from one frame to the next below which it cannot come.
    """

    target: Target
    takes: dict[str, int]
    bound: int


@dataclass(frozen=True)
class Design:
    """A target, what it takes, and its cycles: of a single frame, and from one to the next."""

    target: Target
    takes: dict[str, int]
    frame: FrameCycles
    interval: int
    busy: float

    @property
    def frames_per_second(self) -> float:
        return self.target.clock_mhz * 1e6 / self.interval

    def to_dict(self) -> dict[str, Any]:
        """As in front.json."""
        return {
            "target": to_dict(self.target),
            "resources": self.takes,
            "cycles": {
                "frame": self.frame.frame_cycles,
                "frame_in_stream": self.interval,
                "latency": self.frame.latency,
            },
            "frames_per_second": round(self.frames_per_second, 2),
            "busy": round(self.busy, 4),
        }


@dataclass(frozen=True)
class Search:
    """What was found: the Pareto front by falling cycles, and how many shapes were drafted and replayed."""

    front: tuple[Design, ...]
    drafted: int
    replayed: int

    def choose(self, frames_per_second: float | None) -> Design:
        """The smallest that is fast enough, or the fastest. Raises RascaError where none is."""
        if frames_per_second is None:
            return self.front[-1]
        for design in self.front:
            if design.frames_per_second >= frames_per_second:
                return design
        best = self.front[-1]
        raise RascaError(
            f"no design on {best.target.device} makes {frames_per_second:g} frames a second at "
            f"{best.target.clock_mhz} MHz, the fastest {best.frames_per_second:.4g}; use a higher --clock, a lower "
            "--fps or a larger device"
        )


def explore(model: Int8Model, device: Target, *, dask: str | None = None, tell: Tell = lambda done, of: None) -> Search:
    """Searches the targets for the device that the target `device` names; they take its budgets and its clock.

    `dask`: see :func:`sim.spread.spread`. Raises TargetError where nothing fits.
    """
    run = partial(spread, dask=dask, processes=True)
    luts = cells(device)
    drafted = [shape for found in run(partial(_shapes, model, device), COLUMNS) for shape in found]
    if not drafted:
        raise TargetError(f"nothing fits: {_refusal(model, device)}")
    shapes = sorted(drafted, key=lambda shape: (shape.takes[luts], shape.bound))
    front: list[Design] = []
    replayed, at = 0, 0
    while at < len(shapes):
        batch: list[Target] = []
        while at < len(shapes) and len(batch) < BATCH:
            if not front or shapes[at].bound < front[-1].interval:
                batch.append(shapes[at].target)
            at += 1
        for design in run(partial(_replay, model), batch):
            if front and design.interval >= front[-1].interval:
                continue
            if front and design.takes[luts] == front[-1].takes[luts]:
                front.pop()
            front.append(design)
        replayed += len(batch)
        tell(at, len(shapes))
    return Search(tuple(front), len(shapes), replayed)


def _replay(model: Int8Model, target: Target) -> Design:
    """Exactly."""
    made = build(model, target)
    first, *_, last = estimate(made, FRAMES)
    places = target.products_per_multiplier * sum(engine.params.multipliers for engine in made.engines)
    products = made.params.steps * sum(engine.products for engine in made.engines)
    return Design(target, predict(made), first, last.interval, products / (places * last.interval))


def _shapes(model: Int8Model, device: Target, columns: int) -> list[Shape]:
    """Those with so many columns that fit; more rows only where the multipliers were enough for fewer."""
    found: list[Shape] = []
    for products in PRODUCTS if device.array == "systolic" and wide_multipliers(device.device) else (1,):
        base = replace(device, columns=columns, products_per_multiplier=products, lut_multipliers=0)
        rows = range(products, min(MAX_ROWS, columns) + 1, products)
        for n in rows:
            if not _add(found, model, replace(base, engines=(EngineTarget("all", "all", n),))):
                break
        if device.array == "broadcast":
            continue
        for heads in rows:
            for back in rows:
                engines = EngineTarget("heads", "heads", heads), EngineTarget("back", "back", back)
                if not _add(found, model, replace(base, engines=engines)):
                    break
            if back == rows[0]:
                break
    return found


def _add(found: list[Shape], model: Int8Model, target: Target) -> bool:
    """Drafts it and keeps it if it fits; returns whether there are enough multipliers."""
    for choice in _memories(target, model.config.rows):
        try:
            shape = _draft(model, choice)
        except TooSmall as error:
            if error.resource == "multipliers":
                if target.lut_multipliers or target.array == "broadcast" or error.excess > target.engines[-1].rows:
                    return False
                return _add(found, model, replace(target, lut_multipliers=error.excess))
        except TargetError:
            continue
        else:
            if shape.takes[cells(target)] <= FILL * target.luts:
                found.append(shape)
            return True
    return True


def _draft(model: Int8Model, target: Target) -> Shape:
    """Raises TargetError where it does not fit, LUTs apart."""
    made = build(model, target_from_dict(to_dict(target)), draft=True)
    steps, config = made.params.steps, made.model.config
    cycles = [engine.prologue_cycles + steps * engine.step_cycles for engine in made.engines]
    return Shape(made.target, predict(made), max(*cycles, COLOURS * config.width * steps * config.rows))


def _memories(target: Target, rows: int) -> Iterator[Target]:
    """The target with every choice of memories, the largest first."""
    for more in MORE_LINES:
        for words in ACTIVATION_WORDS if len(target.engines) == 1 else (0,):
            yield replace(target, line_rows=rows + more, activation_words=words)


def _refusal(model: Int8Model, device: Target) -> str:
    """Why not even the smallest shape fits."""
    target = replace(device, columns=min(BROADCAST_COLUMNS), engines=(EngineTarget("all", "all", 1),))
    try:
        takes = _draft(model, replace(target, line_rows=model.config.rows)).takes[cells(device)]
    except TargetError as error:
        return str(error)
    return f"the smallest takes {takes:,} of {device.luts:,} {cells(device)}, more than {FILL:.0%}"
