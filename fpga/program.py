"""Writes a programming image into a board's SPI flash, by a tool that is installed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from fpga import boards
from fpga.boards import ALIASES, BOARDS
from fpga.flash_image import check
from fpga.names import nearest
from fpga.tools import TOOLS, Found, ToolMissing, find
from rasca_nn.errors import RascaError


@dataclass(frozen=True)
class Flash:
    """A board's SPI flash: its size in bytes, and each tool's options for it; the file's name follows."""

    size: int
    options: dict[str, tuple[str, ...]]


_ICE40 = ("--board", "ice40_generic")
_WRITE = ("--write-flash", "--verify")
FLASHES = {
    "icebreaker": Flash(1 << 24, {"iceprog": (), "openFPGALoader": (*_ICE40, *_WRITE)}),
    "upduino": Flash(1 << 22, {"iceprog": (), "openFPGALoader": (*_ICE40, "--cable", "ft232", *_WRITE)}),
}


def command(image: Path, board: str, tool: str | None = None) -> list[str]:
    """The command that writes the image from address 0 on; by default the first tool that is there.

    Raises
    ------
    RascaError
        If board or tool are not known, or the file is no programming image of an iCE40, damaged, or larger than the
        flash.
    ToolMissing
        If no tool is there; the message says how to install one.
    """
    name = ALIASES.get(board, board)
    flash = FLASHES.get(name)
    if flash is None and name in BOARDS:
        loader = " ".join(boards.board(name).program)
        raise RascaError(
            f"{name} has its weights in the bitstream, and no flash for them; load it with: {loader} {image}"
        )
    if flash is None:
        raise RascaError(nearest("board", board, [*FLASHES, *(a for a, of in ALIASES.items() if of in FLASHES)]))
    if tool is not None and tool not in flash.options:
        raise RascaError(nearest("tool", tool, flash.options))
    size = image.stat().st_size
    if size > flash.size:
        raise RascaError(f"{image} has {size} bytes, the flash of {board} only {flash.size}")
    try:
        check(image.read_bytes())
    except RascaError as error:
        raise RascaError(f"{image} {error}; build it again with rasca bitstream") from None
    found = _first([tool] if tool else list(flash.options))
    return [*found.command, *flash.options[found.tool.name], str(image)]


def program(image: Path, board: str, tool: str | None = None) -> None:
    """Runs :func:`command`; what the tool says goes to the terminal. RascaError also if it fails."""
    words = command(image, board, tool)
    status = subprocess.run(words, check=False).returncode
    if status:
        raise RascaError(f"{words[0]} failed with exit status {status}; is the board connected, and may you use it?")


def _first(names: list[str]) -> Found:
    """The first of the tools that is there."""
    for name in names:
        try:
            return find(name)
        except ToolMissing:
            if len(names) == 1:
                raise
    installs = " or ".join(TOOLS[name].install for name in names)
    raise ToolMissing(f"neither {' nor '.join(names)} found on PATH; install one with: {installs}")
