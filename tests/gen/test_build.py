"""Mapping: what fits, what is refused and why."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from rasca_nn.config import preset
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import build
from rtl_gen.estimate import estimate
from rtl_gen.generate import check_fit
from rtl_gen.lower import hardware_biases, tap_weights
from rtl_gen.memory import memories
from rtl_gen.target import TargetError, load_target, target_from_dict, target_names


def test_released_network_meets_its_figures() -> None:
    made = build(random_int8_model(preset("released-210x240"), 0), load_target("ecp5-85f"))
    first, _, third = estimate(made, 3)
    assert first.frame_cycles <= 400_000
    assert third.interval <= 388_000
    assert sum(e.multipliers for e in made.params.engines) <= 156
    assert sum(e.products for e in made.engines) == 1_316_040


@pytest.mark.parametrize("name", target_names())
def test_built_in_targets(name: str) -> None:
    made = build(random_int8_model(preset("tiny"), 0), load_target(name))
    check_fit(memories(made.params), made.target)
    assert sum(e.products for e in made.engines) == 2 * 7152 + 642


def test_too_few_multipliers() -> None:
    target = replace(load_target("ecp5-85f"), multipliers=100)
    with pytest.raises(TargetError, match="55 more than the device's 100"):
        build(random_int8_model(preset("tiny"), 0), target)


def test_too_few_block_rams() -> None:
    target = replace(load_target("ecp5-85f"), block_rams=40)
    made = build(random_int8_model(preset("released-210x240"), 0), target)
    with pytest.raises(TargetError, match="too many"):
        check_fit(memories(made.params), target)


def test_too_few_line_rows() -> None:
    with pytest.raises(TargetError, match="line_rows is 4, the model needs 5"):
        build(random_int8_model(preset("tiny"), 0), replace(load_target("small"), line_rows=4))


def test_what_counters_cannot_count() -> None:
    """More steps than a result can say, and more whole frames in the line buffer than have a place in the counters."""
    tall = replace(preset("tiny"), height=300, rows=1, kernel_heights=(1, 1, 1, 1))
    with pytest.raises(TargetError, match="300 steps, at most 255"):
        build(random_int8_model(tall, 0), load_target("small"))
    short = replace(preset("tiny"), height=preset("tiny").rows)
    with pytest.raises(TargetError, match="line_rows 200 holds 40 frames"):
        build(random_int8_model(short, 0), replace(load_target("small"), line_rows=200))


@pytest.mark.parametrize(
    ("key", "value"), [("line_rows", 256), ("line_rows", 0), ("clock_mhz", 0), ("columns", 1), ("multipliers", -1)]
)
def test_numbers_of_a_target(key: str, value: int) -> None:
    """Each has its limits."""
    table = {**asdict(load_target("small")), key: value}
    with pytest.raises(TargetError, match=f"{key} must be .* not {value}"):
        target_from_dict({**table, "engines": list(table["engines"])})


@pytest.mark.parametrize("name", ["", "a b", "../x", "lines", "9" * 65])
def test_names_of_engines(name: str) -> None:
    """They become names in the Verilog and of files."""
    table = asdict(load_target("small"))
    engines = [{**engine, "name": name} if engine["runs"] == "back" else engine for engine in table["engines"]]
    with pytest.raises(TargetError, match=r"name of the engine|is taken"):
        target_from_dict({**table, "engines": engines})


def test_targets_are_checked(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="nearest is 'ecp5-85f'"):
        load_target("ecp5-85")
    path = tmp_path / "mine.toml"
    for text, message in (
        ("x = 1", "must be a table"),
        ("[a]\ncolumn = 3", "unknown key 'column'; nearest is 'columns'"),
        ("[a", "target file"),
        ("[a]\n[b]\n", "must hold one table"),
    ):
        path.write_text(text)
        with pytest.raises(TargetError, match=message):
            load_target(str(path))
    with pytest.raises(TargetError, match="No such file"):
        load_target(str(tmp_path / "none.toml"))


def test_weights_in_the_order_of_the_taps() -> None:
    layer = random_int8_model(preset("tiny"), 3).layers["head0.conv3"]
    words = tap_weights(layer, (slice(None),), 3)
    out, channels, height, width = layer.weight.shape
    expected = []
    for group in range(-(-out // 3)):
        for ky in range(height):
            for i in range(channels):
                for kx in range(width):
                    values = [
                        int(layer.weight[o, i, ky, kx]) if o < out else 0 for o in range(3 * group, 3 * group + 3)
                    ]
                    expected.append(sum((v & 0xFF) << (8 * r) for r, v in enumerate(values)))
    assert words == expected


def test_biases_make_up_for_the_stored_form() -> None:
    model = random_int8_model(preset("tiny"), 4)
    layer = model.layers["attention.squeeze"]
    rng = np.random.default_rng(0)
    features, hidden = model.config.features, model.config.hidden
    x = np.concatenate([rng.integers(0, 256, features), rng.integers(-128, 128, hidden)])
    stored = np.concatenate([x[:features] - 128, x[features:]])
    weight = layer.weight[:, :, 0, 0].astype(np.int64)
    assert (weight @ stored + hardware_biases(model.config, layer) == weight @ x + layer.bias + layer.half).all()
