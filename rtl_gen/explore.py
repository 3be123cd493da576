"""Targets by search: which engines, rows, columns, packing and memories a device takes for a model, and which are worth
it.

Every shape that the device has the multipliers for is drafted with every choice of memories that may matter: its
resources by :mod:`rtl_gen.resources`, and fewer cycles than which it cannot take. In the order of their LUTs those that
this bound does not rule out are scheduled and replayed exactly (:mod:`rtl_gen.estimate`). So what comes out is the
Pareto front of cycles a frame and LUTs, not a sample of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rasca_hw.lines import COLOURS
from rasca_nn.int8_file import Int8Model
from rtl_gen.build import Build, build
from rtl_gen.estimate import FrameCycles, estimate
from rtl_gen.resources import cells, check_family, predict
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
"""Designs that are replayed at once."""

Tell = Callable[[int, int], None]
"""Told how many drafts of how many have been looked at."""


@dataclass(frozen=True)
class Shape:
    """A draft that fits: its target, what it takes, and the cycles from one frame to the next below which it cannot
    come.
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
    """What was found: the Pareto front by falling cycles, how many drafts fit, and how many of them were replayed."""

    front: tuple[Design, ...]
    drafted: int
    replayed: int

    @property
    def fastest(self) -> Design:
        return self.front[-1]

    def choose(self, frames_per_second: float | None) -> Design | None:
        """The smallest that is fast enough, None where none is; without a rate the fastest."""
        if frames_per_second is None:
            return self.fastest
        return next((design for design in self.front if design.frames_per_second >= frames_per_second), None)


def explore(model: Int8Model, device: Target, *, dask: str | None = None, tell: Tell = lambda done, of: None) -> Search:
    """Searches the targets for the device that the target `device` names; they take its budgets and its clock.

    `dask`: see :func:`sim.spread.spread`. Raises TargetError where nothing fits, RascaError where resources are not
    predicted.
    """
    check_family(device)
    run = partial(spread, dask=dask, processes=True)
    luts = cells(device)
    drafted = [shape for found in run(partial(_shapes, model, device), _columns(device)) for shape in found]
    if not drafted:
        least = f"{_columns(device)[0]} columns and one row"
        raise TargetError(f"nothing fits, not even {least}: {_refusal(model, device)}")
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


def _columns(device: Target) -> Sequence[int]:
    """Of its kind of array, the fewest first."""
    return BROADCAST_COLUMNS if device.array == "broadcast" else COLUMNS


def _shapes(model: Int8Model, device: Target, columns: int) -> list[Shape]:
    """Those with so many columns that fit; more rows only where the multipliers were enough for fewer."""
    found: list[Shape] = []
    broadcast = device.array == "broadcast"
    wide = not broadcast and wide_multipliers(device.device) and model.config.spatial_attention == "off"
    for products in PRODUCTS if wide else (1,):
        base = replace(device, columns=columns, products_per_multiplier=products, lut_multipliers=0)
        most = min(MAX_ROWS, columns)
        rows = [n for n in range(products, most + 1, products) if not broadcast or n & (n - 1) == 0]
        for n in rows:
            if not _add(found, model, replace(base, engines=(EngineTarget("all", "all", n),))):
                break
        if broadcast:
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
    """Drafts it with each choice of memories that may matter and keeps those that fit; returns whether there are enough
    multipliers.
    """
    sizes: set[tuple[int, int]] = set()
    for choice in _memories(target, model.config.rows):
        try:
            made = _draft(model, choice)
        except TooSmall as error:
            if error.resource != "multipliers":
                continue
            if target.lut_multipliers or target.array == "broadcast" or error.excess > target.engines[-1].rows:
                return False
            return _add(found, model, replace(target, lut_multipliers=error.excess))
        # A limit of words that is not reached changes nothing.
        size = choice.line_rows, made.params.engines[0].depth
        takes = predict(made)
        if size not in sizes and takes[cells(target)] <= FILL * target.luts:
            found.append(Shape(choice, takes, _bound(made)))
        sizes.add(size)
        if target.array == "systolic":
            # Less memory would take as many LUTs, and no fewer cycles.
            break
    return True


def _draft(model: Int8Model, target: Target) -> Build:
    """Raises TooSmall where it does not fit, LUTs apart."""
    return build(model, target_from_dict(to_dict(target)), draft=True)


def _bound(made: Build) -> int:
    """Cycles from one frame to the next at the least: those of an engine, or of the pixels."""
    steps, config = made.params.steps, made.model.config
    cycles = [engine.prologue_cycles + steps * engine.step_cycles for engine in made.engines]
    return max(*cycles, COLOURS * config.width * steps * config.rows)


def _memories(target: Target, rows: int) -> Iterator[Target]:
    """The target with every choice of memories, the largest first."""
    for more in MORE_LINES:
        for words in ACTIVATION_WORDS if len(target.engines) == 1 else (0,):
            yield replace(target, line_rows=rows + more, activation_words=words)


def _refusal(model: Int8Model, device: Target) -> str:
    """Why not even the array with the fewest multipliers fits."""
    target = replace(
        device,
        columns=_columns(device)[0],
        line_rows=model.config.rows,
        activation_words=0,
        products_per_multiplier=1,
        lut_multipliers=0,
        engines=(EngineTarget("all", "all", 1),),
    )
    try:
        takes = predict(_draft(model, target))[cells(device)]
    except TooSmall as error:
        return str(error)
    return f"it takes {takes:,} of {device.luts:,} {cells(device)}, more than {FILL:.0%}"
