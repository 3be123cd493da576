"""Figures of the whole project in one run: every preset on every target, the simulators' speed, an evaluation's.

What is counted (cycles, busy, memory) is the same on every machine; what is timed is of the machine it runs on, in
seconds of its processors, and on the wall where that is said.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fpga.bitstream import bitstream
from fpga.boards import board as load_board
from fpga.tools import find
from rasca_hw.accelerator import Accelerator
from rasca_nn.config import preset
from rasca_nn.errors import RascaError
from rasca_nn.int8_file import Int8Model
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import Build, build
from rtl_gen.estimate import estimate
from rtl_gen.generate import describe, to_verilog
from rtl_gen.memory import memories
from rtl_gen.resources import predict
from rtl_gen.target import TargetError, load_target
from sim.cxxrtl import Simulator, compile_simulator
from sim.engine import RtlEngine
from sim.frames import pixel_stream
from sim.simulate import Icarus, cycle_limit

Step = Callable[[str], None]
"""Told what is measured next."""

SMALL = ("tiny", "small")
"""Preset and target on which all simulators are timed; Icarus would take hours for a large one."""


def processor_seconds() -> float:
    """Of this process and those it started and has waited for."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)


def made_up(name: str, target: str) -> Build:
    """A preset on a target; the weights are made up, since shapes decide all that is counted."""
    return build(random_int8_model(preset(name), seed=1), load_target(target))


def hardware(name: str, target: str) -> dict[str, Any]:
    """What is known of a preset on a target before synthesis, or `refused` and why."""
    row: dict[str, Any] = {"preset": name, "target": target}
    try:
        start = processor_seconds()
        made = made_up(name, target)
        uses = memories(made.params, made.target)
        manifest = describe(made, uses)
        to_verilog(Accelerator(made.params))
        spent = processor_seconds() - start
    except TargetError as error:
        return row | {"refused": str(error)}
    cycles = manifest["cycles"]
    bound = -(-manifest["products_per_frame"] // (manifest["multipliers"] * made.target.products_per_multiplier))
    return row | {
        "multipliers": manifest["multipliers"],
        "products_per_multiplier": manifest["products_per_multiplier"],
        "cycles_alone": cycles["frame"],
        "cycles_in_stream": cycles["frame_in_stream"],
        "bound_cycles": bound,
        "busy": manifest["busy"]["frame_in_stream"],
        "mhz": made.target.clock_mhz,
        "frames_per_second": manifest["at_clock"]["frames_per_second"],
        "latency_cycles": cycles["latency"],
        "ram_bits": manifest["memory"]["bits"],
        "block_rams": sum(use.blocks for use in uses),
        **predicted(made),
        "generation_seconds": round(spent, 2),
    }


def predicted(made: Build) -> dict[str, Any]:
    """What it would take of the device, or `unpredicted` and why."""
    try:
        return {"predicted": predict(made)}
    except RascaError as error:
        return {"unpredicted": str(error)}


def placed(model: Path, board: str, target: str) -> dict[str, Any]:
    """The demo of a model, placed and routed for a board: resources, and the clock that nextpnr reached."""
    mapped, loaded = load_target(target), Int8Model.load(model)
    clock = None if target == load_board(board).target else float(mapped.clock_mhz)
    with tempfile.TemporaryDirectory() as folder:
        report, _ = bitstream(loaded, load_board(board), Path(folder) / "out", target=target, clock_mhz=clock)
    interval = estimate(build(loaded, mapped))[-1].interval
    return {
        "preset": model.stem,
        "board": board,
        "target": target,
        "mhz": report.clock_mhz,
        "fmax_mhz": report.fmax_mhz,
        "frames_per_second": round(report.clock_mhz * 1e6 / interval, 2),
        **report.used,
        "seconds": report.seconds,
    }


def _noise(made: Build, count: int) -> NDArray[np.uint8]:
    config = made.model.config
    return np.random.default_rng(1).integers(0, 256, (count, config.height, config.width, 3), np.uint8)


def simulator(name: str, target: str, kind: str, frames: int = 1) -> dict[str, Any]:
    """Speed of `compiled`, `cxxrtl` or `icarus`, every written word collected, and what making it took."""
    made = made_up(name, target)
    pixels = np.concatenate([pixel_stream(photo) for photo in _noise(made, frames)])
    start = processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        machine: Any = Icarus(made)
        if kind != "icarus":
            library = compile_simulator(made.params, native=kind == "compiled", folder=Path(folder))
            machine = Simulator(made.params, library=library)
        ready = processor_seconds()
        run = machine.run(pixels, frames, limit=cycle_limit(made, frames))
    spent = processor_seconds() - ready
    row = {"simulator": kind, "preset": name, "target": target, "cycles": run.cycles}
    # Icarus translates and runs in one go.
    making = None if kind == "icarus" else round(ready - start, 2)
    return row | {"making_seconds": making, "seconds": round(spent, 3), "cycles_per_second": round(run.cycles / spent)}


def evaluation(name: str, target: str, photos: int) -> dict[str, Any]:
    """Photos a second of `rasca evaluate --engine rtl`, decoding apart: on the wall, all cores."""
    made = made_up(name, target)
    engine = RtlEngine(made)
    images = _noise(made, photos)
    wall, spent = time.monotonic(), processor_seconds()
    engine(images)
    wall, spent = time.monotonic() - wall, processor_seconds() - spent
    if engine.mismatches:
        raise RascaError(f"{name} on {target}: {engine.mismatches} mismatches in the evaluation")
    return {
        "preset": name,
        "target": target,
        "photos": photos,
        "compared": engine.compared,
        "cores": os.cpu_count(),
        "photos_per_second": round(photos / wall, 2),
        "photos_per_processor_second": round(photos / spent, 2),
    }


def bench(
    presets: Sequence[str],
    targets: Sequence[str],
    *,
    photos: int,
    boards: Sequence[tuple[str, str]],
    models: Sequence[Path],
    step: Step,
) -> dict[str, Any]:
    """Everything. The `models` are placed and routed for each of the `boards` with its target."""
    rows = []
    for name in presets:
        for target in targets:
            step(f"{name} on {target}")
            rows.append(hardware(name, target))
    timed = []
    for kind in ("compiled", "cxxrtl", "icarus"):
        step(f"{kind}, {SMALL[0]} on {SMALL[1]}")
        timed.append(simulator(*SMALL, kind))
    found: dict[str, Any] = {"hardware": rows, "simulators": timed}
    served = [row for row in rows if "refused" not in row]
    if served:
        largest = max(served, key=lambda row: row["multipliers"] * row["cycles_alone"])
        if (largest["preset"], largest["target"]) != SMALL:
            step(f"compiled, {largest['preset']} on {largest['target']}")
            timed.append(simulator(largest["preset"], largest["target"], "compiled"))
        step(f"evaluation of {photos} photos")
        smallest = min(served, key=lambda row: row["cycles_in_stream"])
        found["evaluation"] = evaluation(smallest["preset"], smallest["target"], photos)
    if boards:
        found["placed"] = []
    for board, target in boards:
        for model in models:
            step(f"place and route, {model.stem} as {target} on {board}")
            try:
                found["placed"].append(placed(model, board, target))
            except RascaError as error:
                row = {"preset": model.stem, "board": board, "target": target, "failed": str(error)}
                found["placed"].append(row)
    found["tools"] = {name: find(name).version for name in ("yosys", "c++", "iverilog")}
    return found
