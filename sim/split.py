"""CXXRTL's C++ in functions that a compiler can take.

A flattened design simulates fastest, but CXXRTL writes it as one `eval` of ten thousand lines, and compilers take
minutes over that. Its statements are one level deep and communicate through a few local values, so the values become
members and the statements functions of a few hundred lines each, called in the same order.
"""

from __future__ import annotations

import re

CHUNK = 150
"""Statements a function."""

_LOCAL = re.compile(r"^\t(value<\d+> \w+;)$")
_INDEX = re.compile(r"\bauto (\w+) =")
"""Of a memory that is read without a clock: used by the statements that follow at once."""


def split_eval(source: str, units: int, top: str = "p_rasca", *, clocks: bool = False) -> list[str]:
    """The source with `top::eval` split over so many files, to be compiled side by side; the first one has the rest.

    `eval` is made to stand for one rising clock edge: callers call `eval`, look at the outputs, and call `commit`. With
    `clocks` it looks for the edges itself, of any number of clocks, and callers call `step`, which evaluates once.
    Raises ValueError where the source does not look as expected.
    """
    head = f"bool {top}::eval(performer *performer) {{\n"
    before, found, rest = source.partition(head)
    declarations, reset, _ = before.partition(f"void {top}::reset() {{\n")
    body, end, after = rest.partition("\n}\n")
    opening = f"struct {top} : public module {{\n"
    if not found or not end or not reset or opening not in declarations:
        raise ValueError("not a flattened CXXRTL design")
    members: list[str] = []
    statements: list[str] = []
    for line in body.split("\n"):
        local = _LOCAL.match(line)
        if local:
            members.append(local[1])
        elif re.match(r"\t[^\t}]", line) and not line.startswith("\t//"):
            if statements and any(re.search(rf"\b{name}\b", line) for name in _INDEX.findall(statements[-1])):
                statements[-1] += "\n" + line
            else:
                statements.append(line)
        elif statements and not line.startswith("\t//"):
            statements[-1] += "\n" + line
    edges = [s.split()[1] for s in statements if s.startswith("\tbool posedge_")]
    statements = [s for s in statements if not s.startswith(("\tbool ", "\treturn "))]
    if (len(edges) != 1 and not clocks) or any("converged" in s for s in statements):
        raise ValueError("not a design of one clock without feedback")
    chunks = [statements[i : i + CHUNK] for i in range(0, len(statements), CHUNK)]
    declared = [f"void eval_{i}(performer *performer);" for i in range(len(chunks))]
    edge, looks = f"\tconstexpr bool {edges[0]} = true;\n", []
    if clocks:
        members += [f"bool at_{name};" for name in edges]
        edge = "".join(f"\tconst bool {name} = at_{name};\n" for name in edges)
        looks = [f"\tat_{name} = {name}();" for name in edges]
    functions = [
        f"void {top}::eval_{i}(performer *performer) {{\n{edge}" + "\n".join(chunk) + "\n}\n"
        for i, chunk in enumerate(chunks)
    ]
    calls = "\n".join([*looks, *(f"\teval_{i}(performer);" for i in range(len(chunks))), "\treturn true;"])
    stateful = opening + "\n".join(f"\t{m}" for m in (*members, *declared)) + "\n"
    before = before.replace(opening, stateful)
    declarations = declarations.replace(opening, stateful)
    namespace = "} // namespace cxxrtl_design\n"
    first = before + "".join(functions[::units]) + head + calls + end + after
    return [first, *(declarations + "".join(functions[i::units]) + namespace for i in range(1, units))]
