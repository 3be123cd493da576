"""Words of C++: names, types, constants and masks for nets of any width."""

from __future__ import annotations

import re

LIMB = 64
"""Bits of the longest plain integer."""


def identifier(name: str) -> str:
    """A name of RTLIL as one of C++."""
    return re.sub(r"\W", lambda found: f"_{ord(found[0]):x}_", name.removeprefix("\\").replace("_", "__"))


def c_type(bits: int) -> str:
    """Of a local value."""
    return "uint32_t" if bits <= 32 else "uint64_t"


def stored_type(bits: int) -> str:
    """Of a register or a word of memory: the smallest."""
    return next(f"uint{size}_t" for size in (8, 16, 32, 64) if min(bits, LIMB) <= size)


def limbs(bits: int) -> list[int]:
    """Widths of the words of a net, lowest first."""
    return [min(LIMB, bits - at) for at in range(0, bits, LIMB)]


def array(bits: int) -> str:
    """What follows the name of a net that needs several words."""
    return f"[{len(limbs(bits))}]" if bits > LIMB else ""


def number(value: int, bits: int) -> str:
    """A constant."""
    return f"{value}u" if bits <= 32 else f"{value}ull"


def masked(text: str, bits: int) -> str:
    """The lowest `bits` of an expression."""
    return text if bits in (32, 64) else f"({text}) & {number((1 << bits) - 1, bits)}"


def either(choose: str, yes: str, no: str) -> str:
    """`yes` where `choose` is not 0, else `no`."""
    return no if yes == no else f"({choose} ? {yes} : {no})"
