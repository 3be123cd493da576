"""Random networks on random targets, the same for the same seed."""

from __future__ import annotations

import random

from rasca_nn.config import RaScaNetConfig
from rasca_nn.random_model import Kind
from rtl_gen.target import EngineTarget, Target

KERNELS = {
    1: [(1, 1, 1, 1)],
    3: [(3, 1, 1, 1), (1, 1, 3, 1)],
    5: [(3, 1, 3, 1), (5, 1, 1, 1), (3, 3, 1, 1)],
    7: [(3, 3, 3, 1)],
}
KINDS: list[Kind] = ["uniform", "uniform", "uniform", "zeros", "max", "min", "spikes", "saturate"]


def random_case(seed: int) -> tuple[RaScaNetConfig, Target, Kind]:
    """Few channels, any width, all switches; one engine or two, arrays of any size up to 5 x 9."""
    r = random.Random(seed)
    rows = r.choice([5, 5, 5, 3, 7, 1])
    config = RaScaNetConfig(
        name=f"random-{seed}",
        height=rows * r.randint(1, 3) + r.randint(0, rows - 1),
        width=r.randint(16, 70),
        rows=rows,
        heads=r.randint(1, 3),
        channels=(r.randint(1, 7), r.randint(1, 7), r.randint(1, 7), r.randint(1, 7)),
        kernel_heights=r.choice(KERNELS[rows]),
        hidden=r.randint(1, 9),
        channel_attention=r.random() < 0.8,
        attention=r.randint(1, 10),
        attention_relu=r.random() < 0.6,
        projection=r.choice(["1x1", "1x3-1x3"]),
        pool=r.choice(["mean", "mean+max"]),
        classifier_hidden=r.choice([0, 1, 3, 6]),
        classes=r.choice([2, 2, 3, 7]),
    )
    columns = r.randint(2, 9)

    def engine(name: str) -> EngineTarget:
        return EngineTarget(name, name, r.randint(1, min(5, columns)))

    engines = (engine("all"),) if r.random() < 0.4 else (engine("heads"), engine("back"))
    target = Target(
        name=f"random-{seed}",
        device="none",
        multipliers=1000,
        block_rams=1000,
        luts=1_000_000,
        clock_mhz=80,
        columns=columns,
        line_rows=rows + r.randint(0, 4),
        engines=engines,
    )
    return config, target, r.choice(KINDS)
