"""Random cases without end, and the way from a failing one to a small one that still fails."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any, get_args

from rasca_hw.serial_tail import MAX_SUM_BITS
from rasca_nn.config import CHOICES, CONVS, LIMITS, RaScaNetConfig
from rasca_nn.errors import RascaError
from rasca_nn.int8_file import layer_shapes
from rasca_nn.random_model import Kind
from rasca_nn.termination import Rule
from rtl_gen.lower import bound_bits
from rtl_gen.target import ARRAYS, target_from_dict
from sim.random_case import MAX_SEED, Case, Pictures

MAX_WORK = 4_000
MAX_ARRAYS = 40
"""Cycles of all steps of a case, roughly, and multipliers of its arrays, so that a simulation takes seconds."""

USUAL = {"channels": 6, "hidden": 8, "attention": 8, "classifier_hidden": 6, "classes": 4, "width": 48}
LARGE = {"channels": 24, "hidden": 40, "attention": 64, "classifier_hidden": 64, "classes": 16, "width": 110}
"""Largest sizes drawn: the usual ones, and those of the one size that a case may have large."""


def kernels(rows: int) -> list[tuple[int, ...]]:
    """Every choice of kernel heights that reduces so many rows to one, the tallest first."""
    return [heights for heights in product((5, 3, 1), repeat=CONVS) if sum(heights) - CONVS == rows - 1]


def random_case(seed: int, number: int) -> Case:
    """Case `number` of the endless row that belongs to `seed`."""
    r = random.Random(f"{seed}/{number}")
    while True:
        case = _draw(r)
        if _work(case) <= MAX_WORK:
            return case


def _draw(r: random.Random) -> Case:
    """Any member of the family, small but for at most one size."""
    most = dict(USUAL)
    if r.random() < 0.5:
        name = r.choice([*LARGE, "width", "width", "width"])
        most[name] = LARGE[name]
    rows, steps = r.choice([1, 3, 5, 5, 5, 7, 7, 9, 9]), r.choice([1, 2, 2, 3, 3, 5])
    config: dict[str, Any] = {
        "name": "random",
        "height": rows * steps + r.choice([0, r.randint(0, rows - 1)]),
        "width": r.randint(LIMITS["width"][0], most["width"]),
        "rows": rows,
        "heads": r.choice([1, 1, 2, 2, 3, 4]),
        "channels": [r.randint(1, most["channels"]) for _ in range(CONVS)],
        "kernel_heights": r.choice(kernels(rows)),
        "hidden": r.randint(1, most["hidden"]),
        "channel_attention": r.random() < 0.8,
        "attention": r.randint(1, most["attention"]),
        "attention_relu": r.random() < 0.5,
        "spatial_attention": r.choice(["off", "off", "full", "banded"]),
        "projection": r.choice(["1x1", "1x3-1x3"]),
        "pool": r.choice(["mean", "mean+max"]),
        "classifier_hidden": r.choice([0, r.randint(1, most["classifier_hidden"])]),
        "classes": r.randint(2, most["classes"]),
    }
    runs = r.choice([["all"], ["heads", "back"], ["heads", "back"]])
    arrays = [config["heads"], 1] if len(runs) > 1 else [1]
    # Score rows of more than one word, which need wide pictures and narrow arrays.
    parted = config["spatial_attention"] != "off" and r.random() < 0.5
    if parted:
        config["width"] = r.randint(48, LARGE["width"])
    while True:
        columns = r.randint(2, 16 if not parted else max(2, config["width"] // 2**CONVS - 1))
        heights = [r.randint(1, min(6, columns)) for _ in runs]
        if columns * sum(count * height for count, height in zip(arrays, heights, strict=True)) <= MAX_ARRAYS:
            break
    target = {
        "name": "random",
        "device": "none",
        "multipliers": 1000,
        "block_rams": 1000,
        "luts": 1_000_000,
        "clock_mhz": 80,
        "array": "systolic",
        "columns": columns,
        "line_rows": rows + r.randint(0, 6),
        "engines": [{"name": run, "runs": run, "rows": rows} for run, rows in zip(runs, heights, strict=True)],
    }
    case = Case(
        config=RaScaNetConfig.from_dict(config),
        target=target_from_dict(target),
        weights=r.choice(["uniform", "uniform", "uniform", *get_args(Kind)]),
        images=r.choice(["noise", "noise", "noise", *get_args(Pictures)]),
        seed=r.randint(0, MAX_SEED),
        frames=r.choice([1, 2, 2, 2, 3]),
        rule=_rule(r) if r.random() < 0.4 else None,
    )
    if case.config.spatial_attention == "off" and columns % 2 == 0 and runs == ["all"]:
        engine = replace(case.target.engines[0], rows=1 << (heights[0].bit_length() - 1))
        served = replace(case.target, array="broadcast", columns=8 if columns < 12 else 16, engines=(engine,))
        if all(bound_bits(case.config, layer) <= MAX_SUM_BITS for layer in case.model().layers.values()):
            return replace(case, target=served)
    if r.random() < 0.5:
        case = replace(case, target=replace(case.target, lut_multipliers=r.randint(0, heights[-1])))
    if case.config.spatial_attention == "off" and r.random() < 0.5:
        even = tuple(replace(e, rows=e.rows + e.rows % 2) for e in case.target.engines)
        if max(e.rows for e in even) <= columns:
            case = replace(case, target=replace(case.target, products_per_multiplier=2, engines=even))
    return case


def _rule(r: random.Random) -> Rule:
    threshold = r.uniform(0.3, 0.99)
    return Rule(threshold, r.randint(1, 3), threshold * r.uniform(0.2, 0.99) if r.random() < 0.6 else None)


def _work(case: Case) -> int:
    """Cycles of all steps, roughly, were every multiplier busy: known without the generator that is tested."""
    config, cycles = case.config, 0
    for name, (out, inputs, height, width) in layer_shapes(config).items():
        head = name.startswith("head")
        j = int(name[-1]) - 1 if head else 0
        places = config.widths[j] * config.heights[j + 1] if head else config.columns
        array = case.target.engines[0 if head else -1].rows * case.target.columns
        cycles += out * inputs * height * width * places // array
    return cycles * config.steps * case.frames


Change = dict[str, Any]
"""Values by path (``config.width``), set together."""


def _changes(case: dict[str, Any]) -> Iterator[list[Change]]:
    """For each property of a case the changes that make it simpler, the simplest first."""
    config, target = case["config"], case["target"]
    rows = config["rows"]
    yield [{"frames": n} for n in _below(case["frames"], 1)]
    if case["rule"]:
        yield [{"rule": None}, {"rule": {**case["rule"], "lower": None}}]
    yield [{"config.height": rows * n} for n in _below(-(-config["height"] // rows), 1)]
    yield [{"config.heads": n} for n in _below(config["heads"], 1)]
    yield [{"config.channels": [min(n, c) for c in config["channels"]]} for n in _below(max(config["channels"]), 1)]
    for name in ("width", "hidden", "attention", "classifier_hidden", "classes"):
        yield [{f"config.{name}": n} for n in _below(config[name], LIMITS[name][0])]
    yield [
        {"config.rows": n, "config.kernel_heights": kernels(n)[0], "config.height": n, "target.line_rows": n}
        for n in range(1, rows, 2)
    ]
    heights = tuple(config["kernel_heights"])
    yield [{"config.kernel_heights": simpler} for simpler in _before(heights, tuple(kernels(rows)))]
    for name, simplest in (
        ("channel_attention", (False, True)),
        ("attention_relu", (True, False)),
        ("spatial_attention", CHOICES["spatial_attention"]),
        ("projection", CHOICES["projection"]),
        ("pool", CHOICES["pool"]),
    ):
        yield [{f"config.{name}": value} for value in _before(config[name], simplest)]
    for j in range(CONVS):
        channels = config["channels"]
        yield [{"config.channels": [*channels[:j], n, *channels[j + 1 :]]} for n in _below(channels[j], 1)]
    yield [{"target.products_per_multiplier": n} for n in _below(target["products_per_multiplier"], 1)]
    yield [{"target.lut_multipliers": n} for n in _below(target["lut_multipliers"], 0)]
    engines = target["engines"]
    if len(engines) > 1:
        yield [{"target.engines": [{"name": "all", "runs": "all", "rows": engine["rows"]}]} for engine in engines]
    for i, engine in enumerate(engines):
        yield [
            {"target.engines": [*engines[:i], {**engine, "rows": n}, *engines[i + 1 :]]}
            for n in _below(engine["rows"], 1)
        ]
    yield [{"target.array": value} for value in _before(target["array"], ARRAYS)]
    yield [{"target.columns": n} for n in _below(target["columns"], 2)]
    yield [{"target.line_rows": n} for n in _below(target["line_rows"], rows)]
    yield [{"images": value} for value in _before(case["images"], get_args(Pictures))]
    yield [{"weights": value} for value in _before(case["weights"], get_args(Kind))]
    yield [{"seed": n} for n in _before(case["seed"], (0,))]


def _below(value: int, least: int) -> list[int]:
    """Smaller numbers: the least, the one half way, the next."""
    return sorted({n for n in (least, (least + value) // 2, value - 1) if least <= n < value})


def _before(value: Any, simplest: tuple[Any, ...]) -> tuple[Any, ...]:
    """What comes before the value in a list that begins with the simplest; all of it where the value is not in it."""
    return simplest[: simplest.index(value)] if value in simplest else simplest


def _changed(case: dict[str, Any], change: Change) -> Case | None:
    """The case with a change, or None where that is none."""
    data = copy.deepcopy(case)
    for path, value in change.items():
        *parents, name = path.split(".")
        place = data
        for parent in parents:
            place = place[parent]
        place[name] = value
    try:
        return Case.from_dict(data)
    except RascaError:
        return None


def shrink(
    case: Case, fails: Callable[[Case], bool], tries: int, progress: Callable[[int, int], None] | None = None
) -> Case:
    """A smaller case that fails as well, after at most so many runs of `fails`.

    Greedy: property after property is made as simple as it can be while the case still fails, again and again until
    nothing helps any more.
    """
    tried = {case}
    again = True
    while again:
        again = False
        place = 0
        while place < len(knobs := list(_changes(case.to_dict()))):
            for change in knobs[place]:
                smaller = _changed(case.to_dict(), change)
                if smaller is None or smaller in tried:
                    continue
                if len(tried) > tries:
                    return case
                tried.add(smaller)
                failing = fails(smaller)
                if progress:
                    progress(len(tried) - 1, tries)
                if failing:
                    case, again = smaller, True
                    break
            else:
                place += 1
    return case
