"""The weights that ship: whole, small, and described by a card that is about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rasca_nn.config import preset
from rasca_nn.float_file import load_float
from rasca_nn.int8_file import Int8Model

MODELS = Path(__file__).parents[2] / "models"
NAMES = ["released-105x120", "released-210x240"]


@pytest.mark.parametrize("name", NAMES)
def test_both_kinds_ship_and_belong_to_the_preset(name: str) -> None:
    for path in (MODELS / f"{name}.float", MODELS / f"{name}.int8"):
        assert path.stat().st_size < 500_000
    assert load_float(MODELS / f"{name}.float").config == preset(name)
    assert Int8Model.load(MODELS / f"{name}.int8").config == preset(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_about_these_weights(name: str) -> None:
    card = (MODELS / f"{name}.md").read_text(encoding="utf-8")
    assert Int8Model.load(MODELS / f"{name}.int8").hash in card
    for heading in ("## Trained on", "## How", "## Figures"):
        assert heading in card


def test_nothing_but_weights_and_cards_ships() -> None:
    assert {path.suffix for path in MODELS.iterdir()} <= {".float", ".int8", ".md"}
