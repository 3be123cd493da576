"""From an integer model to a bitstream: generate the accelerator, put it into the demo, build, hold to the budget."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from fpga import budget
from fpga.bars import CLASSES
from fpga.boards import Board
from fpga.build import SEED, BuildReport, build
from fpga.camera_demo import CameraDemo
from fpga.demo import Demo
from fpga.flash_image import weight_image
from fpga.protocol import BAUD, TIMEOUT_S, Identity
from fpga.steps import Steps
from fpga.video import VGA
from rasca_hw.accelerator import Accelerator
from rasca_hw.boot import BootLoader
from rasca_hw.params import AcceleratorParams
from rasca_hw.uart import bit_time
from rasca_nn.errors import RascaError
from rasca_nn.int8_file import Int8Model
from rtl_gen.build import build as generate
from rtl_gen.camera import front_end, place, register_sequence
from rtl_gen.realtime import check_real_time, real_time
from rtl_gen.sensor import Sensor
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
    identity = _identity(model, params, clock_hz, baud)
    demo = Demo(Accelerator(params), identity, clock_hz=clock_hz, baud=baud, timeout_s=timeout_s, loader=loader)
    return demo, weights


def camera_demo_for(
    model: Int8Model, target: Target, sensor: Sensor, *, clock_hz: float, baud: float = BAUD
) -> CameraDemo:
    """The demo with a camera. Raises TargetError where the model does not fit, SensorError where the sensor's frame is
    too small, RealTimeError where the accelerator does not keep up with it.
    """
    made = generate(model, target)
    where = place(sensor, model.config)
    check_real_time(real_time(made, sensor, **vars(where), clock_mhz=clock_hz / 1e6))
    identity = _identity(model, made.params, clock_hz, baud)
    if identity.classes != CLASSES:
        raise RascaError(f"the camera demo shows {CLASSES} classes, not {identity.classes}")
    return CameraDemo(
        front_end(sensor, model.config, where),
        register_sequence(sensor, clock_hz),
        made.params,
        identity,
        clock_hz=clock_hz,
        baud=baud,
        mode=VGA,
    )


def _identity(model: Int8Model, params: AcceleratorParams, clock_hz: float, baud: float) -> Identity:
    """What the board says it is; RascaError for a baud rate that the clock cannot make."""
    try:
        bit_time(clock_hz, baud)
    except ValueError as error:
        raise RascaError(str(error)) from None
    return Identity(
        height=model.config.height,
        width=model.config.width,
        classes=model.config.classes,
        model=params.model_hash,
        scale=float(np.float32(model.scales["classifier.output"])),
    )


def bitstream(
    model: Int8Model,
    board: Board,
    out: Path,
    *,
    demo: str = "uart",
    target: str | None = None,
    clock_mhz: float | None = None,
    baud: float | None = None,
    seed: int = SEED,
    steps: Steps | None = None,
) -> tuple[BuildReport, dict[str, float]]:
    """Build the demo for a board into the folder `out`.

    Parameters
    ----------
    demo : "uart" (:mod:`fpga.demo`) or "camera" (:mod:`fpga.camera_demo`).
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
    if demo == "camera" and board.camera is None:
        raise RascaError(f"the board {board.name} has no camera demo; its demo is --demo uart")
    name = board.name if demo == "uart" else f"{board.name}-{demo}"
    limits = budget.budget(name, model.config.name) if target in (None, board.target) else {}
    if clock_mhz is not None and not 0 < clock_mhz < math.inf:
        raise RascaError(f"the clock must be a positive number of MHz, not {clock_mhz:g}")
    own = board.camera.clock_mhz if demo == "camera" and board.camera else board.clock_mhz
    clock = board.clock(own if clock_mhz is None else clock_mhz)
    mapped = load_target(target or board.target)
    rate = board.baud if baud is None else baud
    top, weights = board.top, b""
    made: Demo | CameraDemo
    if demo == "camera" and board.camera:
        made = camera_demo_for(model, mapped, board.camera.sensor(), clock_hz=clock * 1e6, baud=rate)
        top = board.camera.top
    else:
        made, weights = demo_for(model, mapped, clock_hz=clock * 1e6, baud=rate, quad=board.quad)

    def check(found: BuildReport) -> None:
        budget.check(found, limits)

    report = build(made, board, out, clock_mhz=clock, top=top, seed=seed, steps=steps, weights=weights, check=check)
    return report, limits
