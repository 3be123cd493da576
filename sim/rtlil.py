"""Reads flattened RTLIL text, as Yosys writes it: wires, memories, cells and connections of one module."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple


class Bits(NamedTuple):
    """A run of bits of a wire, or of a constant where `wire` is None: `low` is the lowest bit, else the value."""

    wire: str | None
    low: int
    width: int


Signal = tuple[Bits, ...]
"""Lowest bits first."""


@dataclass
class Cell:
    """A cell: parameters as numbers (text where they are text), ports as signals."""

    kind: str
    name: str
    parameters: dict[str, int | str] = field(default_factory=dict)
    ports: dict[str, Signal] = field(default_factory=dict)


@dataclass(frozen=True)
class Memory:
    width: int
    size: int


@dataclass
class Module:
    """What is in a module. `init` are the first values of wires that have one; undefined bits are 0."""

    wires: dict[str, int] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    init: dict[str, int] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    connections: list[tuple[Signal, Signal]] = field(default_factory=list)


def width(signal: Signal) -> int:
    return sum(part.width for part in signal)


class NotServed(ValueError):
    """The design has something that the translation to C++ does not know."""


def read_rtlil(text: str) -> Module:
    """The one module of a design. Raises :class:`NotServed` for a line that it does not know, as that of a process."""
    module = Module()
    cell: Cell | None = None
    attributes: dict[str, str] = {}
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if not word or word.startswith("#") or word in ("autoidx", "module"):
            attributes = {}
        elif word == "attribute":
            key, _, value = rest.partition(" ")
            attributes[key] = value
        elif word == "wire":
            *options, name = rest.split(" ")
            module.wires[name] = _option(options, "width")
            for side, names in (("input", module.inputs), ("output", module.outputs)):
                if side in options:
                    names.append(name)
            if "\\init" in attributes:
                module.init[name] = _number(attributes["\\init"])
            attributes = {}
        elif word == "memory":
            *options, name = rest.split(" ")
            module.memories[name] = Memory(_option(options, "width"), _option(options, "size"))
            attributes = {}
        elif word == "cell":
            kind, name = rest.split(" ")
            cell = Cell(kind, name)
            module.cells.append(cell)
            attributes = {}
        elif word == "parameter" and cell:
            *_, key, value = rest.split(" ", 2 if rest.startswith(("signed ", "real ")) else 1)
            cell.parameters[key[1:]] = value[1:-1].replace("\\\\", "\\") if value.startswith('"') else _number(value)
        elif word == "connect" and cell:
            port, _, signal = rest.partition(" ")
            cell.ports[port[1:]] = _signal(module, signal.split())
        elif word == "connect":
            tokens = rest.split()
            at = _end(tokens)
            module.connections.append((_signal(module, tokens[:at]), _signal(module, tokens[at:])))
        elif word == "end":
            cell = None
        else:
            raise NotServed(f"RTLIL line {line.strip()[:60]!r} is not known")
    return module


def _option(options: list[str], name: str) -> int:
    """Of a wire or memory; what is not said is 1."""
    return int(options[options.index(name) + 1]) if name in options else 1


_CONSTANT = re.compile(r"(\d+)'(s?)([01xzm-]*)$")


def _number(text: str) -> int:
    """A constant; bits that are not 1 are 0."""
    found = _CONSTANT.match(text)
    if found:
        return int("0" + re.sub("[^01]", "0", found[3]), 2)
    return int(text)


def _end(tokens: list[str]) -> int:
    """Where the first signal ends."""
    depth = 0
    for i, token in enumerate(tokens):
        depth += (token == "{") - (token == "}")
        if depth == 0 and not (i + 1 < len(tokens) and tokens[i + 1].startswith("[")):
            return i + 1
    raise NotServed(f"RTLIL signal {' '.join(tokens)[:60]!r} does not end")


def _signal(module: Module, tokens: list[str]) -> Signal:
    parts: list[Bits] = []
    for token in tokens:
        if token in "{}":
            continue
        constant = _CONSTANT.match(token)
        if token.startswith("["):
            high, _, low = token[1:-1].partition(":")
            last = parts.pop()
            parts.append(Bits(last.wire, last.low + int(low or high), int(high) - int(low or high) + 1))
        elif constant:
            parts.append(Bits(None, _number(token), int(constant[1])))
        elif token.isdigit():
            parts.append(Bits(None, int(token), 32))
        else:
            parts.append(Bits(token, 0, module.wires[token]))
    return tuple(part for part in reversed(parts) if part.width)
