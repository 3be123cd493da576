"""Model files: whole round trips, the same bytes twice, and one line for anything else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from rasca_nn.config import PRESETS, RaScaNetConfig, preset
from rasca_nn.container import ModelFileError
from rasca_nn.errors import RascaError
from rasca_nn.float_file import load_float, save_float
from rasca_nn.int8_file import SPATIAL_LIMITS, Int8Model, Layer, SpatialShifts, accumulator_bounds, layer_shapes
from rasca_nn.random_model import random_int8_model

from .conftest import trained


@pytest.mark.parametrize("name", PRESETS)
def test_int8_round_trip_and_same_bytes(name: str, tmp_path: Path) -> None:
    model = random_int8_model(preset(name), 4)
    first, second = tmp_path / "a.int8", tmp_path / "b.int8"
    model.save(first)
    back = Int8Model.load(first)
    back.save(second)
    assert first.read_bytes() == second.read_bytes()
    assert back.hash == model.hash
    assert back.config == model.config
    assert dict(back.scales) == dict(model.scales)
    for key, layer in model.layers.items():
        for part in ("weight", "bias", "shift"):
            assert np.array_equal(getattr(layer, part), getattr(back.layers[key], part))
    assert not list(tmp_path.glob("*.partial"))


def test_hash_follows_every_part(tiny: RaScaNetConfig) -> None:
    model = random_int8_model(tiny, 4)
    layer = model.layers["gru.reset"]
    bias = layer.bias.copy()
    bias[0] += 1
    table = model.tables["tanh"].copy()
    table[3] += 1
    others = [
        replace(model, layers={**model.layers, "gru.reset": replace(layer, bias=bias)}),
        replace(model, tables={**model.tables, "tanh": table}),
        replace(model, scales={**model.scales, "gru.reset": 0.5}),
        replace(model, config=replace(tiny, name="other")),
    ]
    assert len({model.hash, *(m.hash for m in others)}) == 5


@pytest.fixture(scope="module")
def file_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("files") / "m.int8"
    random_int8_model(preset("tiny"), 1).save(path)
    return path.read_bytes()


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_byte_or_a_cut_is_noticed(file_bytes: bytes, tmp_path: Path, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(file_bytes) - 1))
    changed = bytearray(file_bytes)
    if data.draw(st.booleans()):
        changed[at] ^= data.draw(st.integers(1, 255))
    else:
        del changed[at:]
    path = tmp_path / "m.int8"
    path.write_bytes(changed)
    try:
        model = Int8Model.load(path)
    except RascaError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
    else:
        # Spaces between header and data carry nothing.
        assert model.hash == random_int8_model(preset("tiny"), 1).hash


def broken(change: Callable[[dict], None]) -> str:
    """The message for a model of which one part was changed."""
    model = random_int8_model(preset("tiny"), 1)
    parts = {
        "config": model.config,
        "layers": dict(model.layers),
        "tables": dict(model.tables),
        "scales": dict(model.scales),
    }
    change(parts)
    with pytest.raises(ModelFileError) as caught:
        Int8Model(**parts)
    return str(caught.value)


def layer_change(name: str, **fields: object) -> Callable[[dict], None]:
    def change(parts: dict) -> None:
        parts["layers"][name] = replace(parts["layers"][name], **fields)

    return change


SHAPE = layer_shapes(preset("tiny"))["gru.reset"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (layer_change("gru.reset", weight=np.full(SHAPE, -128, np.int8)), "gru.reset.weight holds -128"),
        (layer_change("gru.reset", weight=np.zeros((1, 2, 3, 4), np.int8)), r"is int8 \[1, 2, 3, 4\] and should be"),
        (layer_change("gru.reset", weight=np.zeros(SHAPE, np.int16)), "gru.reset.weight is int16"),
        (layer_change("gru.reset", bias=[1, 2, 3, 4]), "gru.reset.bias is list and should be int32"),
        (layer_change("gru.reset", shift=np.full(4, 32, np.uint8)), "gru.reset.shift holds 32; the largest"),
        (layer_change("classifier.output", shift=np.ones(2, np.uint8)), "the largest allowed is 0"),
        (layer_change("gru.reset", bias=np.full(4, 2**31 - 1, np.int32)), "gru.reset: the sums can reach .* 32 bits"),
        (lambda parts: parts["layers"].pop("gru.reset"), "layers are .* and should be .*gru.reset"),
        (lambda parts: parts["tables"].pop("tanh"), "tables are hardswish, sigmoid and should be"),
        (lambda parts: parts["tables"].update(tanh=np.zeros(255, np.int8)), r"table tanh is int8 \[255\]"),
        (lambda parts: parts["scales"].update({"gru.reset": float("nan")}), "scale of gru.reset is nan"),
        (lambda parts: parts.update(config=replace(preset("tiny"), spatial_attention="full")), "spatial0.key"),
        (lambda parts: parts.update(spatial=(SpatialShifts(0, 0, 0, 0),)), "for 1 spatial attentions .* for 0"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit(change: Callable[[dict], None], message: str) -> None:
    found = broken(change)
    assert re.search(message, found), found


def test_shifts_of_spatial_attention_have_limits() -> None:
    model = random_int8_model(replace(preset("tiny"), spatial_attention="banded"), 1)
    good = model.spatial[0]
    for name, limit in SPATIAL_LIMITS.items():
        replace(model, spatial=(replace(good, **{name: limit}), good))
        with pytest.raises(ModelFileError, match=f"spatial0: shift {name} is {limit + 1}; allowed is 0 to {limit}"):
            replace(model, spatial=(replace(good, **{name: limit + 1}), good))


def test_foreign_files(tmp_path: Path, tiny: RaScaNetConfig) -> None:
    path = tmp_path / "x.int8"
    with pytest.raises(ModelFileError, match="no such model file"):
        Int8Model.load(path)
    path.write_bytes(b"")
    with pytest.raises(ModelFileError, match="not a whole model file"):
        Int8Model.load(path)
    save_file({"a": np.zeros(3, np.int8)}, path)
    with pytest.raises(ModelFileError, match="is not a rasca-int8 file"):
        Int8Model.load(path)
    save_float(trained(tiny), path)
    with pytest.raises(ModelFileError, match="its format is 'rasca-float'"):
        Int8Model.load(path)
    for header, message in (
        ({"format": "rasca-int8", "version": 2}, "version 2 is not the one read here, 1"),
        ({"format": "rasca-int8", "version": 1}, "its header cannot be read"),
        ({"format": "rasca-int8", "version": 1, "config": {"hight": 3}}, "did you mean height"),
        (
            {"format": "rasca-int8", "version": 1, "config": tiny.to_dict(), "scales": {}, "hash": ""},
            "misses attention.excite.bias",
        ),
    ):
        save_file({"a": np.zeros(3, np.int8)}, path, metadata={"rasca": json.dumps(header)})
        with pytest.raises(ModelFileError, match=message):
            Int8Model.load(path)


def test_a_folder_that_cannot_be_written(tmp_path: Path, tiny: RaScaNetConfig) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelFileError, match="cannot be written"):
        random_int8_model(tiny, 1).save(tmp_path / "file" / "m.int8")


def test_float_round_trip(tmp_path: Path, tiny: RaScaNetConfig) -> None:
    model, path = trained(tiny), tmp_path / "m.float"
    save_float(model, path)
    first = path.read_bytes()
    back = load_float(path)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), back.state_dict().values(), strict=True))
    assert not back.training
    save_float(back, path)
    assert path.read_bytes() == first
    path.write_bytes(first[:-1])
    with pytest.raises(ModelFileError, match="not a whole model file"):
        load_float(path)


def test_bounds_are_reached(tiny: RaScaNetConfig) -> None:
    """The inputs that make the sums largest and smallest are possible ones, and nothing lies outside."""
    layer = random_int8_model(tiny, 3).layers["head0.conv1"]
    low, high = accumulator_bounds(tiny, layer)
    for sign, wanted in ((1, high), (-1, low)):
        x = 127 * np.sign(layer.weight.astype(int)) * sign
        assert ((layer.weight * x).sum((1, 2, 3)) + layer.bias + layer.half == wanted).all()
    assert isinstance(layer, Layer)


def test_reading_a_model_needs_no_torch() -> None:
    """The generator reads models; it must start without torch."""
    names = ("config", "int8_file", "tables", "random_model", "count")
    code = f"import sys; {'; '.join(f'import rasca_nn.{n}' for n in names)}; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
