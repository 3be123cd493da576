"""The host tool against a board on a pseudo-terminal."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from fpga import host
from fpga.protocol import VERSION, Fault
from rtl_gen import cli

from .board_model import BoardModel
from .stub import IDENTITY, expected

PIXELS = np.random.default_rng(3).integers(0, 256, (IDENTITY.height, IDENTITY.width, 3), dtype=np.uint8)


@pytest.fixture
def photo(tmp_path):
    """A photo that has the network's size, so that it is sent as it is."""
    path = tmp_path / "photo.png"
    Image.fromarray(PIXELS).save(path)
    return path


def run(capsys, *arguments):
    """Exit status, output and error of `rasca run`."""
    status = cli.main(["run", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_decisions_as_json(photo, capsys):
    with BoardModel() as board:
        status, out, _ = run(capsys, "--port", board.port, "--json", photo, photo)
    assert status == 0
    first, second = json.loads(out)
    assert first["image"] == str(photo)
    assert first["logits"] == list(expected(PIXELS))
    assert (first["class"], first["step"], first["errors"]) == (1, 7, 0)
    assert first["probability"] == pytest.approx(1.0)
    assert second["logits"] == first["logits"]


def test_decisions_as_table(photo, capsys):
    with BoardModel() as board:
        status, out, _ = run(capsys, "--port", board.port, photo)
    assert status == 0
    assert f"{IDENTITY.model:08x}" in out
    assert photo.name in out


def test_a_photo_of_another_size_is_resized(tmp_path, capsys):
    path = tmp_path / "large.png"
    Image.fromarray(np.full((60, 80, 3), 9, np.uint8)).save(path)
    with BoardModel() as board:
        status, out, _ = run(capsys, "--port", board.port, "--json", path)
    assert status == 0
    assert json.loads(out)[0]["logits"] == list(expected(np.full_like(PIXELS, 9)))


def test_flags_of_the_accelerator_are_told(photo, capsys):
    with BoardModel(errors=2) as board:
        status, out, _ = run(capsys, "--port", board.port, "--json", photo)
    assert status == 1
    assert json.loads(out)[0]["errors"] == 2


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault])
def test_every_fault_is_an_error(fault, photo, capsys):
    with BoardModel(fault=fault) as board:
        status, out, err = run(capsys, "--port", board.port, photo)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert host.MEANING[fault] in err


def test_an_answer_with_a_wrong_crc_is_no_answer(photo, capsys, monkeypatch):
    monkeypatch.setattr(host, "REPLY_S", 0.1)
    with BoardModel(corrupt=True) as board:
        status, _, err = run(capsys, "--port", board.port, photo)
    assert status == 2
    assert "no answer" in err


def test_another_version(photo, capsys):
    with BoardModel(version=VERSION + 1) as board:
        status, _, err = run(capsys, "--port", board.port, photo)
    assert status == 2
    assert f"version {VERSION + 1}" in err


def test_no_port(photo, capsys):
    status, _, err = run(capsys, "--port", "/nowhere/tty", photo)
    assert (status, err.count("\n")) == (2, 1)
    assert "/nowhere/tty: cannot be opened" in err


def test_no_photo(tmp_path, capsys):
    with BoardModel() as board:
        status, _, err = run(capsys, "--port", board.port, tmp_path / "missing.png")
    assert status == 2
    assert "missing.png" in err
