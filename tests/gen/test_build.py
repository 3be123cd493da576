"""Mapping: what fits, what is refused and why."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rasca_nn.config import preset
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import build
from rtl_gen.estimate import estimate
from rtl_gen.generate import describe
from rtl_gen.lower import hardware_biases, tap_weights
from rtl_gen.memory import MemoryUse, family, memories
from rtl_gen.target import Target, TargetError, load_target, target_from_dict, target_names


@pytest.mark.parametrize(
    ("target", "alone", "in_stream"), [("ecp5-85f", 400_000, 388_000), ("ecp5-85f-packed", 215_000, 205_000)]
)
def test_released_network_meets_its_figures(target: str, alone: int, in_stream: int) -> None:
    made = build(random_int8_model(preset("released-210x240"), 0), load_target(target))
    first, _, third = estimate(made, 3)
    assert first.frame_cycles <= alone
    assert third.interval <= in_stream
    assert sum(e.multipliers for e in made.params.engines) <= 156
    assert sum(e.products for e in made.engines) == 1_316_040


@pytest.mark.parametrize("name", target_names())
def test_built_in_targets(name: str) -> None:
    made = build(random_int8_model(preset("tiny"), 0), load_target(name))
    assert sum(e.products for e in made.engines) == 2 * 7152 + 642


def test_too_few_multipliers() -> None:
    model, target = random_int8_model(preset("tiny"), 0), load_target("ecp5-85f")
    build(model, replace(target, multipliers=155))
    with pytest.raises(TargetError, match=r"tiny on ecp5-85f takes 155 multipliers, 1 more than the device's 154"):
        build(model, replace(target, multipliers=154))


def test_too_few_block_rams() -> None:
    model, target = random_int8_model(preset("released-210x240"), 0), load_target("ecp5-85f")
    blocks = sum(use.blocks for use in memories(build(model, target).params, target))
    build(model, replace(target, block_rams=blocks))
    message = f"has {blocks - 1} block RAMs and released-210x240 takes {blocks}, 1 too many, .*; use a smaller network"
    with pytest.raises(TargetError, match=message):
        build(model, replace(target, block_rams=blocks - 1))


def test_too_few_sprams() -> None:
    model, target = random_int8_model(preset("released-210x240"), 0), load_target("up5k")
    assert sum(use.sprams for use in memories(build(model, target).params, target)) == 4
    with pytest.raises(TargetError, match="has 3 SPRAMs and released-210x240 takes 4, 1 too many; use a smaller"):
        build(model, replace(target, spram_blocks=3))


@pytest.mark.parametrize("name", ["released-210x240", "released-105x120"])
def test_the_released_networks_fit_the_smallest_board(name: str) -> None:
    target = load_target("up5k")
    made = build(random_int8_model(preset(name), 0), target)
    assert sum(use.blocks for use in memories(made.params, target)) <= 30


def test_no_room_for_the_activations() -> None:
    model, target = random_int8_model(preset("released-210x240"), 0), load_target("up5k")
    (engine,) = build(model, target).params.engines
    assert engine.depth + 1 == 512
    build(model, replace(target, activation_words=456))
    message = "activations of released-210x240 take 540 words, and no way was found to do with activation_words 455"
    with pytest.raises(TargetError, match=message):
        build(model, replace(target, activation_words=455))
    with pytest.raises(TargetError, match="activation_words is for one engine that runs all, not 2"):
        small(activation_words=512)


@pytest.mark.parametrize(
    ("words", "width", "rom", "blocks"),
    [
        (512, 64, False, 8),
        (28, 64, False, 4),
        (230, 64, False, 4),
        (540, 64, False, 12),
        (632, 64, False, 12),
        (452, 64, False, 8),
        (768, 8, False, 2),
        (1344, 8, False, 3),
        (600, 8, False, 2),
        (32, 8, False, 1),
        (19, 80, True, 0),
        (400, 29, True, 4),
        (768, 8, True, 2),
        (2048, 29, True, 15),
    ],
)
def test_block_rams_of_an_ice40(words: int, width: int, rom: bool, blocks: int) -> None:
    """As counted in what synth_ice40 of Yosys 0.66 made of such memories, written byte by byte where `not rom`."""
    assert MemoryUse("", "", words, width, rom=rom, family=family("iCE40UP5K")).blocks == blocks


@pytest.mark.parametrize(
    ("words", "width", "rom", "blocks"),
    [
        (16, 129, False, 0),
        (48, 120, False, 0),
        (64, 120, False, 4),
        (28, 56, False, 0),
        (40, 64, False, 2),
        (56, 64, False, 2),
        (32, 240, False, 0),
        (40, 240, False, 7),
        (64, 16, False, 0),
        (100, 16, False, 1),
        (338, 120, False, 4),
        (65, 32, True, 0),
        (131, 16, True, 1),
        (57, 72, True, 0),
        (58, 72, True, 2),
        (57, 108, True, 0),
        (58, 108, True, 3),
        (400, 27, True, 1),
        (1100, 24, False, 3),
        (1462, 40, False, 4),
        (3000, 24, False, 5),
        (1462, 40, True, 4),
        (1600, 40, True, 5),
        (9000, 5, True, 3),
        (4500, 40, True, 10),
    ],
)
def test_block_rams_of_an_ecp5(words: int, width: int, rom: bool, blocks: int) -> None:
    """As counted in what Yosys 0.66 made of such memories (memory_libmap with synth_ecp5's libraries); what is read
    while it is written does not matter.
    """
    assert MemoryUse("", "", words, width, rom=rom, family=family("LFE5U-25F")).blocks == blocks


def test_too_few_line_rows() -> None:
    model, target = random_int8_model(preset("tiny"), 0), load_target("small")
    build(model, replace(target, line_rows=5))
    with pytest.raises(TargetError, match="target small: line_rows is 4, the model needs 5"):
        build(model, replace(target, line_rows=4))


def test_more_steps_than_a_result_can_say() -> None:
    config = replace(preset("tiny"), height=255, rows=1, kernel_heights=(1, 1, 1, 1))
    build(random_int8_model(config, 0), load_target("small"))
    with pytest.raises(TargetError, match="tiny has 256 steps, at most 255 are served"):
        build(random_int8_model(replace(config, height=256), 0), load_target("small"))


def small(**changes: Any) -> Target:
    """The target "small" with changed fields."""
    table = asdict(load_target("small"))
    return target_from_dict({**table, "engines": list(table["engines"]), **changes})


def engines(heads: int = 2, back: int = 3) -> list[dict[str, Any]]:
    """Two engines with so many rows."""
    return [{"name": name, "runs": name, "rows": rows} for name, rows in (("heads", heads), ("back", back))]


LIMITS = {
    "columns": (2, 64),
    "line_rows": (1, 255),
    "clock_mhz": (1, 1000),
    "multipliers": (1, None),
    "block_rams": (1, None),
    "luts": (1, None),
    "spram_blocks": (0, None),
    "activation_words": (0, None),
    "lut_multipliers": (0, 1),
}


@pytest.mark.parametrize("key", LIMITS)
def test_numbers_of_a_target(key: str) -> None:
    """The limits are within, what lies beyond is refused."""
    least, most = LIMITS[key]
    others = {"engines": engines(1, 1)}
    outside = [least - 1, -1, *([most + 1] if most else [])]
    if key == "activation_words":
        others = {"engines": [{"name": "all", "runs": "all", "rows": 1}]}
    for value in (least, *([most] if most else [])):
        assert getattr(small(**others, **{key: value}), key) == value
    span = f"{least} to {most}" if most else f"{least} or more"
    for value in outside:
        with pytest.raises(TargetError, match=f"^target small: {key} must be {span}, not {value}$"):
            small(**others, **{key: value})
    for value in (float(least), str(least), True, None):
        with pytest.raises(TargetError, match=f"^target small: {key} must be of type int, not {value!r}$"):
            small(**others, **{key: value})


@pytest.mark.parametrize(("columns", "most"), [(2, 2), (15, 15), (16, 16), (17, 16), (64, 16)])
def test_rows_of_an_engine(columns: int, most: int) -> None:
    """No more than columns, nor than 16."""
    for rows in (1, most):
        assert small(columns=columns, engines=engines(back=rows, heads=1)).engines[1].rows == rows
    for rows in (0, most + 1):
        with pytest.raises(TargetError, match=f"^target small: rows of engine back must be 1 to {most}, not {rows}$"):
            small(columns=columns, engines=engines(back=rows, heads=1))


@pytest.mark.parametrize(
    "runs", [[], ["heads"], ["back"], ["back", "heads"], ["all", "back"], ["all", "all"], ["both"]]
)
def test_what_engines_run(runs: list[str]) -> None:
    with pytest.raises(TargetError, match=r'engines must run \["all"\] or \["heads", "back"\], not'):
        small(engines=[{"name": f"e{i}", "runs": run, "rows": 1} for i, run in enumerate(runs)])


def test_arrays() -> None:
    """What a broadcast array is not made for is refused with its reason."""
    one = [{"name": "all", "runs": "all", "rows": 2}]
    tiny = random_int8_model(preset("tiny"), 0)
    assert build(tiny, small(array="broadcast", columns=8, engines=one)).params.engines[0].broadcast
    with pytest.raises(TargetError, match="array must be systolic or broadcast, not 'systolc'"):
        small(array="systolc")
    with pytest.raises(TargetError, match="columns of a broadcast array must be 8, 16, 32, not 12"):
        small(array="broadcast", columns=12)
    with pytest.raises(TargetError, match="rows of a broadcast array must be a power of two, not 3"):
        small(array="broadcast", columns=8, engines=[{**one[0], "rows": 3}])
    two = [{"name": "a", "runs": "heads", "rows": 2}, {"name": "b", "runs": "back", "rows": 2}]
    with pytest.raises(TargetError, match='for one engine that runs all, not 2; use array = "systolic"'):
        build(tiny, small(array="broadcast", columns=8, engines=two))
    attending = random_int8_model(replace(preset("tiny"), spatial_attention="full"), 0)
    with pytest.raises(TargetError, match="does not serve spatial attention"):
        build(attending, small(array="broadcast", columns=8, engines=one))


def test_two_products_a_multiplier() -> None:
    """What cannot have them is refused with its reason."""
    tiny, two = random_int8_model(preset("tiny"), 0), {"products_per_multiplier": 2}
    made = build(tiny, small(**two, engines=engines(2, 4), device="LFE5U-25F"))
    assert [e.multipliers for e in made.params.engines] == [2 * 2 * 5 // 2, 4 * 5 // 2 + 4 + 1]
    made = build(tiny, small(**two, engines=engines(2, 4), lut_multipliers=3))
    assert made.params.engines[1].multipliers == 4 * 5 // 2 + 1 + 1
    manifest = describe(made, [])
    assert (manifest["multipliers"], manifest["products_per_multiplier"], manifest["lut_multipliers"]) == (22, 2, 3)
    places = 22 * 2 * manifest["cycles"]["frame_in_stream"]
    assert manifest["busy"]["frame_in_stream"] == round(manifest["products_per_frame"] / places, 4)
    with pytest.raises(TargetError, match="products_per_multiplier must be 1 or 2, not 3"):
        small(products_per_multiplier=3)
    with pytest.raises(TargetError, match=r"two rows share a multiplier, so rows must be even, not 3 \(back\)"):
        small(**two)
    with pytest.raises(TargetError, match="must be 1, not 2: the multipliers of iCE40UP5K are narrower than 18 x 18"):
        small(**two, engines=engines(2, 4), device="iCE40UP5K")
    one = [{"name": "all", "runs": "all", "rows": 2}]
    for key, usual in (("products_per_multiplier", 1), ("lut_multipliers", 0)):
        with pytest.raises(TargetError, match=f"{key} of a broadcast array must be {usual}, not 2"):
            small(array="broadcast", columns=8, engines=one, **{key: 2})
    attending = random_int8_model(replace(preset("tiny"), spatial_attention="full"), 0)
    with pytest.raises(TargetError, match=r"some that may be -128 \(tiny: full\); use products_per_multiplier 1"):
        build(attending, small(**two, engines=engines(2, 4)))


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
