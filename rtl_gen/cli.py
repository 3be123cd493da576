"""The command line, ``rasca``: parses, calls, and turns every expected error into one line and exit status 2."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from fpga.names import nearest
from rasca_nn.errors import RascaError
from rtl_gen.commands import (
    ablations,
    bench,
    board,
    camera,
    cases,
    count,
    decisions,
    explore,
    hardware,
    network,
    peers,
    program,
    quantised,
    schedule,
)


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, and name the nearest choice."""

    def error(self, message: str) -> NoReturn:
        raise RascaError(f"{message} (see {self.prog} --help)")

    def _check_value(self, action: argparse.Action, value: str) -> None:
        if action.choices is not None and value not in action.choices:
            subcommand = isinstance(action, argparse._SubParsersAction)
            raise RascaError(nearest("command" if subcommand else action.dest, value, action.choices))


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; each subcommand sets ``call`` to its function."""
    top = _Parser(prog="rasca", description="From a RaScaNet to an INT8 FPGA accelerator.", allow_abbrev=False)
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    for group in (
        count,
        network,
        ablations,
        quantised,
        decisions,
        hardware,
        explore,
        schedule,
        camera,
        cases,
        board,
        program,
        bench,
        peers,
    ):
        group.register(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    Exit status: 0 done; 1 done, and the answer is a failure (mismatch, missing tool); 2 not done; 130 interrupted;
    143 terminated.
    """
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        args = parser().parse_args(arguments)
        return args.call(args) or 0
    except BrokenPipeError:
        # The reader of our output went away (`rasca count | head`): say nothing, here and in the flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (RascaError, OSError) as error:
        print(f"rasca: error: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rasca: interrupted", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> NoReturn:
    """Ends as an interrupt does: what was begun is taken away, and tools that run are ended."""
    print("rasca: terminated", file=sys.stderr)
    raise SystemExit(143)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
