"""A folder of results: what a command made before is replaced, when all is well; what others made is not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rasca_nn.errors import RascaError


def check_replaceable(out: Path, *, command: str, marker: str, ours: Callable[[str], object]) -> None:
    """Raises RascaError where `out` cannot be made, or holds what `command` did not make: without the file `marker`, or
    with a file that is not `ours` by its name. Nothing is changed.
    """
    real = out.resolve()
    if real == Path.cwd() or real in Path.cwd().parents:
        raise RascaError(f"{out or '.'} is the folder this runs in, and would be replaced; give another")
    if not real.exists():
        above = next(path for path in real.parents if path.exists())
        try:
            tempfile.TemporaryDirectory(dir=above).cleanup()
        except OSError as error:
            raise RascaError(f"{out} cannot be made in {above}: {error.strerror}; give another folder") from None
        return
    if not real.is_dir():
        raise RascaError(f"{out} is a file; give a folder")
    held = [path.name for path in real.iterdir()]
    if held and not (real / marker).is_file():
        raise RascaError(f"{out} exists and was not made by {command}; give another folder or remove it")
    foreign = [name for name in held if not ours(name)]
    if foreign:
        raise RascaError(f"{out} also holds {min(foreign)}, which would be lost; give another folder or move it away")


@contextmanager
def replaced(out: Path) -> Iterator[Path]:
    """An empty folder beside `out`, which takes its place and name at the end; after an error nothing is left of it."""
    real = out.resolve()
    real.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=real.parent, prefix=f".{real.name}.") as name:
        folder = Path(name) / "made"
        folder.mkdir()
        yield folder
        if real.exists():
            real.replace(Path(name) / "before")
        folder.replace(real)
