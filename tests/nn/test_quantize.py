"""Folding, calibration and quantisation, import of released checkpoints, evaluation."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rasca_nn import integer
from rasca_nn.calibrate import batches, best_scale, squared_error
from rasca_nn.config import RaScaNetConfig, preset
from rasca_nn.errors import RascaError
from rasca_nn.evaluate import engine_for, evaluate, load_model
from rasca_nn.float_file import save_float
from rasca_nn.fold import FloatLayer, fold
from rasca_nn.importer import ImportFileError, import_checkpoint
from rasca_nn.int8_file import layer_shapes
from rasca_nn.model import RaScaNet
from rasca_nn.quantize import DISAGREEMENT_LIMIT, QuantizeError, quantize, quantize_layer
from rasca_nn.torch_file import TorchFileError

from .conftest import photo_bytes, pixels, trained

VARIANTS = [
    {},
    {"projection": "1x1"},
    {"pool": "mean"},
    {"classifier_hidden": 0},
    {"attention_relu": False},
    {"channel_attention": False},
    {"heads": 3, "classes": 3},
]


def wide(config: RaScaNetConfig) -> RaScaNetConfig:
    """The tiny network with more channels, so that rounding errors average out."""
    return replace(config, channels=(6, 8, 10, 12), hidden=12, attention=6, classifier_hidden=8)


def test_folded_heads_equal_the_network(tiny: RaScaNetConfig) -> None:
    model = trained(tiny)
    layers, x = fold(model), pixels(tiny, 2)
    assert {n: tuple(layer.weight.shape) for n, layer in layers.items()} == layer_shapes(tiny)
    group = x[:, :, :5].double()
    for j in range(1, 5):
        layer = layers[f"head0.conv{j}"]
        group = torch.nn.functional.conv2d(group, layer.weight, layer.bias, padding=(0, 1)).relu()
        group = torch.nn.functional.max_pool2d(group, (1, 2))
    with torch.inference_mode():
        wanted = model.features(x)[0][: tiny.channels[-1]]
    torch.testing.assert_close(group[:, :, 0].permute(1, 0, 2).float(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("change", VARIANTS, ids=str)
def test_integer_model_follows_the_float_one(tiny: RaScaNetConfig, change: dict) -> None:
    config = replace(wide(tiny), **change)
    model = trained(config, 3)
    photos = photo_bytes(config, 64)
    found, report = quantize(model, photos)
    assert report.photos == 64
    assert [layer.name for layer in report.layers] == list(layer_shapes(config))
    assert all(layer.weight_error < 0.05 for layer in report.layers)
    assert all(layer.error < 0.25 for layer in report.layers), report.layers
    assert report.probability_error < 0.05
    images = torch.from_numpy(photo_bytes(config, 32, seed=9))
    with torch.inference_mode():
        exact = torch.cat([model(batch) for batch in batches(images.numpy())])
    got = integer.logits(found, images) * found.scales["classifier.output"]
    assert (got - exact).abs().mean() < 0.25 * exact.std()


def test_quantisation_is_repeatable(tiny: RaScaNetConfig) -> None:
    model, photos = trained(tiny), photo_bytes(tiny, 16)
    assert quantize(model, photos)[0].hash == quantize(model, photos)[0].hash


def test_disagreement_is_warned_about(tiny: RaScaNetConfig) -> None:
    """A network that decides by less than rounding cannot be followed, and the report says so."""
    model, photos = trained(tiny), photo_bytes(tiny, 64)
    with torch.no_grad():
        output = model.classifier[-1]
        output.weight[1] = output.weight[0]
        output.weight[1, 0] += 1e-3 * output.weight[0].abs().max()
        output.bias.zero_()
        logits = torch.cat([model(batch) for batch in batches(photos)])
        # Half of the photos lie on either side.
        output.bias[1] -= (logits[:, 1] - logits[:, 0]).median()
    _, report = quantize(model, photos)
    assert report.disagreement > DISAGREEMENT_LIMIT
    assert "photos otherwise than float" in report.warning
    assert "\n" not in report.warning
    assert report.to_dict()["disagreement"] == report.disagreement


@pytest.mark.parametrize("mode", ["full", "banded"])
def test_spatial_attention_stays_near_float(tiny: RaScaNetConfig, mode: str) -> None:
    config = replace(tiny, width=96, channels=(4, 6, 8, 10), hidden=8, spatial_attention=mode)
    model, report = quantize(trained(config), photo_bytes(config, 32))
    errors = {layer.name: layer.error for layer in report.layers}
    assert all(errors[f"spatial{i}.{part}"] < 0.1 for i in range(config.heads) for part in ("key", "value"))
    assert report.probability_error < 0.03
    assert all(model.scales[f"spatial{i}.mix"] > 0 for i in range(config.heads))


@pytest.mark.parametrize("part", ["key", "value"])
def test_spatial_weights_that_fit_no_scale(tiny: RaScaNetConfig, part: str) -> None:
    net = trained(replace(tiny, spatial_attention="full"))
    with torch.no_grad():
        net.get_submodule(f"raster_att.spatial_attention_0.{part}_conv").weight.mul_(1e12)
    with pytest.raises(QuantizeError, match=f"spatial0.{part}: its weights need a unit of .*; the largest there is"):
        quantize(net, photo_bytes(net.config, 4))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), scale=st.floats(1, 1e3))
def test_layers_keep_at_least_six_bits_of_each_channel(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 1, (5, 3, 1, 3)) * rng.uniform(0.01, 1, (5, 1, 1, 1))
    weight[4] = 0
    s_in = rng.uniform(0.5, 2, 3)
    s_out = scale * float(np.abs(weight).max()) / 60
    layer = quantize_layer(FloatLayer("x", torch.tensor(weight), torch.ones(5)), s_in, s_out)
    units = weight * s_in[None, :, None, None] / s_out * 2.0 ** layer.shift[:, None, None, None].astype(float)
    assert np.abs(layer.weight - units).max() <= 0.5
    used = np.abs(layer.weight.astype(int)).max((1, 2, 3))
    assert all(63 <= u <= 127 or s == 15 for u, s in zip(used, layer.shift, strict=True))


def test_weights_that_do_not_fit() -> None:
    with pytest.raises(QuantizeError, match="big: a weight of 300"):
        quantize_layer(FloatLayer("big", torch.full((1, 1, 1, 1), 300.0), torch.zeros(1)), np.ones(1), 1.0)


def test_best_scale_is_the_best_of_its_candidates() -> None:
    values = np.random.default_rng(0).exponential(1, 20000)
    best = best_scale(values, 0, 255)
    assert squared_error(values, best, 0, 255) <= squared_error(values, values.max() / 255, 0, 255)
    assert best_scale(np.zeros(5), 0, 255) == 1.0
    assert best_scale(np.array([-256.0, 1.0]), -128, 127) <= 2.0


@pytest.fixture
def checkpoint(tmp_path: Path, tiny: RaScaNetConfig) -> tuple[Path, RaScaNet]:
    model, path = trained(tiny), tmp_path / "released.pth"
    torch.save({"state_dict": model.state_dict(), "optimizer": {"state": {}}, "epoch": 3}, path)
    return path, model


def test_import(checkpoint: tuple[Path, RaScaNet], tiny: RaScaNetConfig, tmp_path: Path) -> None:
    path, model = checkpoint
    images = pixels(tiny, 2)
    with torch.inference_mode():
        assert torch.equal(import_checkpoint(path, tiny)(images), model(images))
    wrapped = OrderedDict((f"module.{k}", v) for k, v in model.state_dict().items())
    torch.save({"state_dict": wrapped}, tmp_path / "wrapped.pth")
    notes: list[str] = []
    with torch.inference_mode():
        assert torch.equal(import_checkpoint(tmp_path / "wrapped.pth", tiny, note=notes.append)(images), model(images))
    assert "the prefix 'module.' of every key is left out" in notes[0]


def test_import_refuses(checkpoint: tuple[Path, RaScaNet], tiny: RaScaNetConfig, tmp_path: Path) -> None:
    path, model = checkpoint
    state = dict(model.state_dict())
    with pytest.raises(TorchFileError, match="no such file"):
        import_checkpoint(tmp_path / "none.pth", tiny)
    with pytest.raises(ImportFileError, match=r"does not fit released-105x120: .* is \(.*\) and should be \(.*\)"):
        import_checkpoint(path, preset("released-105x120"))
    banded = replace(tiny, spatial_attention="banded")
    with pytest.raises(ImportFileError, match=r"misses raster_att.spatial_attention_0.key_conv.weight, "):
        import_checkpoint(path, banded)
    torch.save({"state_dict": RaScaNet(banded).state_dict()}, path)
    with pytest.raises(ImportFileError, match=r"has unexpected .*trained with spatial attention"):
        import_checkpoint(path, tiny)
    for content, message in (
        ({"weights": state}, "holds no 'state_dict'"),
        ([1, 2], "holds no 'state_dict'"),
        ({"state_dict": {"a": 1}}, "entry 'a' is no tensor"),
        ({"state_dict": {}}, "misses out_classifier"),
        ({"state_dict": state | {"raster_cnn_0.conv_block1.bn.bias": torch.full((2,), torch.nan)}}, "not finite"),
    ):
        torch.save(content, path)
        with pytest.raises(ImportFileError, match=message):
            import_checkpoint(path, tiny)
    for raw in (b"", b"hello", b"PK\x03\x04broken"):
        path.write_bytes(raw)
        with pytest.raises(TorchFileError, match=r"not a torch\.save file of tensors alone"):
            import_checkpoint(path, tiny)


class Harm:
    """Unpickling it would run code."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("harmed"),))


