"""From an integer model to a bitstream: generate the accelerator, put it into the demo, build, hold to the budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fpga import budget
from fpga.bars import CLASSES
from fpga.boards import Board
from fpga.build import SEED, BuildReport, build
from fpga.camera_demo import CameraDemo
from fpga.demo import Demo
from fpga.flash_image import weight_image
from fpga.protocol import BAUD, TIMEOUT_S, Identity
from fpga.screen import LEVELS, ZOOM, Screen
from fpga.steps import Steps
from fpga.video import VGA
from rasca_hw.accelerator import Accelerator
from rasca_hw.boot import BootLoader
from rasca_hw.params import AcceleratorParams
from rasca_hw.uart import bit_time
from rasca_nn.errors import RascaError
from rasca_nn.int8_file import Int8Model
from rtl_gen.build import Build
from rtl_gen.build import build as generate
from rtl_gen.camera import front_end, place, register_sequence
from rtl_gen.realtime import report_real_time
from rtl_gen.sensor import Sensor, SensorError, load_sensor
from rtl_gen.target import Target, load_target

MAX_SEED = (1 << 31) - 1
NO_DEVICE = "none"
"""Of a target that is for any device."""


@dataclass(frozen=True)
class Made:
    """An accelerator, what it says it is, and what brings its weights: nothing where they come with the bitstream."""

    build: Build
    identity: Identity
    loader: BootLoader | None
    image: bytes

    @property
    def accelerator(self) -> Accelerator:
        return Accelerator(self.build.params)


def _made(model: Int8Model, target: Target, *, clock_hz: float, baud: float, quad: bool) -> Made:
    """Raises TargetError where the model does not fit, RascaError for a baud rate that the clock cannot make."""
    built = generate(model, target)
    params, words = built.params, built.image
    loader = BootLoader(model_hash=params.model_hash, words=len(words), quad=quad) if words else None
    image = weight_image(words, model_hash=params.model_hash) if words else b""
    return Made(built, _identity(model, params, clock_hz, baud), loader, image)


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
    made = _made(model, target, clock_hz=clock_hz, baud=baud, quad=quad)
    demo = Demo(made.accelerator, made.identity, clock_hz=clock_hz, baud=baud, timeout_s=timeout_s, loader=made.loader)
    return demo, made.image


def camera_demo_for(
    model: Int8Model,
    target: Target,
    sensor: Sensor,
    *,
    clock_hz: float,
    baud: float = BAUD,
    timeout_s: float = TIMEOUT_S,
    quad: bool = False,
    with_screen: bool = False,
) -> tuple[CameraDemo, bytes, dict[str, Any]]:
    """The demo with a camera, the weight image, as for :func:`demo_for`, and how the accelerator stands to the sensor
    (:func:`rtl_gen.realtime.report_real_time`).

    Raises TargetError where the model does not fit, SensorError where the sensor's frame is too small or not that of
    the screen, RealTimeError where the accelerator does not keep up with it.
    """
    made = _made(model, target, clock_hz=clock_hz, baud=baud, quad=quad)
    where = place(sensor, model.config)
    if with_screen and (ZOOM * sensor.width, ZOOM * sensor.height) != (VGA.width, VGA.height):
        raise SensorError(
            f"sensor {sensor.name} sends {sensor.height} x {sensor.width}; the board's screen shows "
            f"{VGA.height // ZOOM} x {VGA.width // ZOOM}, use a mode of that size"
        )
    standing = report_real_time(made.build, sensor, where, clock_mhz=clock_hz / 1e6)
    if made.identity.classes != CLASSES:
        raise RascaError(f"the camera demo shows {CLASSES} classes, not {made.identity.classes}")
    front = front_end(sensor, model.config, where)
    screen = Screen(front.crop, steps=made.build.params.steps, levels=LEVELS, mode=VGA) if with_screen else None
    demo = CameraDemo(
        front,
        register_sequence(sensor, clock_hz),
        made.accelerator,
        made.identity,
        clock_hz=clock_hz,
        pclk_mhz=sensor.pclk_mhz,
        baud=baud,
        timeout_s=timeout_s,
        screen=screen,
        loader=made.loader,
    )
    return demo, made.image, standing


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
    sensor: str | None = None,
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
    sensor : mode of the board's camera, or a .toml file; the pins are those of the board's own.
    target, clock_mhz, baud : where they are not the board's own.
    seed : of the placer.

    Returns
    -------
    The report and the committed budget it kept, empty where none is.

    Raises
    ------
    RascaError
        If the model does not fit, the target is for another family of devices, a tool is missing or fails, the clock
        is not reached, or the budget is exceeded.
        `out` is then as it was before.
    """
    camera = board.camera if demo == "camera" else None
    if sensor is not None and demo != "camera":
        raise RascaError("--sensor is for --demo camera")
    if demo == "camera" and camera is None:
        raise RascaError(f"the board {board.name} has no camera demo; its demo is --demo uart")
    other = (demo if demo != "uart" else None, target if target != board.target else None)
    limits = budget.budget("-".join([board.name, *filter(None, other)]), model.config.name)
    if clock_mhz is not None and not 0 < clock_mhz < math.inf:
        raise RascaError(f"the clock must be a positive number of MHz, not {clock_mhz:g}")
    own = camera.clock_mhz if camera else board.clock_mhz
    clock = board.clock(own if clock_mhz is None else clock_mhz)
    if not 0 <= seed <= MAX_SEED:
        raise RascaError(f"the seed must be from 0 to {MAX_SEED}, not {seed}")
    mapped = load_target(target or board.target)
    if mapped.device != NO_DEVICE and not mapped.device.startswith(board.flow.family):
        raise RascaError(
            f"target {mapped.name} is for an {mapped.device}, which {board.name} has not; its own is {board.target}"
        )
    rate = board.baud if baud is None else baud
    top, weights = board.top, b""
    standing: dict[str, Any] = {}
    made: Demo | CameraDemo
    if camera:
        mode = load_sensor(camera.sensor if sensor is None else sensor).at(camera.xclk_mhz(clock))
        made, weights, standing = camera_demo_for(
            model, mapped, mode, clock_hz=clock * 1e6, baud=rate, quad=board.quad, with_screen=camera.screen
        )
        top = camera.top
    else:
        made, weights = demo_for(model, mapped, clock_hz=clock * 1e6, baud=rate, quad=board.quad)

    def check(found: BuildReport) -> None:
        budget.check(found, limits)

    report = build(
        made,
        board,
        out,
        clock_mhz=clock,
        top=top,
        seed=seed,
        steps=steps,
        weights=weights,
        camera=standing,
        check=check,
    )
    return report, limits
