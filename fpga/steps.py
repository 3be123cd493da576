"""Progress of a flow: named steps with the time each took, on standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Steps:
    """Counts and times the steps of a flow.

    Parameters
    ----------
    total : steps to come.
    quiet : say nothing, for tests.
    """

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self.total = total
        self.seconds: dict[str, float] = {}
        self._console = Console(stderr=True, quiet=quiet, highlight=False)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """One step; where it fails, the error says why."""
        label = f"[{len(self.seconds) + 1}/{self.total}] {name}"
        begin = time.monotonic()
        with self._console.status(label):
            yield
        self.seconds[name] = time.monotonic() - begin
        self._console.print(label, f"{self.seconds[name]:.1f} s", markup=False)
