"""Command that writes a board's flash: program."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any


def register(commands: Any) -> None:
    """Add this group's parsers."""
    sub = commands.add_parser("program", help="write a programming image (bitstream and weights) into a board's flash")
    sub.add_argument("image", type=Path, metavar="FILE", help="programming image")
    sub.add_argument("--board", required=True, help="icebreaker or upduino; ice40 means icebreaker")
    sub.add_argument("--tool", help="iceprog or openFPGALoader; default: the first that is there")
    sub.add_argument("--dry-run", action="store_true", help="only print the command")
    sub.set_defaults(call=program)


def program(args: argparse.Namespace) -> None:
    """Write, or only say how."""
    from fpga import program as programming

    if args.dry_run:
        print(shlex.join(programming.command(args.image, args.board, args.tool)))
    else:
        programming.program(args.image, args.board, args.tool)
