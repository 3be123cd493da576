"""RTLIL text: one copy of each module.

Amaranth emits a module for every instance. A systolic array is hundreds of equal ones, and a C++ compiler takes minutes over
the copies; merged, it takes seconds.
"""

from __future__ import annotations

import re

_MODULE = re.compile(r"((?:^attribute [^\n]*\n)*^module (\S+)\n)(.*?^end\n)", re.S | re.M)
_CELL = re.compile(r"^(  cell )(\S+)( )", re.M)


def merge_equal_modules(text: str) -> str:
    """The same design in which modules with equal contents are one; from the leaves up."""
    modules = [(head, name, body) for head, name, body in _MODULE.findall(text)]
    while True:
        first: dict[tuple[str, str], str] = {}
        same: dict[str, str] = {}
        for head, name, body in modules:
            kept = first.setdefault((head.replace(name, ""), body), name)
            if kept != name:
                same[name] = kept
        if not same:
            return "".join(head + body for head, _, body in modules)
        modules = [
            (head, name, _CELL.sub(lambda cell: cell[1] + same.get(cell[2], cell[2]) + cell[3], body))
            for head, name, body in modules
            if name not in same
        ]
