"""Random networks on random targets, in Icarus: every word equals the integer model, cycles equal the estimate."""

from __future__ import annotations

import numpy as np
import pytest

from rasca_nn.random_model import random_int8_model
from rtl_gen.build import build
from rtl_gen.estimate import estimate
from sim.compare import compare
from sim.frames import pixel_stream
from sim.icarus import run_accelerator
from sim.simulate import cycle_limit, traces
from tests.gen.random_cases import random_case

QUICK = (2, 3, 8, 9, 12)
FRAMES = 2


@pytest.mark.parametrize(
    "seed", [pytest.param(s, marks=() if s in QUICK else pytest.mark.slow, id=f"seed-{s}") for s in range(60)]
)
def test_rtl_equals_the_integer_model(seed: int) -> None:
    config, target, kind = random_case(seed)
    model = random_int8_model(config, seed, kind)
    made = build(model, target)
    images = np.random.default_rng(seed).integers(0, 256, (FRAMES, config.height, config.width, 3), dtype=np.uint8)
    pixels = np.concatenate([pixel_stream(image) for image in images])
    run = run_accelerator(made.params, pixels, FRAMES, limit=cycle_limit(made, FRAMES))
    for comparison in compare(made, run, traces(model, images)):
        assert comparison.first is None
        assert comparison.compared > 0 and comparison.mismatches == 0
    expected = estimate(made, FRAMES)
    for frame, counters in enumerate(run.counters):
        _, _, _, _, _, frame_cycles, latency, interval = (int(v) for v in counters[:8])
        assert (frame_cycles, latency) == (expected[frame].frame_cycles, expected[frame].latency)
        if frame:
            assert interval == expected[frame].interval
