"""Two changes to Amaranth's RTLIL before Yosys reads it."""

from __future__ import annotations

import re

MODULE = re.compile(r"^module .*?^end\n", re.DOTALL | re.MULTILINE)
WRITE_PORT = re.compile(r"cell \$memwr_v2 .*?\n *end\n", re.DOTALL)
READ_PORT = re.compile(r"cell \$memrd_v2 .*?\n *end\n", re.DOTALL)
MEMORY = re.compile(r"parameter \\MEMID (.*)")
PORT = re.compile(r"parameter \\PORTID (\d+)")
CLOCK = re.compile(r"connect \\CLK (.*)")


def prepared(rtlil: str) -> str:
    """What the flows read."""
    return free_collisions(without_brackets(rtlil))


def without_brackets(rtlil: str) -> str:
    r"""RTLIL with names like ``\logits[0]``, which Amaranth gives the elements of arrays, as ``\logits.0``.

    ABC9 goes by the printed names of bits: it takes the element for bit 0 of the signal ``\logits``, and Yosys stops
    with an assertion, or not, depending on what the optimiser left.
    """
    return re.sub(r"(?<!\S)\\[^\s\"]*\[[^\s\"]*", lambda name: name[0].replace("[", ".").replace("]", ""), rtlil)


def free_collisions(rtlil: str) -> str:
    """RTLIL whose clocked read ports may read anything where a word is written in the same cycle.

    No such value is ever used: the schedule keeps a word's first read behind its write, rows are read when they are
    whole, queues when they hold something, and the crop's sums, read and written at one address, with the last pixel of
    a box of two or more (tests/hw/test_collisions.py). Without this a block RAM of an iCE40, whose manual leaves the
    value open, is surrounded with logic that delays the written word and compares addresses. Between two clocks Yosys
    takes the value as open anyway.
    """
    return MODULE.sub(_module_freed, rtlil)


def _module_freed(module: re.Match[str]) -> str:
    writes = WRITE_PORT.findall(module[0])

    def freed(port: re.Match[str]) -> str:
        if not re.search(r"CLK_ENABLE 1(?!')", port[0]):
            return port[0]
        memory, clock = _one(MEMORY, port[0]), _one(CLOCK, port[0])
        same = {int(_one(PORT, w)) for w in writes if _one(MEMORY, w) == memory and _one(CLOCK, w) == clock}

        def mask(found: re.Match[str]) -> str:
            ports = reversed(range(len(found[2])))
            return found[1] + "".join("1" if i in same else "0" for i in ports)

        return re.sub(r"(COLLISION_X_MASK \d+')(0+)", mask, port[0])

    return READ_PORT.sub(freed, module[0])


def _one(what: re.Pattern[str], cell: str) -> str:
    """What a cell says of itself."""
    (found,) = what.findall(cell)
    return str(found)
