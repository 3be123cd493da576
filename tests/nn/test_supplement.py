"""The tables of RaScaNet's supplement against the count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rasca_nn.config import PRESETS, preset
from rasca_nn.count import count
from rasca_nn.supplement import PRINTED_PRESET, figure1, table1, table2

TABLE_1 = """
CNN | Conv2d-1 | 3 x 6 x 3 x 3 | 3 x 5 x 240 | 6 x 3 x 240 | 7.92
CNN | Pool-1 | - | 6 x 3 x 240 | 6 x 3 x 120 | 6.48
CNN | Conv2d-2 | 6 x 11 x 1 x 3 | 6 x 3 x 120 | 11 x 3 x 120 | 6.12
CNN | Pool-2 | - | 11 x 3 x 120 | 11 x 3 x 60 | 5.94
CNN | Conv2d-3 | 11 x 21 x 3 x 3 | 11 x 3 x 60 | 21 x 1 x 60 | 3.24
CNN | Pool-3 | - | 21 x 1 x 60 | 21 x 1 x 30 | 1.89
CNN | Conv2d-4 | 21 x 42 x 1 x 3 | 21 x 1 x 30 | 42 x 1 x 30 | 1.89
CNN | Pool-4 | - | 42 x 1 x 30 | 42 x 1 x 15 | 1.89
Spatial Attention | Key-Conv1d | 42 x 48 | 42 x 1 x 15 | 48 x 1 x 15 | 1.35
Spatial Attention | Value-Conv1d | 42 x 42 | 42 x 1 x 15 | 42 x 1 x 15 | 1.26
Channel Attention | Squeeze-Conv1d | 90 x 12 | 90 x 1 x 15 | 12 x 1 x 15 | 1.53
Channel Attention | Excite-Conv1d | 12 x 42 | 12 x 1 x 15 | 42 x 1 x 15 | 0.81
Channel Attention | Projection-Conv1d | 42 x 48 | 42 x 1 x 15 | 48 x 1 x 15 | 1.35
RNN | Reset-Conv1d | 96 x 48 | 96 x 1 x 15 | 48 x 1 x 15 | 2.16
RNN | Update-Conv1d | 96 x 48 | 96 x 1 x 15 | 48 x 1 x 15 | 2.16
RNN | Candidate-Conv1d | 96 x 48 | 96 x 1 x 15 | 48 x 1 x 15 | 2.16
"""
"""As printed, with (42 + 48) and (48 + 48) added up."""


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def test_table_1_row_by_row() -> None:
    rows = table1(preset(PRINTED_PRESET))
    found = [
        f"{r.module} | {r.layer} | {r.weight} | {_text(r.inputs)} | {_text(r.outputs)} | {r.one_head:.2f}" for r in rows
    ]
    assert found == TABLE_1.split("\n")[1:-1]
    assert [r.printed for r in rows] == [float(line.split("|")[-1]) for line in found]


def test_table_1_with_both_heads() -> None:
    rows = {r.layer: r for r in table1(preset(PRINTED_PRESET))}
    differing = {name: r.all_heads for name, r in rows.items() if r.all_heads != r.one_head}
    assert differing == {"Squeeze-Conv1d": 2.16, "Excite-Conv1d": 1.44, "Projection-Conv1d": 1.98}


@pytest.mark.parametrize("name", PRESETS)
def test_table_1_holds_the_peak_of_every_preset(name: str) -> None:
    config = preset(name)
    rows = table1(config)
    assert max(r.all_heads for r in rows) == count(config).peak / 1000
    assert any(r.printed for r in rows) == (name == PRINTED_PRESET)
    # Switched off is not listed.
    assert any(r.module == "Spatial Attention" for r in rows) == (config.spatial_attention != "off")
    bare = replace(config, channel_attention=False, spatial_attention="off")
    assert {r.layer for r in table1(bare)}.isdisjoint({"Squeeze-Conv1d", "Key-Conv1d"})


def test_table_2() -> None:
    assert [(r.layer, r.inputs, r.outputs, f"{r.memory:.2f}") for r in table2()] == [
        ("block2.expand", (8, 112, 112), (48, 112, 112), "702.46"),
        ("block2.depthwise", (48, 112, 112), (48, 56, 56), "752.64"),
        ("block2.squeeze", (48, 56, 56), (8, 56, 56), "175.62"),
    ]
    assert all(f"{r.memory:.2f}" == f"{r.printed:.2f}" for r in table2())


def test_figure_1() -> None:
    points = {(p.height, p.width): p for p in figure1()}
    quarter, whole = points[240, 320], points[480, 640]
    assert (quarter.diagonal, whole.diagonal) == (400, 800)
    assert (round(quarter.rascanet, 1), round(whole.rascanet, 1)) == (10.6, 21.1)
    assert (quarter.mobilenet, whole.mobilenet) == (1152, 4608)
    assert (quarter.mobilenet_split, whole.mobilenet_split) == (384, 1536)
    for p in points.values():
        # Linear in the width, quadratic in the diagonal.
        assert p.rascanet == pytest.approx(33 * p.width / 1000)
        assert p.mobilenet == pytest.approx(1152 * (p.diagonal / 400) ** 2)
        if p.rascanet_printed and p.mobilenet_printed:
            assert p.rascanet == pytest.approx(p.rascanet_printed, abs=0.05)
            assert p.mobilenet == p.mobilenet_printed
