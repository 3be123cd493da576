"""What a design takes of a device, before synthesis: a model fitted to designs that were synthesised (fpga/points.py).

Block RAMs, SPRAMs and multipliers follow from the structure (:mod:`rtl_gen.memory`). LUTs, flip-flops and logic cells
are sums of structural features, each at a price that least squares find over the family's points, in shares of what
was measured. Figures are those of the UART demo with the accelerator in it, as `rasca bitstream` reports them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fpga.points import Point, load_points
from fpga.synthesis import flow_of
from rasca_hw.params import AcceleratorParams
from rasca_nn.config import preset
from rasca_nn.errors import RascaError
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import Build, build
from rtl_gen.memory import memories
from rtl_gen.target import Target

FITTED = {"systolic": ("luts", "ffs"), "broadcast": ("logic_cells",)}
"""What is fitted, for each kind of array: they are for different families of devices."""
LUT_MULTIPLIER = {"luts": 370, "ffs": 75}
"""What :class:`rasca_hw.multiplier.LogicMultiplier` of 10 x 10 bits takes; tests/gen/test_explore.py synthesises it."""
SHARED_DSP = 2
"""Products that one multiplier of an iCE40 makes."""


def features(params: AcceleratorParams, resource: str) -> dict[str, float]:
    """Structure by name: what the resource's prices are asked for.

    Those that explain it best with the fewest prices, none of them negative: elementwise rows have tables, multiplier
    and second operands; a word is that of one group's memories, with its registers.
    """
    engines = params.engines
    lanes = sum(engine.array_products for engine in engines)
    if engines[0].broadcast:
        sizes = [size for e in engines for size in (e.depth, e.operand_depth, len(e.weights[0]))]
        # Address bits stand for sequencers and ports.
        address_bits = sum(size.bit_length() for size in sizes)
        return {"one": 1, "lanes": lanes, "address bits": address_bits, "columns": engines[0].columns}
    columns = {
        "luts": {"further engines": len(engines) - 1, "columns": engines[0].columns},
        "ffs": {"word columns": sum(engine.groups * engine.columns for engine in engines)},
    }
    return {
        "one": 1,
        "lanes": lanes,
        "elementwise rows": sum(engine.rows for engine in engines if engine.operand_depth),
        **columns[resource],
        "packed pairs": sum(engine.array_products / 2 for engine in engines if engine.packed),
        "spatial attention": sum(engine.rows for engine in engines if engine.spatial),
    }


def known_part(params: AcceleratorParams, resource: str) -> int:
    """What needs no fit: multipliers of LUTs, synthesised alone."""
    return LUT_MULTIPLIER.get(resource, 0) * sum(engine.lut_multipliers for engine in params.engines)


@dataclass(frozen=True)
class Fit:
    """Prices of features. `errors` are (predicted / measured - 1) of each point, `left_out` the same with the prices
    found without the point.
    """

    names: tuple[str, ...]
    prices: NDArray[np.float64]
    errors: NDArray[np.float64]
    left_out: NDArray[np.float64]

    def __call__(self, found: dict[str, float]) -> int:
        """Raises RascaError for a design with something that no point has."""
        if unknown := [name for name, value in found.items() if value and name not in self.names]:
            raise RascaError(
                f"resources of a design with {unknown[0]} are not predicted, since none was synthesised; "
                "use rasca generate with a target of your own, or add one to fpga/synthesised.csv"
            )
        return round(float(self.prices @ [found[name] for name in self.names]))


def fit(rows: Sequence[dict[str, float]], measured: Sequence[int], of: Sequence[int] | None = None) -> Fit:
    """Least squares of the relative error; at least as many points as features.

    Parameters
    ----------
    rows, measured : each point's features and what it took, less its :func:`known_part`.
    of : what it took in all, of which errors are shares; `measured` by default.
    """
    names = tuple(name for name in rows[0] if any(row[name] for row in rows))
    if len(rows) < len(names):
        raise RascaError(f"{len(rows)} synthesised points are too few for {len(names)} prices")
    whole = np.array(of or measured)
    scaled = np.array([[row[name] for name in names] for row in rows]) / whole[:, None]
    wanted = np.array(measured) / whole
    prices = _solve(scaled, wanted)
    left_out = [
        scaled[i] @ _solve(np.delete(scaled, i, axis=0), np.delete(wanted, i)) - wanted[i] for i in range(len(rows))
    ]
    return Fit(names, prices, scaled @ prices - wanted, np.array(left_out))


def _solve(scaled: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.lstsq(scaled, wanted, rcond=None)[0], np.float64)


@dataclass(frozen=True)
class Known:
    """A synthesised point and its design as a draft."""

    point: Point
    made: Build


@cache
def known(array: str) -> tuple[Known, ...]:
    """The points with that kind of array."""
    points = [point for point in load_points() if point.measured and point.target.array == array]
    return tuple(
        Known(point, build(random_int8_model(preset(point.preset), seed=1), point.unlimited, draft=True))
        for point in points
    )


@cache
def fitted(array: str) -> dict[str, Fit]:
    """The fit of each resource that has one."""
    found = {}
    for name in FITTED[array]:
        measured = [each.point.measured[name] for each in known(array)]
        rest = [took - known_part(each.made.params, name) for took, each in zip(measured, known(array), strict=True)]
        found[name] = fit([features(each.made.params, name) for each in known(array)], rest, measured)
    return found


def errors(array: str) -> dict[str, dict[str, float]]:
    """For each resource the number of points, the largest error over them, and that of points that were left out of
    the fit; shares of what was measured.
    """
    found = {}
    for name in known(array)[0].point.measured:
        own = fitted(array).get(name)
        measured = [each.point.measured[name] for each in known(array)]
        exact = [abs(predict(each.made)[name] / value - 1) for each, value in zip(known(array), measured, strict=True)]
        left_out = abs(own.left_out) if own else exact
        found[name] = {"points": len(exact), "worst": round(max(exact), 4), "left_out": round(float(max(left_out)), 4)}
    return found


def check_family(target: Target) -> None:
    """Raises RascaError where no array of that kind was synthesised for that family of devices."""
    family = flow_of(known(target.array)[0].point.target.device).family
    if not target.device.startswith(family):
        raise RascaError(
            f"resources of a {target.array} array on {target.device!r} are not predicted: such arrays were synthesised "
            f"for {family} only; use such a device, another array, or add designs to fpga/synthesised.csv"
        )


def predict(made: Build) -> dict[str, int]:
    """What a design takes, by the names of `Board.flow.cells`; a draft will do. Raises RascaError for what
    no synthesised design has.
    """
    params, target = made.params, made.target
    check_family(target)
    uses = memories(params, target)
    products = sum(engine.multipliers for engine in params.engines)
    takes = {
        name: price(features(params, name)) + known_part(params, name) for name, price in fitted(target.array).items()
    }
    takes["block_rams"] = sum(use.blocks for use in uses)
    if target.spram_blocks:
        takes["sprams"] = sum(use.sprams for use in uses)
    return takes | {"multipliers": -(-products // SHARED_DSP) if target.array == "broadcast" else products}


def cells(target: Target) -> str:
    """The name of what the device has `target.luts` of."""
    return FITTED[target.array][0]
