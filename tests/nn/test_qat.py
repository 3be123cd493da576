"""Quantisation-aware training: what the integer model computes is trained, resumed, and written in those integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rasca_nn import integer
from rasca_nn.calibrate import batches, observe
from rasca_nn.config import RaScaNetConfig, preset
from rasca_nn.errors import RascaError
from rasca_nn.fake_quant import FakeQuantNet, rounded, through
from rasca_nn.float_file import load_float, load_scheme, save_float
from rasca_nn.fold import fold
from rasca_nn.int8_file import Int8Model
from rasca_nn.model import RaScaNet
from rasca_nn.options import Options, TrainError
from rasca_nn.qat import QatTrainer
from rasca_nn.quantize import quantize
from rasca_nn.scheme import choose_scheme
from rasca_nn.train import train
from rasca_nn.training_data import load_data

from .conftest import photo_bytes, trained

MODELS = Path(__file__).parents[2] / "models"
VARIANTS = [
    {},
    {"projection": "1x1", "attention_relu": False, "pool": "mean", "classifier_hidden": 0},
    {"channel_attention": False, "heads": 3, "classes": 3},
    {"spatial_attention": "full", "width": 96, "hidden": 8},
    {"spatial_attention": "banded", "width": 96, "hidden": 8},
]


def faked(model: RaScaNet, photos: np.ndarray) -> FakeQuantNet:
    return FakeQuantNet(model, choose_scheme(model.config, observe(model, photos), fold(model)))


def assert_same_bits(net: FakeQuantNet, photos: np.ndarray) -> None:
    """Every state and every logit after every step."""
    (images,) = batches(photos, len(photos))
    with torch.no_grad():
        states = net.scan(images)
        logits = net.classify(net.pool(states))
    scale = net.int8.scales["classifier.output"]
    traces = integer.run(net.int8, torch.from_numpy(photos))
    assert torch.equal(states.transpose(1, 2), torch.stack([t["gru.candidate"] for t in traces]).float())
    assert torch.equal(logits, torch.stack([t["classifier.output"] for t in traces]).float() * scale)


@pytest.mark.parametrize("change", VARIANTS, ids=str)
def test_it_computes_what_the_integer_model_computes(tiny: RaScaNetConfig, change: dict) -> None:
    config = replace(tiny, height=40, **change)
    net = faked(trained(config, 3), photo_bytes(config, 32))
    assert net.exact
    assert_same_bits(net, photo_bytes(config, 16, seed=9))
    noise = np.random.default_rng(0).integers(0, 256, (8, config.height, config.width, 3), dtype=np.uint8)
    assert_same_bits(net, noise)


@pytest.mark.parametrize("name", ["released-105x120", "banded-105x120", "paper-105x120"])
def test_the_weights_that_ship(name: str) -> None:
    model = load_float(MODELS / f"{name}.float")
    photos = photo_bytes(model.config, 3)
    net = faked(model, photos)
    assert net.exact
    assert_same_bits(net, photos)


def test_gradients_are_those_of_the_smooth_functions() -> None:
    z = torch.tensor([-1.0, 0.4, 0.5, 300.0], requires_grad=True)
    y = rounded(z, 0, 255)
    y.sum().backward()
    assert y.tolist() == [0, 0, 1, 255]
    assert z.grad is not None
    assert z.grad.tolist() == [0, 1, 1, 0]
    x = torch.tensor([0.3], requires_grad=True)
    through(x.sigmoid(), torch.tensor([7.0])).backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.tensor([0.3]).sigmoid() * (1 - torch.tensor([0.3]).sigmoid()))


@pytest.mark.parametrize("change", [{}, {"spatial_attention": "full", "projection": "1x1"}], ids=str)
def test_gradients_point_where_the_float_network_s_do(tiny: RaScaNetConfig, change: dict) -> None:
    config = replace(tiny, width=96, channels=(6, 8, 10, 12), hidden=12, attention=6, classifier_hidden=8, **change)
    model = trained(config, 3)
    photos = photo_bytes(config, 32)
    net = faked(model, photos)
    (images,) = batches(photos, 32)
    found = []
    for network in (model, net):
        model.zero_grad()
        torch.nn.functional.cross_entropy(network(images), torch.arange(32) % 2).backward()  # type: ignore[operator]
        found.append({k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None})
    exact, fake = found
    # The key convolution works through a flat softmax: its gradient is small and drowns in rounding.
    names = [k for k in exact if exact[k].dim() > 1 and "key" not in k]
    assert fake.keys() == exact.keys()
    for name in names:
        assert torch.cosine_similarity(exact[name].flatten(), fake[name].flatten(), 0) > 0.5, name
    whole = [torch.cat([grads[k].flatten() for k in names]) for grads in (exact, fake)]
    assert torch.cosine_similarity(*whole, 0) > 0.8


def start(folder: Path, model: RaScaNet | None, **changes: object) -> QatTrainer:
    options = Options(**{"epochs": 2, "draws": 32, "batch": 8, "qat": True, "learning_rate": 2e-3, **changes})  # type: ignore[arg-type]
    trainer = QatTrainer(preset("tiny"), options, load_data(folder, preset("tiny"), options, None))
    if model is not None:
        trainer.prepare(model, trainer.data.val.images)
    return trainer


def test_it_learns_and_resumes(folder: Path, tmp_path: Path, tiny: RaScaNetConfig) -> None:
    model = trained(tiny)
    whole = start(folder, model)
    before = whole.run_epoch(lambda loss, part: None)["class"]
    whole.save(tmp_path / "c.pt")
    after = whole.run_epoch(lambda loss, part: None)["class"]
    assert after < before
    second = start(folder, None)
    second.resume(tmp_path / "c.pt")
    second.run_epoch(lambda loss, part: None)
    assert all(torch.equal(second.average[key], value) for key, value in whole.average.items())
    assert second.scheme == whole.scheme
    means = {k: v for k, v in model.state_dict().items() if "running" in k}
    assert all(torch.equal(whole.average[k], v) for k, v in means.items())


def test_what_is_trained_is_what_quantize_gives(folder: Path, tmp_path: Path, tiny: RaScaNetConfig) -> None:
    save_float(trained(tiny), tmp_path / "init.float")
    options = Options(epochs=1, draws=16, batch=8, qat=True, learning_rate=1e-3)
    out = train(config=tiny, data=folder, out=tmp_path / "run", options=options, init=tmp_path / "init.float")
    scheme = load_scheme(out)
    assert scheme is not None
    photos = photo_bytes(tiny, 16)
    again, _ = quantize(load_float(out), photos, scheme=scheme)
    assert again.hash == Int8Model.load(out.with_suffix(".int8")).hash
    assert quantize(load_float(out), photos)[0].hash != again.hash
    assert load_scheme(tmp_path / "init.float") is None


def test_a_weight_that_has_outgrown_its_scale_is_clipped(tiny: RaScaNetConfig) -> None:
    model, photos = trained(tiny), photo_bytes(tiny, 16)
    scheme = choose_scheme(tiny, observe(model, photos), fold(model))
    with torch.no_grad():
        model.cell.conv_h.weight[0, 0] = 1e4
    found = FakeQuantNet(model, scheme)
    assert found.int8.layers["gru.candidate"].weight[0, 0] == 127
    assert_same_bits(found, photos)


def test_what_it_refuses(folder: Path, tmp_path: Path, tiny: RaScaNetConfig) -> None:
    with pytest.raises(TrainError, match="starts from a trained network; name it with --init"):
        train(config=tiny, data=folder, out=tmp_path / "run", options=Options(qat=True))
    with pytest.raises(TrainError, match="needs all weights of tiny: "):
        start(folder, RaScaNet(replace(tiny, projection="1x1")))
    model, photos = trained(tiny), photo_bytes(tiny, 8)
    scheme = choose_scheme(tiny, observe(model, photos), fold(model))
    save_float(model, tmp_path / "bad.float", replace(scheme, scales={"head0.conv1": 1.0}))
    with pytest.raises(RascaError, match=r"do not fit: .*has no scale"):
        quantize(model, photos, scheme=load_scheme(tmp_path / "bad.float"))
