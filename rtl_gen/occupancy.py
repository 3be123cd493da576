"""Where an engine's cycles go: the products of its array, in each cycle of a frame in a stream, layer by layer.

From the estimator's replay (:mod:`rtl_gen.estimate`). All figures count places for a product: those of a layer add up
to the products that the array makes in a cycle times the cycles it takes, those of an engine to the cycles from one
frame to the next. A multiplier has one such place a cycle, or two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rasca_hw.issue import LAYER_OVERHEAD, ROW_OVERHEAD, STEP_OVERHEAD
from rtl_gen.build import Build, EngineBuild
from rtl_gen.estimate import FrameCycles, LayerRun, estimate

FRAMES = 4
"""The last of so many is looked at: by then each is as the one before."""

KINDS = {
    "products": "products of the network",
    "edge": "columns beyond the tensor's width",
    "padding": "rows beyond its channels",
    "gap": "gaps between passes: a pass is shorter than its drain",
    "dependency": "delays: a word is read that is not written yet",
    "fill": "starts of layers, rows and steps",
    "clear": "layers without products, which clear the state",
    "wait": "waits for rows, features and credit",
}
"""What a place may be used for; there is no cycle for a drain, which goes on beside the next pass."""


@dataclass(frozen=True)
class LayerUse:
    """A layer over a frame: cycles, and places by kind."""

    engine: str
    layer: str
    runs: int
    cycles: int
    uses: dict[str, int]


@dataclass(frozen=True)
class EngineUse:
    """An engine over a frame: `array` products a cycle in the array, `others` multipliers beside it, which elementwise
    products use; `places` for products in all its multipliers.
    """

    name: str
    array: int
    others: int
    places: int
    cycles: int
    layers: tuple[LayerUse, ...]
    step: tuple[LayerRun, ...]
    """The layers of the step in the middle."""

    @property
    def uses(self) -> dict[str, int]:
        return {kind: sum(layer.uses[kind] for layer in self.layers) for kind in KINDS}


@dataclass(frozen=True)
class Occupancy:
    """Both engines over a frame in a stream; `busy` is over all multipliers, as the manifest has it."""

    frame: FrameCycles
    engines: tuple[EngineUse, ...]

    @property
    def busy(self) -> float:
        places = sum(e.places for e in self.engines)
        return sum(e.uses["products"] for e in self.engines) / (places * self.frame.interval)

    def to_dict(self) -> dict[str, Any]:
        """The keys of `rasca schedule --json`."""
        return {
            "frame_in_stream": self.frame.interval,
            "busy": round(self.busy, 4),
            "engines": [
                {
                    "name": e.name,
                    "array_products": e.array,
                    "other_multipliers": e.others,
                    "cycles": e.cycles,
                    "places": e.uses,
                    "layers": [
                        {"layer": u.layer, "runs": u.runs, "cycles": u.cycles, "places": u.uses} for u in e.layers
                    ],
                }
                for e in self.engines
            ],
        }


def layer_use(run: LayerRun, array: int, groups: int) -> dict[str, int]:
    """Places of one run by kind, with `array` products a cycle of all lockstep groups."""
    plan, op = run.plan, run.plan.op
    each = groups * op.out_rows * plan.pass_cycles
    high, wide = plan.groups * plan.rows, plan.blocks * plan.columns
    uses = {
        "products": each * op.out_channels * op.width,
        "edge": each * high * (wide - op.width),
        "padding": each * (high - op.out_channels) * op.width,
        "gap": array * plan.passes * plan.gap,
        "dependency": array * plan.delay,
        "fill": array * (LAYER_OVERHEAD + op.out_rows * ROW_OVERHEAD),
        "clear": 0,
        "wait": array * run.waited,
    }
    if not op.products:
        uses |= {"products": 0, "edge": 0, "padding": 0, "clear": array * plan.passes * plan.pass_cycles}
    return uses


def occupancy(build: Build) -> Occupancy:
    """The last of some frames of a stream without pauses."""
    runs: list[list[LayerRun]] = []
    frames = estimate(build, FRAMES, runs=runs)
    engines = (_engine(build, e, r) for e, r in zip(build.engines, runs, strict=True))
    return Occupancy(frames[-1], tuple(engines))


def _engine(build: Build, engine: EngineBuild, runs: list[LayerRun]) -> EngineUse:
    params = engine.params
    array = params.array_products
    steps, loop, all_layers = build.params.steps, params.loop, len(engine.plans)
    a_step = all_layers - loop
    frame = runs[-(loop + steps * a_step) :]
    uses = [
        _add(params.name, plan.op.name, array, params.groups, [r for r in frame if r.plan is plan])
        for plan in engine.plans
    ]
    overhead = dict.fromkeys(KINDS, 0) | {"fill": array * steps * STEP_OVERHEAD}
    uses.append(LayerUse(params.name, "(ends of steps)", steps, steps * STEP_OVERHEAD, overhead))
    middle = loop + steps // 2 * a_step
    return EngineUse(
        name=params.name,
        array=array,
        others=params.other_multipliers,
        places=params.multipliers * params.products_per_multiplier,
        cycles=sum(use.cycles for use in uses),
        layers=tuple(uses),
        step=tuple(frame[middle : middle + a_step]),
    )


def _add(engine: str, layer: str, array: int, groups: int, runs: Iterable[LayerRun]) -> LayerUse:
    runs = list(runs)
    uses = [layer_use(run, array, groups) for run in runs]
    total = {kind: sum(use[kind] for use in uses) for kind in KINDS}
    return LayerUse(engine, layer, len(runs), sum(run.end - run.start for run in runs), total)
