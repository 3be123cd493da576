"""The generated folder: complete, the same every time, whole or absent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rasca_nn.config import preset
from rasca_nn.errors import RascaError
from rasca_nn.random_model import random_int8_model
from rtl_gen.estimate import estimate
from rtl_gen.generate import generate, load_generated


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.int8"
    random_int8_model(preset("tiny"), 1).save(path)
    return path


@pytest.fixture(scope="module")
def made(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generated") / "tiny"
    generate(model, "small", out)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_same_bytes_every_time(model: Path, made: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    generate(model, "small", tmp_path / "again", report=lambda _i, _n, name: steps.append(name))
    assert contents(made) == contents(tmp_path / "again")
    assert len(steps) == 6


def test_manifest(made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["multipliers"] == 39
    assert manifest["cycles"]["frame"] == estimate(load_generated(made), 1)[0].frame_cycles
    assert manifest["memory"]["bits"] == sum(use["bits"] for use in manifest["memory"]["uses"])
    assert set(manifest["accumulators"]) == set(random_int8_model(preset("tiny"), 1).layers)
    assert str(Path.cwd()) not in (made / "rasca.v").read_text()


def test_memory_images_hold_every_word(made: Path) -> None:
    params = load_generated(made).params
    words = (made / "memories" / "back.weights.hex").read_text().split()
    assert [int(w, 16) for w in words] == list(params.engines[1].weights[0])


def test_a_changed_folder_is_refused(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny"
    generate(model, "small", out)
    with (out / "rasca.v").open("a") as file:
        file.write("\n")
    with pytest.raises(RascaError, match="was changed after it was generated"):
        load_generated(out)


def test_another_model_in_the_folder_is_refused(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny"
    generate(model, "small", out)
    random_int8_model(preset("tiny"), 2).save(out / "model.int8")
    with pytest.raises(RascaError, match=r"model\.int8 was changed after it was generated"):
        load_generated(out)


def test_what_others_put_into_the_folder_is_not_lost(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny"
    generate(model, "small", out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(RascaError, match=r"also holds notes\.txt"):
        generate(model, "small", out)
    assert (out / "notes.txt").read_text() == "mine"


def test_a_foreign_folder_is_left_alone(model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    with pytest.raises(RascaError, match="was not made by rasca generate"):
        generate(model, "small", tmp_path / "mine")
    with pytest.raises(RascaError, match="not a folder made by rasca generate"):
        load_generated(tmp_path / "mine")
    assert contents(tmp_path / "mine") == {"file": b"x"}


def test_the_folder_it_runs_in_is_not_replaced(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "tiny"
    generate(model, "small", out)
    before = contents(out)
    monkeypatch.chdir(out)
    for path in (Path(), Path(".."), out, Path("memories/..")):
        with pytest.raises(RascaError, match="is the folder this runs in"):
            generate(model, "small", path)
    assert contents(out) == before


def test_a_link_is_followed_and_a_wrong_place_found_at_once(model: Path, tmp_path: Path) -> None:
    out, link, file = tmp_path / "tiny", tmp_path / "link", tmp_path / "file"
    out.mkdir()
    link.symlink_to(out)
    generate(model, "small", link)
    generate(model, "small", link)
    assert link.is_symlink() and contents(link) == contents(out) != {}
    file.touch()
    with pytest.raises(RascaError, match="file is a file; give a folder"):
        generate(model, "small", file)
    with pytest.raises(RascaError, match=r"cannot be made in .*file: Not a directory"):
        generate(model, "small", file / "below")


def test_nothing_is_left_after_an_error(model: Path, tmp_path: Path) -> None:
    with pytest.raises(RascaError, match="unknown target"):
        generate(model, "smal", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
