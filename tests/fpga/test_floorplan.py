"""Multipliers on their sites: all different, array neighbours side by side, everything else left to the placer."""

from __future__ import annotations

import json

from fpga.floorplan import constrain, floorplan, sites

DEVICE = "LFE5U-85F"


def cells(array: str, rows: int, columns: int) -> list[str]:
    return [f"{array}.pe_{r}_{c}.multiplier.block" for r in range(rows) for c in range(columns)]


def test_sites() -> None:
    """As many as the device has multipliers, none twice."""
    assert len(sites(DEVICE)) == len(set(sites(DEVICE))) == 156
    assert sites(DEVICE)[:5] == [f"X{x}/Y10/MULT18_{n}" for x, n in ((4, 0), (5, 1), (8, 4), (9, 5), (13, 0))]
    assert sites("LFE5U-12F-not-known") == []


def test_column_after_column() -> None:
    """Rows of a column first, columns by number and not by name, arrays one after another."""
    names = [*cells("b.array", 2, 11), *cells("a.array", 1, 2), "a.post0.multiplier.block"]
    placed = floorplan(names, DEVICE)
    order = [name for _, name in sorted((sites(DEVICE).index(site), name) for name, site in placed.items())]
    columns = [f"b.array.pe_{r}_{c}.multiplier.block" for c in range(11) for r in range(2)]
    assert order == [*cells("a.array", 1, 2), *columns]
    assert "a.post0.multiplier.block" not in placed


def test_more_elements_than_sites() -> None:
    """Those beyond are left to the placer, which then says that they do not fit."""
    assert len(floorplan(cells("array", 4, 50), DEVICE)) == 156
    assert floorplan(cells("array", 4, 50), "other") == {}


def test_constrain(tmp_path) -> None:
    """The attribute is nextpnr's, on the multipliers only."""
    path = tmp_path / "top.json"
    name = "demo.array.pe_0_0.multiplier.block"
    kinds = {name: "MULT18X18D", "demo.array.pe_0_1.sum": "TRELLIS_FF"}
    found = {cell: {"type": kind, "attributes": {}} for cell, kind in kinds.items()}
    path.write_text(json.dumps({"modules": {"top": {"cells": found}, "empty": {}}}))
    constrain(path, DEVICE)
    after = json.loads(path.read_text())["modules"]["top"]["cells"]
    assert after[name]["attributes"] == {"BEL": "X4/Y10/MULT18_0"}
    assert after["demo.array.pe_0_1.sum"]["attributes"] == {}
