"""Progress of a flow: named steps with the time each took, on standard error."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console


class Steps:
    """Shows and times the steps of a flow; use it in a `with`, and hand :meth:`begin` or the object to the flow.

    Parameters
    ----------
    quiet : say nothing, for tests.

    Members
    -------
    seconds : time each finished step took, by name.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.seconds: dict[str, float] = {}
        self._console = Console(stderr=True, quiet=quiet, highlight=False)
        self._status = self._console.status("")
        self._step: tuple[str, str, float] | None = None

    def begin(self, number: int, total: int, name: str) -> None:
        """The step before is done and this one, `number` of `total`, begins."""
        self.end()
        label = f"[{number}/{total}] {name}"
        self._step = (name, label, time.monotonic())
        self._status.update(label.replace("[", r"\["))
        self._status.start()

    def end(self) -> None:
        """The last step is done."""
        if self._step:
            name, label, begin = self._step
            self.seconds[name] = time.monotonic() - begin
            self._status.stop()
            self._console.print(f"{label} {self.seconds[name]:.1f} s", markup=False)
        self._step = None

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._status.stop()
        if kind is None:
            self.end()
