"""How commands report: JSON for programs, rich tables for people."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DATA_HELP = "labelled photos: labels.csv + images/, class folders, Visual Wake Words or VOCdevkit"
"""About ``--data``; :mod:`rasca_nn.layouts` has the details."""


def add_json(parser: argparse.ArgumentParser) -> None:
    """The ``--json`` of every command that reports."""
    parser.add_argument("--json", action="store_true", help="print the report as JSON on standard output")


def print_json(data: Any) -> None:
    """Indented, in the order given, nothing else on standard output."""
    print(json.dumps(data, indent=2))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None, right: Container[int] = ()
) -> None:
    """A table; numbers and the columns named in ``right`` are aligned right, and a pipe gets it without colours."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    lines = [list(row) for row in rows]
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        numeric = index in right or all(isinstance(line[index], int | float) for line in lines)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for line in lines:
        table.add_row(*(Text(_cell(value)) for value in line))
    console = Console()
    console.print(table) if console.is_terminal else Console(width=200).print(table)


def shown(path: Path) -> str:
    """A path for a file that others read: as it was given, or its name alone where it says something of the machine."""
    return path.name if path.is_absolute() else str(path)


@contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, where that is a terminal; the function is told (done, total)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
