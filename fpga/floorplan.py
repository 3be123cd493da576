"""Where the multipliers go: neighbours in a systolic array are neighbours on the chip.

With nearly all multipliers of a device in use, nextpnr's placer never finds the arrays' order by itself: the wires of
released-210x240 on an LFE5U-85F came out more than half as long again, after four times the time.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from rasca_nn.errors import RascaError

SITES = {
    "LFE5U-25F": ((4, 13, 22, 33, 42, 51, 60), (13,)),
    "LFE5U-45F": ((4, 13, 22, 31, 42, 51, 60, 69, 78), (22, 46)),
    "LFE5U-85F": ((4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114), (10, 34, 58)),
}
"""Columns and rows of the DSP blocks of each device; each has four multipliers."""
PLACES = (0, 1, 4, 5)
"""Of the multipliers in a block: columns from its first, and nextpnr's numbers for them."""

_ELEMENT = re.compile(r"(?P<engine>.*)\.(?P<array>\w+)\.pe_(?P<row>\d+)_(?P<column>\d+)\.multiplier(\.both)?\.block")
_OTHER = re.compile(r"(?P<engine>.*)\.(?P<unit>\w+)\.multiplier\.block")


def sites(device: str) -> list[str]:
    """nextpnr's names of a device's multipliers, by strips of DSP blocks above each other; none if it is not known."""
    columns, rows = SITES.get(device, ((), ()))
    return [f"X{x + place}/Y{y}/MULT18_{place}" for x in columns for y in rows for place in PLACES]


def floorplan(cells: list[str], device: str) -> dict[str, str]:
    """Sites for the named multipliers, in order: as many neighbouring columns of an array as a block has multipliers,
    row by row; an engine's other multipliers in the middle of its array, where the sums come out.

    Those that find no site left, or have another name, get none.
    """
    elements = {cell: found for cell in cells if (found := _ELEMENT.fullmatch(cell))}
    others = {cell: found for cell in cells if cell not in elements and (found := _OTHER.fullmatch(cell))}
    order: dict[str, tuple[Any, ...]] = {}
    middle: dict[str, tuple[str, int]] = {}
    for cell, found in elements.items():
        row, column = int(found["row"]), int(found["column"])
        order[cell] = (found["engine"], found["array"], column // len(PLACES), row, column)
        half = column // 2 // len(PLACES)
        middle[found["engine"]] = max(middle.get(found["engine"], ("", 0)), (found["array"], half))
    for cell, found in others.items():
        order[cell] = (found["engine"], *middle.get(found["engine"], ("", 0)), math.inf, found["unit"])
    return dict(zip(sorted(order, key=lambda cell: order[cell]), sites(device), strict=False))


def constrain(netlist: Path, device: str) -> None:
    """Write the floorplan into Yosys' JSON netlist, as the attributes that nextpnr reads.

    Raises RascaError for a multiplier with a name that has no place.
    """
    design = json.loads(netlist.read_text())
    for module in design.get("modules", {}).values():
        cells = module.get("cells", {})
        multipliers = [name for name, cell in cells.items() if cell["type"] == "MULT18X18D"]
        placed = floorplan(multipliers, device)
        lost = [name for name in multipliers if name not in placed]
        if lost and len(placed) < len(sites(device)):
            raise RascaError(f"the floorplan has no place for {lost[0]}; see fpga/floorplan.py for the names it knows")
        for name, site in placed.items():
            cells[name]["attributes"]["BEL"] = site
    netlist.write_text(json.dumps(design))
