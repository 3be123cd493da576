"""From an integer model to a bitstream: generate the accelerator, put it into the demo, build, hold to the budget."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from fpga import budget
from fpga.boards import Board
from fpga.build import SEED, BuildReport, build
from fpga.demo import Demo
from fpga.flash_image import weight_image
from fpga.protocol import BAUD, TIMEOUT_S, Identity
from fpga.steps import Steps
from rasca_hw.accelerator import Accelerator
from rasca_hw.boot import BootLoader
from rasca_hw.uart import bit_time
from rasca_nn.errors import RascaError
from rasca_nn.int8_file import Int8Model
from rtl_gen.build import build as generate
from rtl_gen.target import Target, load_target


def demo_for(
    model: Int8Model,
    target: Target,
    *,
    clock_hz: float,
    baud: float = BAUD,
    timeout_s: float = TIMEOUT_S,
    quad: bool = False,
) -> tuple[Demo, bytes]:
    """The demo with the accelerator for a model, and its weight image, empty where the bitstream holds the weights.

    `quad`: the flash with the weights is read on four lines. Raises TargetError where the model does not fit.
    """
    made = generate(model, target)
    params = made.params
    words = made.image
    weights = weight_image(words, model_hash=params.model_hash) if words else b""
    loader = BootLoader(model_hash=params.model_hash, words=len(words), quad=quad) if words else None
    try:
        bit_time(clock_hz, baud)
    except ValueError as error:
        raise RascaError(str(error)) from None
    identity = Identity(
        height=model.config.height,
        width=model.config.width,
        classes=model.config.classes,
        model=params.model_hash,
        scale=float(np.float32(model.scales["classifier.output"])),
    )
    demo = Demo(Accelerator(params), identity, clock_hz=clock_hz, baud=baud, timeout_s=timeout_s, loader=loader)
    return demo, weights


def bitstream(
    model: Int8Model,
    board: Board,
    out: Path,
    *,
    target: str | None = None,
    clock_mhz: float | None = None,
    baud: float | None = None,
    seed: int = SEED,
    steps: Steps | None = None,
) -> tuple[BuildReport, dict[str, float]]:
    """Build the demo for a board into the folder `out`.

    Parameters
    ----------
    target, clock_mhz, baud : where they are not the board's own.
    seed : of the placer.

    Returns
    -------
    The report and the committed budget it kept; none is committed for a target that is not the board's own.

    Raises
    ------
    RascaError
        If the model does not fit, a tool is missing or fails, the clock is not reached, or the budget is exceeded.
        `out` is then as it was before.
    """
    limits = budget.budget(board.name, model.config.name) if target in (None, board.target) else {}
    if clock_mhz is not None and not 0 < clock_mhz < math.inf:
        raise RascaError(f"the clock must be a positive number of MHz, not {clock_mhz:g}")
    clock = board.clock(board.clock_mhz if clock_mhz is None else clock_mhz)
    demo, weights = demo_for(
        model,
        load_target(target or board.target),
        clock_hz=clock * 1e6,
        baud=board.baud if baud is None else baud,
        quad=board.quad,
    )
    report = build(
        demo,
        board,
        out,
        clock_mhz=clock,
        seed=seed,
        steps=steps,
        weights=weights,
        check=lambda found: budget.check(found, limits),
    )
    return report, limits
