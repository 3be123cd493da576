"""`rasca generate`: a model and a target in, a folder with everything about the accelerator out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.lib.wiring import Component

from rasca_hw.accelerator import Accelerator
from rasca_hw.camera.system import CameraAccelerator
from rasca_nn.errors import RascaError
from rasca_nn.int8_file import Int8Model, accumulator_bounds
from rtl_gen.build import Build, build
from rtl_gen.camera import front_end, place
from rtl_gen.collector import resting
from rtl_gen.energy import energy
from rtl_gen.estimate import estimate
from rtl_gen.folder import check_replaceable, replaced
from rtl_gen.memory import MemoryUse, memories
from rtl_gen.realtime import report_real_time
from rtl_gen.sensor import Sensor, load_sensor, sensor_from_dict, sensor_to_dict
from rtl_gen.target import load_target, target_from_dict

MANIFEST, VERILOG, MODEL, TARGET, LISTING = "manifest.json", "rasca.v", "model.int8", "target.json", "program.txt"
CAMERA_VERILOG, SENSOR = "rasca_camera.v", "sensor.json"
"""Only with a sensor."""
FORMAT = 1

OURS = {VERILOG, CAMERA_VERILOG, LISTING, TARGET, SENSOR, MANIFEST, MODEL, "memories", "pictures"}
"""What `rasca generate` and `rasca sim` put into the folder."""
Report = Callable[[int, int, str], None]
"""Told before each step: its number, how many there are, and its name."""


def _silent(step: int, steps: int, name: str) -> None:
    """No progress."""


def generate(
    model_path: Path,
    target: str,
    out: Path,
    *,
    sensor: str | None = None,
    clock_mhz: float | None = None,
    report: Report = _silent,
) -> dict[str, Any]:
    """Writes `out`: rasca.v, memories/*.hex, program.txt, manifest.json, model.int8 and target.json; returns the
    manifest.

    The same input gives the same bytes. The folder appears whole or not at all; an existing one is replaced only if it
    came from here. With a sensor's name the manifest says how the accelerator, at that clock or the target's, stands to
    it; sensor.json is its table, and rasca_camera.v the accelerator with the front end for it. Raises RascaError for a
    model or target that cannot be used, a model that does not fit, or an accelerator that does not keep up with the
    sensor.
    """
    names = (
        "read the model",
        "map it to the target",
        "list its memories",
        "count cycles",
        "write Verilog",
        "write the folder",
    )
    step = iter(range(1, len(names) + 1))

    def begin() -> None:
        i = next(step)
        report(i, len(names), names[i - 1])

    check_replaceable(out, command="rasca generate", marker=MANIFEST, ours=OURS.__contains__)
    begin()
    model = Int8Model.load(model_path)
    begin()
    made = build(model, load_target(target))
    begin()
    uses = memories(made.params, made.target)
    begin()
    manifest = describe(made, uses)
    if sensor is not None:
        chosen = load_sensor(sensor)
        where = place(chosen, model.config)
        manifest["camera"] = report_real_time(made, chosen, where, clock_mhz=clock_mhz)
    begin()
    texts = {VERILOG: to_verilog(Accelerator(made.params))}
    if sensor is not None:
        whole = CameraAccelerator(front_end(chosen, model.config, where), made.params)
        texts[CAMERA_VERILOG] = to_verilog(whole, "rasca_camera")
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    manifest["hashes"] = {"model": model.hash, **hashes}
    begin()
    with replaced(out) as folder:
        (folder / "memories").mkdir()
        for verilog_name, text in texts.items():
            (folder / verilog_name).write_text(text)
        for use in uses:
            if use.contents:
                stem = f"{use.owner}.{use.use}".replace(", ", ".").replace(" ", "")
                digits = -(-use.width // 4)
                (folder / "memories" / f"{stem}.hex").write_text("".join(f"{w:0{digits}x}\n" for w in use.contents))
        (folder / LISTING).write_text(listing(made))
        (folder / TARGET).write_text(json.dumps(asdict(made.target), indent=2) + "\n")
        if sensor is not None:
            (folder / SENSOR).write_text(json.dumps(sensor_to_dict(chosen), indent=2) + "\n")
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        model.save(folder / MODEL)
    return manifest


def to_verilog(unit: Component, name: str = "rasca") -> str:
    """The component as Verilog, its module of that name, without names or places of this machine."""
    os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
    with resting():
        return str(verilog.convert(unit, name=name, emit_src=False, strip_internal_attrs=True))


def describe(made: Build, uses: list[MemoryUse]) -> dict[str, Any]:
    """The manifest: everything known before simulation and synthesis."""
    params, target = made.params, made.target
    config = made.model.config
    first, *_, last = estimate(made, 3)
    multipliers = sum(e.multipliers for e in params.engines)
    products = params.steps * sum(e.products for e in made.engines)
    hertz = target.clock_mhz * 1_000_000
    drawn = energy(target, last.interval)
    return {
        "format": FORMAT,
        "preset": config.name,
        "target": target.name,
        "multipliers": multipliers,
        "cycles": {
            "frame": first.frame_cycles,
            "frame_in_stream": last.interval,
            "step": max(e.step_cycles for e in made.engines),
            "latency": first.latency,
        },
        "at_clock": {
            "mhz": target.clock_mhz,
            "frames_per_second": round(hertz / last.interval, 2),
            "latency_us": round(first.latency / target.clock_mhz, 2),
        },
        "products_per_frame": products,
        "busy": {
            "frame": round(products / (multipliers * first.frame_cycles), 4),
            "frame_in_stream": round(products / (multipliers * last.interval), 4),
        },
        **({"energy": drawn} if drawn else {}),
        "engines": [_engine(made, i) for i in range(len(made.engines))],
        "memory": {
            "bits": sum(use.bits for use in uses),
            "block_rams": sum(use.blocks for use in uses),
            "sprams": sum(use.sprams for use in uses),
            "uses": [
                {
                    "owner": u.owner,
                    "use": u.use,
                    "words": u.words,
                    "width": u.width,
                    "bits": u.bits,
                    "block_rams": u.blocks,
                    "sprams": u.sprams,
                }
                for u in uses
            ],
        },
        "accumulators": {name: _bounds(made, name) for name in made.model.layers},
    }


def _engine(made: Build, index: int) -> dict[str, Any]:
    engine = made.engines[index]
    params = engine.params
    return {
        "name": params.name,
        "array": f"{params.groups} x {params.rows} x {params.columns}",
        "multipliers": params.multipliers,
        "accumulator_bits": params.acc_width,
        "step_cycles": engine.step_cycles,
        "frame_overhead_cycles": engine.prologue_cycles,
        "products_per_step": engine.products,
        "layers": [
            {
                "name": p.op.name,
                "passes": p.passes,
                "pass_cycles": p.pass_cycles,
                "gap": p.gap,
                "delay": p.delay,
                "cycles": p.cycles,
            }
            for p in engine.plans
        ],
    }


def _bounds(made: Build, name: str) -> dict[str, int]:
    """Lowest and highest sum with bias that any input can give."""
    low, high = accumulator_bounds(made.model.config, made.model.layers[name])
    return {"lowest": int(low.min()), "highest": int(high.max())}


def listing(made: Build) -> str:
    """The program for people: one block an instruction, every field of both halves."""
    lines = []
    for engine in made.engines:
        lines.append(
            f"engine {engine.params.name}: {len(engine.params.program)} instructions, step from {engine.params.loop}"
        )
        for i, instruction in enumerate(engine.params.program):
            lines.append(f"{i:3} {instruction.name}")
            for title, half in (("issue", instruction.issue), ("drain", instruction.drain)):
                shown = " ".join(f"{f.name}={_shown(getattr(half, f.name))}" for f in fields(half))
                lines.append(f"    {title}  {shown}")
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    return value.name if hasattr(value, "name") else str(int(value))


def load_generated(folder: Path) -> Build:
    """The build that a generated folder came from. Raises RascaError where it is not one, or was changed since."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        target = json.loads((folder / TARGET).read_text())
        stated = dict(manifest["hashes"])
        model_hash = stated.pop("model")
        names = {VERILOG, *stated} & OURS
        hashed = {name: (hashlib.sha256((folder / name).read_bytes()).hexdigest(), stated[name]) for name in names}
    except OSError as error:
        raise RascaError(f"{folder} is not a folder made by rasca generate ({error})") from None
    except (ValueError, KeyError, TypeError):
        raise RascaError(f"{folder} is not a folder made by rasca generate, or its {MANIFEST} was changed") from None
    model = Int8Model.load(folder / MODEL)
    for name, (found, expected) in (*sorted(hashed.items()), (MODEL, (model.hash, model_hash))):
        if found != expected:
            raise RascaError(f"{folder / name} was changed after it was generated; run rasca generate again")
    return build(model, target_from_dict(target))


def load_camera(folder: Path) -> tuple[Sensor, float] | None:
    """The sensor that a generated folder was made for, and the accelerator's clock behind it in MHz; None where it was
    made for none. Raises RascaError where either was changed to what cannot be.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        if "camera" not in manifest:
            return None
        clock = float(manifest["camera"]["clock_mhz"])
        return sensor_from_dict(json.loads((folder / SENSOR).read_text())), clock
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RascaError(
            f"{folder / MANIFEST} or {SENSOR} was changed or removed ({error!r}); run rasca generate again"
        ) from None
