"""Peak memory, weights and multiply-accumulates of other networks, counted from their layer tables.

Everything is one byte a value and 1 KB = 1000 bytes, as in :mod:`rasca_nn.count`. Memory is counted in four ways:

- layer by layer: the largest input + output of one layer (RaScaNet's supplement, eq. 1 and 2);
- split: an inverted residual block in t groups of expanded channels (supplement, eq. 3; arXiv 1801.04381, section 5.1):
  the block's input and output, and the expanded channels of one group before and after the depthwise convolution;
- split by channel: the same with groups of one channel, the least the trick can reach;
- in place: a depthwise convolution overwrites its input and needs one channel more (MCUNet, arXiv 2007.10319, fig. 7).

What a residual connection keeps meanwhile is not in eq. 1 and is not counted, except in a split block, which keeps its
input. Weights hold batch norms (two a channel) and the classifier's bias; multiply-accumulates hold neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any

from rasca_nn.count import Shape

SPLIT = 6
"""Groups of the split trick in the supplement."""


@dataclass(frozen=True)
class Layer:
    """One layer: shapes of its input and output, weights, multiply-accumulates.

    ``block`` numbers the inverted residual block the layer belongs to; ``held`` replaces input + output where a layer
    never holds them whole.
    """

    name: str
    inputs: Shape
    outputs: Shape
    weights: int
    macs: int
    depthwise: bool = False
    block: int | None = None
    held: int | None = None

    @property
    def memory(self) -> int:
        """Values held: input and output (supplement, eq. 1)."""
        return prod(self.inputs) + prod(self.outputs) if self.held is None else self.held

    @property
    def memory_in_place(self) -> int:
        """The same with the output of a depthwise convolution written over its input."""
        if not self.depthwise:
            return self.memory
        return max(prod(self.inputs) + prod(self.inputs[1:]), prod(self.outputs) + prod(self.outputs[1:]))


class Table:
    """A network's layers, written down one after another; each method adds what it says to the end."""

    def __init__(self, height: int, width: int, channels: int = 3) -> None:
        self.layers: list[Layer] = []
        self.shape: Shape = (channels, height, width)
        self._blocks = 0

    def conv(self, name: str, channels: int, kernel: int = 1, stride: int = 1, *, depthwise: bool = False) -> None:
        """A convolution with batch norm, padded so that stride alone shrinks the image (rounded up)."""
        before, height, width = self.shape
        after = (channels, -(-height // stride), -(-width // stride))
        matrix = kernel * kernel * channels * (1 if depthwise else before)
        macs = matrix * after[1] * after[2]
        self.layers.append(Layer(name, self.shape, after, matrix + 2 * channels, macs, depthwise))
        self.shape = after

    def block(self, channels: int, expanded: int, kernel: int = 3, stride: int = 1) -> None:
        """An inverted residual block: 1x1 expansion (none where it would change nothing), depthwise, 1x1 squeeze."""
        self._blocks += 1
        start, name = len(self.layers), f"block{self._blocks}"
        if expanded != self.shape[0]:
            self.conv(f"{name}.expand", expanded)
        self.conv(f"{name}.depthwise", expanded, kernel, stride, depthwise=True)
        self.conv(f"{name}.squeeze", channels)
        self.layers[start:] = [replace(layer, block=self._blocks) for layer in self.layers[start:]]

    def average(self) -> None:
        """The mean of each channel."""
        after = (self.shape[0], 1, 1)
        self.layers.append(Layer("average", self.shape, after, 0, 0))
        self.shape = after

    def linear(self, outputs: int) -> None:
        """A fully connected layer with bias."""
        inputs, after = self.shape[0], (outputs, 1, 1)
        self.layers.append(Layer("classifier", self.shape, after, inputs * outputs + outputs, inputs * outputs))
        self.shape = after

    def add(self, layer: Layer) -> None:
        """A layer of a kind of its own."""
        self.layers.append(layer)
        self.shape = layer.outputs


@dataclass(frozen=True)
class Printed:
    """A figure that a publication prints; ``count`` is the key of :meth:`Peer.to_dict` that counts the same, if any."""

    what: str
    figure: float
    unit: str
    where: str
    count: str | None = None


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A network to compare with.

    Parameters
    ----------
    name : how it is called here.
    source : where its layers are published.
    layers : its layers; none where they are not known.
    printed : what its authors or RaScaNet's print of it.
    notes : how the count and what is printed differ, and why.
    missing : facts that no public source used here gives.
    """

    name: str
    source: str
    layers: tuple[Layer, ...] = ()
    printed: tuple[Printed, ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def weights(self) -> int:
        """Bytes of all weights."""
        return sum(layer.weights for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of an image."""
        return sum(layer.macs for layer in self.layers)

    def peak(self) -> tuple[int, str]:
        """Largest memory of one layer, in bytes, and the layer."""
        return _largest((layer.memory, layer.name) for layer in self.layers)

    def peak_in_place(self) -> tuple[int, str]:
        """The same with depthwise convolutions in place."""
        return _largest((layer.memory_in_place, layer.name) for layer in self.layers)

    def peak_split(self, groups: int | None = SPLIT) -> tuple[int, str]:
        """The same with each block split into groups of channels where that needs less; None: a group a channel."""
        single = [(layer.memory, layer.name) for layer in self.layers if layer.block is None]
        blocks = {layer.block for layer in self.layers if layer.block is not None}
        return _largest([*single, *(self._split_block(block, groups) for block in sorted(blocks))])

    def _split_block(self, block: int, groups: int | None) -> tuple[int, str]:
        layers = [layer for layer in self.layers if layer.block == block]
        whole = max(layer.memory for layer in layers)
        depthwise = next(layer for layer in layers if layer.depthwise)
        channels = -(-depthwise.inputs[0] // groups) if groups else 1
        # Without an expansion the depthwise convolution reads the block's own input.
        expanded = prod(depthwise.inputs[1:]) if depthwise is not layers[0] else 0
        group = channels * (expanded + prod(depthwise.outputs[1:]))
        split = prod(layers[0].inputs) + prod(layers[-1].outputs) + group
        return min(whole, split), f"block{block}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values; the counts are None where no layers are known."""
        ways: dict[str, Callable[[], tuple[int, str]]] = {
            "peak": self.peak,
            "peak_split": self.peak_split,
            "peak_split_by_channel": lambda: self.peak_split(None),
            "peak_in_place": self.peak_in_place,
        }
        known = bool(self.layers)
        found = {name: way() if known else (None, None) for name, way in ways.items()}
        return {
            "source": self.source,
            "input": self.layers[0].inputs if known else None,
            "weights": self.weights if known else None,
            "macs": self.macs if known else None,
            **{name: size for name, (size, _) in found.items()},
            "at": {name: layer for name, (_, layer) in found.items()},
            "printed": [asdict(printed) for printed in self.printed],
            "notes": self.notes,
            "missing": self.missing,
            "layers": [
                {**asdict(layer), "memory": layer.memory, "memory_in_place": layer.memory_in_place}
                for layer in self.layers
            ],
        }


def _largest(memories: Iterable[tuple[int, str]]) -> tuple[int, str]:
    """The first of the largest."""
    return max(memories, key=lambda item: item[0])
