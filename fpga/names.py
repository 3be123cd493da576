"""One wording for a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for an unknown name, with the nearest known one and all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    return f"unknown {kind} {name!r}; nearest is {near[0]!r}, known are {', '.join(names)}"
