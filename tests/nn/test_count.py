"""The published counts, and counts against the built network."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rasca_nn.config import PRESETS, preset
from rasca_nn.count import count
from rasca_nn.model import RaScaNet


@pytest.mark.parametrize(
    ("name", "spatial", "kilobytes", "peak", "millions"),
    [
        ("released-210x240", "off", 47.03, 7.92, 56.34),
        ("released-210x240", "banded", 54.59, 7.92, 61.10),
        ("released-105x120", "off", 31.77, 3.60, 9.71),
        ("released-105x120", "banded", 36.38, 3.60, 10.38),
    ],
)
def test_published_figures(name: str, spatial: str, kilobytes: float, peak: float, millions: float) -> None:
    found = count(replace(preset(name), spatial_attention=spatial))
    # Published with two digits, cut or rounded.
    assert found.weights / 1000 == pytest.approx(kilobytes, abs=0.0051)
    assert found.peak / 1000 == pytest.approx(peak, abs=0.0051)
    assert found.ops / 1e6 == pytest.approx(millions, abs=0.0051)


def test_products_a_step() -> None:
    found = count(preset("released-210x240"))
    macs = {layer.name: layer.macs for layer in found.layers}
    assert found.macs == 42 * 1_316_040
    assert [macs[f"head0.conv{j}"] for j in (1, 2, 3, 4)] == [116_640, 71_280, 124_740, 79_380]
    assert (macs["attention.squeeze"], macs["attention.excite"]) == (23_760, 15_120)
    assert (macs["projection.0"], macs["projection.1"]) == (181_440, 103_680)
    assert macs["gru.reset"] == macs["gru.update"] == macs["gru.candidate"] == 69_120
    assert macs["classifier.hidden"] + macs["classifier.output"] == 600


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize(
    "change", [{}, {"spatial_attention": "full"}, {"channel_attention": False}, {"projection": "1x1"}, {"heads": 3}]
)
def test_weights_are_the_parameters_of_the_network(name: str, change: dict) -> None:
    config = replace(preset(name), **change)
    assert count(config).weights == sum(p.numel() for p in RaScaNet(config).parameters())


def test_layers_hold_shapes_and_pools() -> None:
    layers = {layer.name: layer for layer in count(preset("released-105x120")).layers}
    first, pool = layers["head1.conv3"], layers["head1.pool3"]
    assert (first.inputs, first.outputs, first.kernel) == ((9, 3, 30), (18, 1, 30), (3, 3))
    assert (pool.inputs, pool.outputs, pool.activations) == ((18, 1, 30), (18, 1, 15), 18 * 45)
    assert (pool.weights, pool.macs, pool.ops) == (0, 0, 0)
