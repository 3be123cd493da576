"""Two changes to Amaranth's RTLIL before Yosys reads it."""

from __future__ import annotations

import re

READ_PORT = re.compile(r"cell \$memrd_v2 .*?\n *end\n", re.DOTALL)


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
    whole, and queues when they hold something (tests/hw/test_collisions.py). Without this a block RAM of an iCE40,
    whose manual leaves the value open, is surrounded with logic that delays the written word and compares addresses.
    """

    def freed(port: re.Match[str]) -> str:
        if not re.search(r"CLK_ENABLE 1(?!')", port[0]):
            return port[0]
        return re.sub(r"(COLLISION_X_MASK \d+')(0+)", lambda mask: mask[1] + "1" * len(mask[2]), port[0])

    return READ_PORT.sub(freed, rtlil)