def test_import_runs_nothing(tmp_path: Path, tiny: RaScaNetConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": Harm()}}, tmp_path / "evil.pth")
    with pytest.raises(TorchFileError, match=r"not a torch\.save file of tensors alone"):
        import_checkpoint(tmp_path / "evil.pth", tiny)
    assert not (tmp_path / "harmed").exists()


def test_evaluate(folder: Path, tmp_path: Path, tiny: RaScaNetConfig) -> None:
    model = trained(tiny)
    integers, _ = quantize(model, photo_bytes(tiny, 8))
    for kind, engine in ((model, "float"), (integers, "int8")):
        found = evaluate(kind, folder, engine=engine)
        assert (found["n"], set(found["groups"])) == (24, {"photos", "coco"})
        assert evaluate(kind, folder, engine=engine, limit=5)["n"] == 5
        assert evaluate(kind, folder, engine=engine, split=None, crops=True)["groups"]["crops"]["n"] == 4
    seen: list[tuple[int, int]] = []
    always = evaluate(
        model,
        folder,
        engine=lambda images: np.tile([0, 1], (len(images), 1)),
        progress=lambda *at: seen.append(at),
    )
    assert (always["tpr"], always["tnr"], always["balanced_accuracy"]) == (1.0, 0.0, 0.5)
    assert seen[-1] == (24, 24)
    save_float(model, tmp_path / "m.float")
    integers.save(tmp_path / "m.int8")
    assert isinstance(load_model(tmp_path / "m.float"), RaScaNet)
    assert load_model(tmp_path / "m.int8").config == tiny
    for call, message in (
        (lambda: load_model(tmp_path / "m.pth"), "a model file ends in .float or .int8"),
        (lambda: engine_for(model, "int8"), "engine int8 cannot run this model; quantise the network first"),
        (lambda: engine_for(integers, "float"), "give the .float file it was made from"),
        (lambda: engine_for(model, "gpu"), "engine must be float or int8 here, not 'gpu'"),
    ):
        with pytest.raises(RascaError, match=message):
            call()
