"""The ablations: the variants cost alike, runs are made once, and the tables stand in a file of others' text."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rasca_nn.ablate import MARK, Plan, make_all, plan, section, write
from rasca_nn.ablation import variants, with_heads
from rasca_nn.config import PRESETS, preset
from rasca_nn.count import count
from rasca_nn.errors import RascaError
from rasca_nn.options import Options
from rasca_nn.sections import marks

BEGIN, END = marks(MARK)
SHORT = Options(epochs=1, draws=8, batch=8, box_weight=0.0)


@pytest.mark.parametrize("name", ["released-105x120", "released-210x240", "paper-105x120"])
def test_heads_cost_alike(name: str) -> None:
    base = preset(name)
    for heads in (1, 3):
        config = with_heads(base, heads)
        assert config.heads == heads
        assert count(config).macs == pytest.approx(count(base).macs, rel=0.06)


@pytest.mark.parametrize("name", PRESETS)
def test_every_line_of_every_table_has_its_variant(name: str) -> None:
    made, tables = variants(preset(name))
    names = [variant.name for variant in made]
    assert len(set(names)) == len(names)
    assert {name for table in tables for _, name in table.lines} == set(names)
    attention = {v.name: (v.config.channel_attention, v.config.spatial_attention) for v in made}
    assert attention["attention-off"] == (False, "off")
    assert [v.options.get("confidence") for v in made if "confidence" in v.name] == ["none", "trivial"]


def test_runs_are_made_once_and_tables_kept_up(folder: Path, tmp_path: Path) -> None:
    out, record = tmp_path / "docs" / "results.md", tmp_path / "docs" / "results.json"

    def planned(only: Sequence[str] = (), options: Options = SHORT) -> Plan:
        return plan(preset("tiny"), options, [1], tmp_path / "runs", out, "rasca ablate", only)

    chosen = planned(["base", "confidence-none"])
    notes: list[str] = []
    write(chosen)
    assert "0 of 7 runs are done" in out.read_text()
    make_all(chosen, folder, device="cpu", note=notes.append)
    assert [note.split()[1].rstrip(":") for note in notes] == ["base-seed1"] * 2 + ["confidence-none-seed1"] * 2
    text = out.read_text()
    assert "2 of 7 runs are done" in text
    assert "**The data are not the paper's**" in text
    points = f"{100 * json.loads(record.read_text())['base-seed1']['balanced_accuracy']:.1f}"
    line = next(line for line in text.splitlines() if "proposed pseudo-labels" in line)
    assert f"{points} ({points})" in line
    log = (tmp_path / "runs" / "confidence-none-seed1" / "log.csv").read_text()
    assert log.startswith("epoch,seconds,class,balanced_all")
    # Another selection keeps what is done in the tables.
    write(planned(["heads-1"]))
    assert out.read_text() == text
    # Others' text stays, and nothing is trained again, even where the runs' folders are gone.
    shutil.rmtree(tmp_path / "runs")
    out.write_text(f"# Mine\n\nbefore\n\n{text[text.index(BEGIN) :].rstrip()}\nafter\n")
    make_all(chosen, folder, device="cpu", note=notes.append)
    assert len(notes) == 4
    assert out.read_text().startswith(f"# Mine\n\nbefore\n\n{BEGIN}")
    assert out.read_text().endswith(f"{END}\nafter\n")
    assert "\n".join(section(chosen)) in out.read_text()
    out.write_text(f"{BEGIN}\n")
    with pytest.raises(RascaError, match="needs each of the marks"):
        write(chosen)
    with pytest.raises(RascaError, match=r"results.json: base-seed1 was made with another epochs; delete it or take"):
        section(planned(options=replace(SHORT, epochs=2)))


@pytest.mark.parametrize("content", ["{", "[]", '{"base-seed1": 1}', '{"base-seed1": {"n": 1}}', "[" * 100_000])
def test_a_record_that_holds_no_results(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(RascaError, match=r"results.json: holds no results of runs"):
        section(plan(preset("tiny"), SHORT, [1], tmp_path, tmp_path / "results.md", ""))


def test_bad_plans(tmp_path: Path) -> None:
    out = tmp_path / "results.md"
    with pytest.raises(RascaError, match="no variant 'heads-4'; there are base, heads-1, heads-3,"):
        plan(preset("tiny"), SHORT, [1], tmp_path, out, "", ["heads-4"])
    with pytest.raises(RascaError, match="a seed is given twice: 1 1"):
        plan(preset("tiny"), SHORT, [1, 1], tmp_path, out, "")
