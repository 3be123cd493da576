"""Where the multipliers of a systolic array go: neighbours in the array are neighbours on the chip.

With nearly all multipliers of a device in use, nextpnr's placer never finds the arrays' order by itself: the wires of
released-210x240 on an LFE5U-85F came out more than half as long again, after four times the time.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

SITES = {
    "LFE5U-85F": ((4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114), (10, 34, 58)),
}
"""Columns and rows of the DSP blocks of each device; each has four multipliers."""
PLACES = (0, 1, 4, 5)
"""Of the multipliers in a block: columns from its first, and nextpnr's numbers for them."""

_ELEMENT = re.compile(r"(?P<array>.*)\.pe_(?P<row>\d+)_(?P<column>\d+)\.")


def sites(device: str) -> list[str]:
    """nextpnr's names of the multipliers, row after row, to and fro; none for a device that is not known."""
    columns, rows = SITES.get(device, ((), ()))
    names = []
    for i, y in enumerate(rows):
        row = [f"X{x + place}/Y{y}/MULT18_{place}" for x in columns for place in PLACES]
        names += row[::-1] if i % 2 else row
    return names


def floorplan(cells: list[str], device: str) -> dict[str, str]:
    """Sites for the processing elements among the named cells: array after array, column after column.

    What has no row and column in an array, or finds no site left, is left to the placer.
    """
    elements = []
    for cell in cells:
        found = _ELEMENT.match(cell)
        if found:
            elements.append((found["array"], int(found["column"]), int(found["row"]), cell))
    return dict(zip((cell for *_, cell in sorted(elements)), sites(device), strict=False))


def constrain(netlist: Path, device: str) -> None:
    """Write the floorplan into Yosys' JSON netlist, as the attributes that nextpnr reads."""
    design = json.loads(netlist.read_text())
    for module in design.get("modules", {}).values():
        cells = module.get("cells", {})
        multipliers = [name for name, cell in cells.items() if cell["type"] == "MULT18X18D"]
        for name, site in floorplan(multipliers, device).items():
            cells[name]["attributes"]["BEL"] = site
    netlist.write_text(json.dumps(design))
