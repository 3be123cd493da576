"""The UP5K's accelerator where no pixels come: nothing in front of the array moves, nor the array itself."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from rasca_hw.accelerator import Accelerator
from rasca_nn.config import preset
from sim.frames import pixel_stream
from sim.icarus import run_bench, to_verilog
from tests.hw.whole import Whole

SMALL = replace(preset("tiny"), name="small", height=10, width=16, heads=1, channels=(1, 1, 1, 1), hidden=2)
CYCLES = re.compile(r"rasca\.counters\.(cycles$|\$)")
"""The cycle counter, and what is computed from it: only wires without a name of their own have a $."""


def test_only_the_cycle_counter_moves() -> None:
    """Between two frames, between two groups of rows, and in the middle of a group."""
    whole = Whole.random(SMALL, "up5k")
    frame, *_ = pixels = [pixel_stream(image) for image in whole.images(2)]
    case = {
        "pixels": np.concatenate(pixels),
        "pauses": np.array([len(frame), len(frame) + 5 * SMALL.width, len(frame) + 8 * SMALL.width]),
        "cycles": 40,
        "settle": whole.limit(1),
    }
    found = run_bench(to_verilog(Accelerator(whole.build.params)), "idle", case)
    names = found["names"]
    operands = [np.char.startswith(names, f"rasca.all.array.pair{n}.") for n in range(8)]
    counts = np.array([bool(CYCLES.match(name)) for name in names])
    for work, rest in zip(found["work"], found["rest"], strict=True):
        assert all(work[pair].any() for pair in operands)
        assert names[(rest > 0) & ~counts].tolist() == []
        assert rest[names == "rasca.counters.cycles"].tolist() == [case["cycles"]]
