"""Sections of Markdown files that commands write, each between two marks; the rest of the file is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rasca_nn.errors import RascaError


def check_markdown(path: Path) -> None:
    """Raises RascaError where no such file can be written."""
    if path.suffix != ".md":
        raise RascaError(f"{path}: the tables are Markdown; give a name that ends in .md")
    if path.is_dir():
        raise RascaError(f"{path}: is a folder; give the name of a file")


def marks(name: str) -> tuple[str, str]:
    """The lines before and behind the section of that name."""
    return f"<!-- rasca {name}: begin -->", f"<!-- rasca {name}: end -->"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]


def write(path: Path, name: str, lines: Sequence[str], title: str = "# Results") -> None:
    """Put ``lines`` between the marks of ``name``, or at the end of the file; a new file begins with ``title``.

    Raises RascaError where only one of the marks is there; an interrupted write leaves the file as it was.
    """
    begin, end = marks(name)
    text = path.read_text(encoding="utf-8") if path.is_file() else f"{title}\n"
    if (text.count(begin), text.count(end)) not in ((0, 0), (1, 1)) or text.find(end) < text.find(begin):
        raise RascaError(f"{path}: needs each of the marks {begin} and {end} once, in this order, or neither")
    if begin in text:
        before, after = text.split(begin)[0], text.split(end, 1)[1]
    else:
        before, after = text.rstrip() + "\n\n", "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text("\n".join([before + begin, *lines, end + after]), encoding="utf-8")
    partial.replace(path)
