"""Other networks: the counts against what is printed of them, and the ways of counting on small cases."""

from __future__ import annotations

import pytest

from rasca_nn.peer_networks import mobilenet_v2, peers
from rasca_nn.peers import Peer, Table

PEERS = {peer.name: peer for peer in peers()}


def _peer(table: Table) -> Peer:
    return Peer(name="", source="", layers=tuple(table.layers))


def test_convolution_and_linear() -> None:
    table = Table(5, 8)
    table.conv("a", 4, 3, 2)
    table.conv("b", 4, 3, depthwise=True)
    table.average()
    table.linear(2)
    first, second, mean, last = table.layers
    assert (first.outputs, first.weights, first.macs, first.memory) == ((4, 3, 4), 108 + 8, 108 * 12, 120 + 48)
    assert (second.weights, second.macs, second.memory) == (36 + 8, 36 * 12, 48 + 48)
    assert second.memory_in_place == 48 + 12
    assert (mean.weights, mean.macs, mean.memory) == (0, 0, 48 + 4)
    assert (last.weights, last.macs, last.memory) == (10, 8, 6)


def test_ways_of_counting_a_block() -> None:
    table = Table(4, 4, channels=2)
    table.block(3, 12, stride=2)
    peer = _peer(table)
    assert [layer.name for layer in peer.layers] == ["block1.expand", "block1.depthwise", "block1.squeeze"]
    assert peer.peak() == (12 * 16 + 12 * 4, "block1.depthwise")
    assert peer.peak_in_place() == (2 * 16 + 12 * 16, "block1.expand")
    # Input, output, and two or one of the twelve channels before and after the depthwise convolution.
    assert peer.peak_split(6) == (2 * 16 + 3 * 4 + 2 * (16 + 4), "block1")
    assert peer.peak_split(None) == (2 * 16 + 3 * 4 + 16 + 4, "block1")
    # One group is no split.
    assert peer.peak_split(1) == (12 * 16 + 12 * 4, "block1")


def test_block_without_expansion() -> None:
    table = Table(4, 4, channels=2)
    table.block(1, 2)
    assert [layer.name for layer in table.layers] == ["block1.depthwise", "block1.squeeze"]
    assert _peer(table).peak_split(2) == (2 * 16 + 16 + 16, "block1")


def test_mobilenet_of_the_supplement() -> None:
    peer = PEERS["MobileNetV2 0.35"]
    assert peer.peak() == (752_640, "block2.depthwise")
    # Printed as 250 KB, from the first convolution.
    assert peer.peak_split() == (250_880, "conv1")
    published = PEERS["MobileNetV2 0.35, first conv 16"]
    assert published.peak() == (752_640, "block2.depthwise")
    assert published.peak_split() == (351_232, "conv1")


def test_channels_follow_the_width() -> None:
    layers = {layer.name: layer.outputs for layer in mobilenet_v2(224, 224)}
    squeezed = [layers[f"block{i}.squeeze"] for i in (1, 2, 4, 7, 11, 14, 17)]
    assert layers["conv1"] == (16, 112, 112)
    assert squeezed == [(8, 112, 112), (8, 56, 56), (16, 28, 28), (24, 14, 14), (32, 14, 14), (56, 7, 7), (112, 7, 7)]
    assert layers["conv_last"] == (1280, 7, 7)


@pytest.mark.parametrize(
    ("name", "macs", "parameters"),
    [
        ("MobileNetV2 0.35, first conv 16", 59, 1.66),
        ("MobileNetV2 1.0, ImageNet", 300, 3.47),
        ("mcunet-10fps, ImageNet", 6.4, 0.75),
        ("mcunet-5fps, ImageNet", 12.8, 0.64),
        ("mcunet-320kB, ImageNet", 81.8, 0.74),
    ],
)
def test_layer_tables_give_the_printed_totals(name: str, macs: float, parameters: float) -> None:
    peer = PEERS[name]
    assert peer.macs / 1e6 == pytest.approx(macs, abs=1 if macs > 50 else 0.05)
    # MobileNetV2's figure leaves out the batch norms, two a channel of each convolution.
    norms = sum(2 * layer.outputs[0] for layer in peer.layers if layer.macs and layer.name != "classifier")
    without = norms if name.startswith("MobileNet") else 0
    assert (peer.weights - without) / 1e6 == pytest.approx(parameters, abs=0.005)


def test_rnnpool() -> None:
    whole, patches = PEERS["RNNPool, whole layers"], PEERS["RNNPool, patch by patch"]
    layers = {layer.name: layer for layer in whole.layers}
    # Two FastGRNN cells of 8 inputs and 8 hidden values; 27 x 27 patches of 6 x 6.
    assert layers["rnnpool"].weights == 2 * (64 + 64 + 8 + 8 + 2)
    assert layers["rnnpool"].outputs == (32, 27, 27)
    assert layers["rnnpool"].macs == 27 * 27 * 128 * (72 + 24)
    assert layers["block1.expand"].inputs == (32, 28, 28)
    assert whole.weights == patches.weights
    assert whole.peak() == (250_880, "conv1")
    # 4.2 times RaScaNet's 7.92 KB are 33.3 KB.
    assert patches.peak_split(None) == (30_772, "block1")
    first = patches.layers[0]
    assert first.memory == 3 * 13 * 13 + 8 * 6 * 6 + 32 * 27 * 27


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_every_peer_is_sourced_and_whole(peer: Peer) -> None:
    about = peer.to_dict()
    assert peer.source
    assert peer.layers or peer.missing
    assert (about["peak"] is None) == (not peer.layers)
    for printed in peer.printed:
        assert printed.where
        assert printed.count is None or about[printed.count] is not None
    for before, after in zip(peer.layers, peer.layers[1:], strict=False):
        # RNNPool repeats one row and column.
        assert before.outputs == after.inputs or before.name.endswith("rnnpool")
    if peer.layers:
        assert about["peak_split_by_channel"] <= about["peak_split"] <= about["peak"]
        assert about["peak_in_place"] <= about["peak"]
