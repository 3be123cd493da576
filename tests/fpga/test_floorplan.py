"""Multipliers on their sites: all different, array neighbours side by side, everything else left to the placer."""

from __future__ import annotations

import json

from fpga.floorplan import constrain, floorplan, sites

DEVICE = "LFE5U-85F"
PLACES = ((4, 10, 0), (5, 10, 1), (8, 10, 4), (9, 10, 5), (4, 34, 0))
BLOCKS = (range(4), range(4, 8), range(8, 11))


def cells(array: str, rows: int, columns: int) -> list[str]:
    return [f"{array}.pe_{r}_{c}.multiplier.block" for r in range(rows) for c in range(columns)]


def test_sites() -> None:
    """As many as the device has multipliers, none twice."""
    for device, multipliers in (("LFE5U-25F", 28), ("LFE5U-45F", 72), (DEVICE, 156)):
        assert len(sites(device)) == len(set(sites(device))) == multipliers
    assert sites(DEVICE)[:5] == [f"X{x}/Y{y}/MULT18_{n}" for x, y, n in PLACES]
    assert sites("LFE5U-12F-not-known") == []


def test_blocks_of_columns() -> None:
    """Four columns, row by row, then the next four, by number; what is no element goes to the middle of its array."""
    post = [f"e.post{r}.multiplier.block" for r in range(2)]
    names = [*cells("e.array", 2, 11), *post, *cells("a.array", 1, 2), "e.array.other"]
    placed = floorplan(names, DEVICE)
    order = [name for _, name in sorted((sites(DEVICE).index(site), name) for name, site in placed.items())]
    blocks = [[f"e.array.pe_{r}_{c}.multiplier.block" for r in range(2) for c in block] for block in BLOCKS]
    assert order == [*cells("a.array", 1, 2), *blocks[0], *blocks[1], *post, *blocks[2]]


def test_two_products_a_multiplier() -> None:
    """Pairs of rows are placed as rows are."""
    names = cells("e.array", 3, 15)
    shared = {name: name.replace(".block", ".both.block") for name in names}
    assert floorplan([*shared.values()], DEVICE) == {shared[n]: site for n, site in floorplan(names, DEVICE).items()}


def test_more_elements_than_sites() -> None:
    """Those beyond are left to the placer, which then says that they do not fit."""
    assert len(floorplan(cells("e.array", 4, 50), DEVICE)) == 156
    assert floorplan(cells("e.array", 4, 50), "other") == {}


def test_constrain(tmp_path) -> None:
    """The attribute is nextpnr's, on the multipliers only."""
    path = tmp_path / "top.json"
    name = "demo.e.array.pe_0_0.multiplier.block"
    kinds = {name: "MULT18X18D", "demo.e.array.pe_0_1.sum": "TRELLIS_FF"}
    found = {cell: {"type": kind, "attributes": {}} for cell, kind in kinds.items()}
    path.write_text(json.dumps({"modules": {"top": {"cells": found}, "empty": {}}}))
    constrain(path, DEVICE)
    after = json.loads(path.read_text())["modules"]["top"]["cells"]
    assert after[name]["attributes"] == {"BEL": "X4/Y10/MULT18_0"}
    assert after["demo.e.array.pe_0_1.sum"]["attributes"] == {}
