"""The boards: a file each, with its pins, its clock and its place-and-route options; listed here by name.

A new board is a new file with a :class:`Board`, an entry in `BOARDS` and budgets in fpga/budgets.toml.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fpga.flows import Flow
from fpga.names import nearest
from fpga.protocol import BAUD
from rasca_nn.errors import RascaError

if TYPE_CHECKING:
    from amaranth.lib.wiring import Component


@dataclass(frozen=True, kw_only=True)
class CameraBoard:
    """What a board needs for the demo with a camera (:mod:`fpga.camera_demo`).

    Parameters
    ----------
    sensor : its mode by default (rtl_gen/sensors.toml).
    xclk_mhz : the clock that the board gives it, from that of the demo.
    clock_mhz : by default; the accelerator need only keep up with the sensor.
    screen : the board has one.
    top : as for :class:`Board`.
    """

    sensor: str
    xclk_mhz: Callable[[float], float]
    clock_mhz: float
    screen: bool
    top: Callable[[Component, float], Any]


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board the demo can be built for.

    Parameters
    ----------
    name : as on the command line, and in fpga/budgets.toml.
    title : for people.
    target : the target the accelerator is generated for by default (rtl_gen/targets.toml).
    clock_mhz : the demo's clock by default; the bitstream must meet it.
    platform : makes a fresh Amaranth platform.
    top : puts a demo on the board's pins: (demo, clock in MHz) -> elaboratable.
    clock : the nearest clock the board can make, in MHz.
    flow : the family's tools.
    nextpnr : options that name the device.
    program : command that brings a build onto the board; the file's name follows.
    baud : of the UART by default: the clock should be a multiple of it.
    quad : the flash's lines DQ2 and DQ3 are wired, too.
    camera : for the demo with a camera, where the board has one.
    """

    name: str
    title: str
    target: str
    clock_mhz: float
    platform: Callable[[], Any]
    top: Callable[[Component, float], Any]
    clock: Callable[[float], float]
    flow: Flow
    nextpnr: tuple[str, ...]
    program: tuple[str, ...]
    baud: int = BAUD
    quad: bool = False
    camera: CameraBoard | None = None


BOARDS = {
    "ulx3s-85f": "fpga.boards.ulx3s_85f",
    "ulx3s-45f": "fpga.boards.ulx3s_45f",
    "orangecrab-25f": "fpga.boards.orangecrab_25f",
    "icebreaker": "fpga.boards.icebreaker",
    "upduino": "fpga.boards.upduino",
}
ALIASES = {"ecp5": "ulx3s-85f", "ice40": "icebreaker"}


def board(name: str) -> Board:
    """The board of that name or alias; RascaError names the nearest."""
    module = BOARDS.get(ALIASES.get(name, name))
    if module is None:
        raise RascaError(nearest("board", name, [*BOARDS, *ALIASES]))
    return import_module(module).BOARD
