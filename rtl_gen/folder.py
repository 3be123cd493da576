"""A folder of results: what a command made before is replaced, when all is well; what others made is not."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rasca_nn.errors import RascaError


def check_replaceable(out: Path, *, command: str, marker: str, ours: Callable[[str], object]) -> None:
    """Raises RascaError where `out` is not what `command` made: without the file `marker`, or with a file that is not
    `ours` by its name.
    """
    if not out.exists():
        return
    if not (out / marker).is_file():
        raise RascaError(f"{out} exists and was not made by {command}; give another folder or remove it")
    foreign = [path.name for path in out.iterdir() if not ours(path.name)]
    if foreign:
        raise RascaError(f"{out} also holds {min(foreign)}, which would be lost; give another folder or move it away")


@contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """An empty folder beside `out`, which takes its place and name at the end; after an error nothing is left of it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as name:
        folder = Path(name) / "made"
        folder.mkdir()
        yield folder
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)
