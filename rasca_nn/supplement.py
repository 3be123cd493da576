"""The tables and the figure of RaScaNet's supplement (CVPR 2021): what it prints, and the same counted here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import hypot

from rasca_nn.config import RaScaNetConfig, preset
from rasca_nn.count import LayerCount, Shape, count
from rasca_nn.peer_networks import mobilenet_v2
from rasca_nn.peers import Peer

PRINTED_PRESET = "paper-210x240"
"""The network of table 1."""

PAPER_WEIGHTS, PAPER_MACS = 47.6, 56.7
"""KB and M that the paper prints for the network of two heads (tables 1 and 3 of the paper itself)."""

ROWS = {
    "head0.conv1": ("CNN", "Conv2d-1", 7.92),
    "head0.pool1": ("CNN", "Pool-1", 6.48),
    "head0.conv2": ("CNN", "Conv2d-2", 6.12),
    "head0.pool2": ("CNN", "Pool-2", 5.94),
    "head0.conv3": ("CNN", "Conv2d-3", 3.24),
    "head0.pool3": ("CNN", "Pool-3", 1.89),
    "head0.conv4": ("CNN", "Conv2d-4", 1.89),
    "head0.pool4": ("CNN", "Pool-4", 1.89),
    "spatial0.key": ("Spatial Attention", "Key-Conv1d", 1.35),
    "spatial0.value": ("Spatial Attention", "Value-Conv1d", 1.26),
    "attention.squeeze": ("Channel Attention", "Squeeze-Conv1d", 1.53),
    "attention.excite": ("Channel Attention", "Excite-Conv1d", 0.81),
    "projection.0": ("Channel Attention", "Projection-Conv1d", 1.35),
    "projection.1": ("Channel Attention", "Projection-Conv1d-2", None),
    "gru.reset": ("RNN", "Reset-Conv1d", 2.16),
    "gru.update": ("RNN", "Update-Conv1d", 2.16),
    "gru.candidate": ("RNN", "Candidate-Conv1d", 2.16),
}
"""Layer here -> module and layer as table 1 names them, and the memory it prints (KB); the released networks have a
second projection, which table 1 has not."""


@dataclass(frozen=True)
class TableRow:
    """A row of table 1: shapes, memory of a network of one head (KB), the figure printed, and memory with all heads."""

    module: str
    layer: str
    weight: str
    inputs: Shape
    outputs: Shape
    one_head: float
    printed: float | None
    all_heads: float


def table1(config: RaScaNetConfig) -> list[TableRow]:
    """Supplement, table 1, of any configuration.

    The table printed counts one head, although the network has two: its channel attention reads 42 + 48 channels, not
    2 x 42 + 48. So each row is counted both ways. It leaves out the classifier, biases and batch norms.
    """
    single = {layer.name: layer for layer in count(replace(config, heads=1)).layers}
    every = {layer.name: layer for layer in count(config).layers}
    names = [name for name in ROWS if name in single]
    return [_row(single[name], every[name], printed=config.name == PRINTED_PRESET) for name in names]


def _row(layer: LayerCount, every: LayerCount, *, printed: bool) -> TableRow:
    module, name, memory = ROWS[layer.name]
    pair = f"{layer.inputs[0]} x {layer.outputs[0]}"
    # Pools have no weights; 1x1 convolutions are printed without their size.
    height, width = layer.kernel
    weight = {(0, 0): "-", (1, 1): pair}.get(layer.kernel, f"{pair} x {height} x {width}")
    return TableRow(
        module,
        name,
        weight,
        layer.inputs,
        layer.outputs,
        layer.activations / 1000,
        memory if printed else None,
        every.activations / 1000,
    )


@dataclass(frozen=True)
class BlockRow:
    """A row of table 2: memory in KB, counted and printed."""

    layer: str
    inputs: Shape
    outputs: Shape
    memory: float
    printed: float


def table2() -> list[BlockRow]:
    """Supplement, table 2: the second inverted residual block of MobileNetV2 0.35, 224x224, layer by layer."""
    names = {"expand": 702.46, "depthwise": 752.64, "squeeze": 175.62}
    layers = {layer.name: layer for layer in mobilenet_v2(224, 224)}
    block = [(layers[f"block2.{name}"], printed) for name, printed in names.items()]
    return [BlockRow(layer.name, layer.inputs, layer.outputs, layer.memory / 1000, printed) for layer, printed in block]


SIZES = ((120, 160), (180, 240), (240, 320), (300, 400), (360, 480), (420, 560), (480, 640))
"""Heights and widths of figure 1 here; which ones the supplement drew, it does not say."""
PRINTED_SIZES = {(240, 320): (10.6, 1152.0), (480, 640): (21.1, 4608.0)}
"""Height and width -> KB printed for RaScaNet and for MobileNetV2 0.35 layer by layer (supplement, 1.3)."""


@dataclass(frozen=True)
class SizePoint:
    """Peak memory (KB) at an input size, counted and, where the supplement says it, printed; ``diagonal`` in pixels."""

    height: int
    width: int
    diagonal: float
    rascanet: float
    mobilenet: float
    mobilenet_split: float
    rascanet_printed: float | None
    mobilenet_printed: float | None


def figure1() -> list[SizePoint]:
    """Supplement, figure 1: memory of RaScaNet and of MobileNetV2 0.35 without and with the split trick, by input size.

    RaScaNet's channels stay those of 210x240. The first convolution of MobileNetV2 has 8 channels, as the supplement's
    250 KB need.
    """
    found = []
    for height, width in SIZES:
        rascanet = count(replace(preset(PRINTED_PRESET), height=height, width=width)).peak
        mobilenet = Peer(name="", source="", layers=mobilenet_v2(height, width, stem=8))
        peaks = [value / 1000 for value in (rascanet, mobilenet.peak()[0], mobilenet.peak_split()[0])]
        printed = PRINTED_SIZES.get((height, width), (None, None))
        found.append(SizePoint(height, width, hypot(height, width), *peaks, *printed))
    return found
