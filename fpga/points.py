"""Designs whose resources were measured by synthesis, in synthesised.csv: what :mod:`rtl_gen.resources` is fitted to.

A row is a preset with made-up weights, the built-in target whose device it is for, the target's fields that differ
from that one's, and what the UART demo with that accelerator took (:mod:`fpga.synthesis`).
"""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fpga.bitstream import demo_for
from fpga.synthesis import synthesise
from rasca_nn.config import preset
from rasca_nn.random_model import random_int8_model
from rtl_gen.target import EngineTarget, Target, load_target, target_from_dict, to_dict

FILE = Path(__file__).with_name("synthesised.csv")
PLENTY = 1 << 20
MEASURED = ("luts", "ffs", "logic_cells", "block_rams", "sprams", "multipliers")


@dataclass(frozen=True)
class Point:
    """A row: a preset, its target, and what was measured, by the names of the flow; empty before it was."""

    preset: str
    target: Target
    measured: dict[str, int]

    @property
    def unlimited(self) -> Target:
        """The target, of a device that has room for anything."""
        return replace(
            self.target, multipliers=PLENTY, block_rams=PLENTY, spram_blocks=self.target.spram_blocks * PLENTY
        )


def engines_text(target: Target) -> str:
    """As in the file: `heads:3 back:4`."""
    return " ".join(f"{engine.runs}:{engine.rows}" for engine in target.engines)


def engines_from(text: str) -> tuple[EngineTarget, ...]:
    """The inverse."""
    parts = (part.split(":") for part in text.split())
    return tuple(EngineTarget(name=runs, runs=runs, rows=int(rows)) for runs, rows in parts)


def load_points(path: Path = FILE) -> list[Point]:
    """All rows."""
    return [_point(row) for row in csv.DictReader(io.StringIO(path.read_text()))]


def _point(row: dict[str, str]) -> Point:
    table = to_dict(load_target(row["device"]))
    own = {k: v for k, v in row.items() if k in table and k not in ("device", "engines", *MEASURED) and v}
    values = {k: int(v) if isinstance(table[k], int) else v for k, v in own.items()}
    engines = [asdict(engine) for engine in engines_from(row["engines"])]
    target = target_from_dict({**table, **values, "engines": engines})
    return Point(row["preset"], target, {k: int(row[k]) for k in MEASURED if row[k]})


def measure(number: int, path: Path = FILE) -> dict[str, int]:
    """Synthesise the point in that row, from 0, and put what it takes into the file. Raises RascaError."""
    point = load_points(path)[number]
    target = point.unlimited
    demo, _ = demo_for(random_int8_model(preset(point.preset), seed=1), target, clock_hz=target.clock_mhz * 1e6)
    found = synthesise(demo, target.device)
    lines = path.read_text().splitlines()
    names = lines[0].split(",")
    cells = dict(zip(names, lines[number + 1].split(","), strict=True)) | {k: str(v) for k, v in found.items()}
    lines[number + 1] = ",".join(cells[name] for name in names)
    path.write_text("\n".join(lines) + "\n")
    return found
