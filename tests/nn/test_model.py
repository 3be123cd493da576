"""The float network: released names and shapes, and its fast layout against the equations written plainly."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from rasca_nn.config import PRESETS, RaScaNetConfig, preset
from rasca_nn.model import RaScaNet

from .conftest import pixels, trained

VARIANTS = {
    "released": {},
    "full": {"spatial_attention": "full"},
    "banded": {"spatial_attention": "banded"},
    "no attention": {"channel_attention": False},
    "no relu": {"attention_relu": False},
    "1x1": {"projection": "1x1"},
    "mean": {"pool": "mean"},
    "plain classifier": {"classifier_hidden": 0},
    "three heads": {"heads": 3},
    "one head": {"heads": 1},
    "other rows": {"rows": 7, "kernel_heights": (3, 3, 3, 1), "height": 24},
}


def released_keys(config: RaScaNetConfig) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of the released format, written out."""

    def norm(name: str, n: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.{k}": (n,) for k in ("weight", "bias", "running_mean", "running_var")} | {
            f"{name}.num_batches_tracked": ()
        }

    keys: dict[str, tuple[int, ...]] = {}
    channels = (3, *config.channels)
    for i in range(config.heads):
        for j in range(4):
            block = f"raster_cnn_{i}.conv_block{j + 1}"
            keys[f"{block}.conv.weight"] = (channels[j + 1], channels[j], config.kernel_heights[j], 3)
            keys |= norm(f"{block}.bn", channels[j + 1])
    d, cm, a = config.hidden, config.features, config.attention
    prj = "raster_att.channel_prj"
    keys |= {f"{prj}.channel_att.0.weight": (a, cm + d, 1), f"{prj}.channel_att.0.bias": (a,)}
    keys |= {f"{prj}.channel_att.2.weight": (cm, a, 1), f"{prj}.channel_att.2.bias": (cm,)}
    keys |= {f"{prj}.projection.0.weight": (d, cm, 3), f"{prj}.projection.3.weight": (d, d, 3)}
    keys |= norm(f"{prj}.projection.1", d) | norm(f"{prj}.projection.4", d)
    for conv in ("reset", "update", "h"):
        keys |= {
            f"raster_rnn.gru.cell.conv_{conv}.weight": (d, 2 * d, 1),
            f"raster_rnn.gru.cell.conv_{conv}.bias": (d,),
        }
    keys |= {"raster_confidence.out_classifier.1.weight": (1, d), "raster_confidence.out_classifier.1.bias": (1,)}
    last, hidden = "out_classifier.out_classifier", config.classifier_hidden
    keys |= {f"{last}.0.weight": (hidden, d), f"{last}.0.bias": (hidden,)} | norm(f"{last}.1", hidden)
    return keys | {f"{last}.3.weight": (2, hidden), f"{last}.3.bias": (2,)}


@pytest.mark.parametrize("name", ["released-210x240", "released-105x120"])
def test_names_and_shapes_are_the_released_ones(name: str) -> None:
    config = preset(name)
    state = RaScaNet(config).state_dict()
    assert {k: tuple(v.shape) for k, v in state.items()} == released_keys(config)


@pytest.mark.parametrize("mode", ["full", "banded"])
def test_spatial_attention_adds_two_weights_a_head(mode: str) -> None:
    config = replace(preset("released-210x240"), spatial_attention=mode)
    added = RaScaNet(config).state_dict().keys() - released_keys(config).keys()
    assert added == {
        f"raster_att.spatial_attention_{i}.{conv}.weight" for i in (0, 1) for conv in ("key_conv", "value_conv")
    }


def plain_forward(model: RaScaNet, image: torch.Tensor) -> torch.Tensor:
    """Logits of one image after every step, ``[T, classes]``: the paper's equations, one image, plain layers."""
    config = model.config
    hidden = torch.zeros(1, config.hidden, config.columns)
    prj, cell, found = model.raster_att.channel_prj, model.cell, []
    for t in range(config.steps):
        group = image[None, :, config.rows * t : config.rows * (t + 1)]
        heads = []
        for i in range(config.heads):
            x = group
            for j in range(1, 5):
                block = model.get_submodule(f"raster_cnn_{i}.conv_block{j}")
                x = F.max_pool2d(F.relu(block.bn(block.conv(x))), (1, 2))
            p = x[:, :, 0]
            if config.spatial_attention != "off":
                attend = model.get_submodule(f"raster_att.spatial_attention_{i}")
                s = hidden[0].T @ attend.key_conv(p)[0]
                if config.spatial_attention == "banded":
                    s = s / config.hidden**0.5
                    for r in range(len(s)):
                        for c in range(len(s)):
                            if abs(r - c) > 2:
                                s[r, c] = 0
                p = p + attend.value_conv(p) @ s.softmax(-1)
            heads.append(p)
        c = torch.cat(heads, 1)
        if config.channel_attention:
            c = c * prj.channel_att(torch.cat([c, hidden], 1)).sigmoid()
        f = prj.projection(c)
        fh = torch.cat([f, hidden], 1)
        r, u = cell.conv_reset(fh).sigmoid(), cell.conv_update(fh).sigmoid()
        new = cell.conv_h(torch.cat([f, hidden * r], 1)).tanh()
        hidden = (1 - u) * new + u * hidden
        pooled = hidden.mean(2) + (hidden.amax(2) if config.pool == "mean+max" else 0)
        found.append(model.classifier(pooled))
    return torch.cat(found)


@pytest.mark.parametrize("change", VARIANTS.values(), ids=VARIANTS.keys())
def test_equals_the_equations_written_plainly(tiny: RaScaNetConfig, change: dict) -> None:
    config = replace(tiny, **change)
    model = trained(config)
    images = pixels(config, 3)
    with torch.inference_mode():
        steps = model.steps(images)
        plain = torch.stack([plain_forward(model, image) for image in images])
        torch.testing.assert_close(steps.logits, plain, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model(images), steps.logits[:, -1])
    assert steps.confidences.shape == (3, config.steps)
    assert ((steps.confidences > 0) & (steps.confidences < 1)).all()


def test_rows_left_over_are_not_read(tiny: RaScaNetConfig) -> None:
    config = replace(tiny, height=23)
    model, images = trained(config), pixels(config, 2)
    other = images.clone()
    other[:, :, 20:] = 50
    with torch.inference_mode():
        assert torch.equal(model(images), model(other))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_learns_through_every_parameter(name: str) -> None:
    config = replace(preset(name), height=20, width=32)
    model = RaScaNet(config)
    steps = model.steps(pixels(config, 4))
    (steps.logits[:, -1].square().sum() + steps.confidences.sum()).backward()
    assert not [key for key, p in model.named_parameters() if p.grad is None]
