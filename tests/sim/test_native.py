"""The translation to C++ gives what CXXRTL gives, cycle for cycle and word for word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rasca_nn.config import preset
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import build
from rtl_gen.target import target_from_dict
from sim.cxxrtl import Simulator, compile_simulator
from sim.frames import pixel_stream
from sim.native import translate
from sim.rtlil import NotServed, read_rtlil
from sim.simulate import cycle_limit

CELL = """module \\top
  wire width 8 input 1 \\a
  wire width 8 output 2 \\y
  cell {kind} $1
    parameter \\A_SIGNED 0
    parameter \\B_SIGNED 0
    connect \\A {a}
    connect \\B \\a
    connect \\Y \\y
  end
end
"""


ONE = {
    "name": "one", "device": "none", "multipliers": 16, "block_rams": 64, "luts": 20000, "clock_mhz": 80, "columns": 4,
    "line_rows": 7, "engines": [{"name": "all", "runs": "all", "rows": 2}],
}  # fmt: skip


def test_against_cxxrtl(tmp_path: Path) -> None:
    """On a small engine: CXXRTL's C++ takes long to compile."""
    config = replace(preset("tiny"), name="short", height=10, heads=1)
    made = build(random_int8_model(config, seed=1), target_from_dict(ONE))
    photos = np.random.default_rng(1).integers(0, 256, (2, config.height, config.width, 3), np.uint8)
    pixels = np.concatenate([pixel_stream(photo) for photo in photos])
    runs = []
    for native in (True, False):
        library = compile_simulator(made.params, native=native, brief=True, folder=tmp_path)
        runs.append(Simulator(made.params, library=library).run(pixels, 2, limit=cycle_limit(made, 2)))
    ours, theirs = runs
    assert ours.cycles == theirs.cycles and len(ours.writes) > 0
    for name in ("writes", "results", "confidences", "counters"):
        assert getattr(ours, name).tobytes() == getattr(theirs, name).tobytes(), name


@pytest.mark.parametrize(("kind", "a"), [("$divfloor", "\\a"), ("$add", "\\y")])
def test_what_is_not_served(kind: str, a: str) -> None:
    """An unknown cell, and feedback."""
    with pytest.raises(NotServed, match=r"\$divfloor|feedback"):
        translate(read_rtlil(CELL.format(kind=kind, a=a)))


def test_unknown_lines() -> None:
    with pytest.raises(NotServed, match="not known"):
        read_rtlil("module \\top\n  process $1\n  end\nend\n")


def test_memory_of_one_bit() -> None:
    """Its width goes without saying."""
    module = read_rtlil("module \\top\n  memory size 8 \\flags\n  memory width 3 size 4 \\counts\nend\n")
    assert {name: (m.width, m.size) for name, m in module.memories.items()} == {"\\flags": (1, 8), "\\counts": (3, 4)}
