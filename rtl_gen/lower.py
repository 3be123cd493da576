"""From the integer model to an engine's layers: regions of memory, weights in the order of the taps, biases.

Stored form: an unsigned tensor (u8) is kept as q - 128, so that the arrays multiply signed bytes only. What that
takes from a sum, 128 * (the weights on unsigned inputs), is added to the bias here; outside the image the arrays read
the stored zero,
-128, so that the correction is the same for every column. Exact, and the sums need no more bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rasca_hw.program import Mode, Weights
from rasca_nn.config import CONVS, RaScaNetConfig
from rasca_nn.int8_file import Int8Model, Layer, accumulator_bounds, input_ranges
from rtl_gen.places import Places, Region, joint, two_projections

TABLES = ("sigmoid", "tanh", "hardswish")


@dataclass(frozen=True, kw_only=True)
class Op:
    """One layer as an engine sees it.

    `layers` holds an integer layer for each lockstep group, none for the layer that clears the state and for products
    of two activations, which take their `weights` from elsewhere (`lanes`: the first word of the operand memory they
    are in) and have one `shift` and `bias`. `order` are the parts of its input channels in the order of `source`;
    `first` is the first output channel, where a layer is cut into several. `traces` names the integer model's tensors
    that the written words must equal, from channel `traced` on, for each group.
    """

    name: str
    layers: tuple[Layer | None, ...]
    order: tuple[slice, ...] = (slice(None),)
    source: Region
    dest: Region | None
    out_channels: int
    width: int
    first: int = 0
    weights: Weights = Weights.ROM
    lanes: int = 0
    shift: int = 0
    bias: int = 0
    residual: int = 0
    fraction: int = 0
    kernel_height: int = 1
    out_rows: int = 1
    wide: bool = False
    pad_low: bool = False
    lines: bool = False
    frees: bool = False
    pool: bool = False
    relu: bool = False
    table: str | None = None
    mode: Mode = Mode.PLAIN
    unsigned: bool = False
    operand: Region | None = None
    operand_unsigned: bool = False
    state: Region | None = None
    to: frozenset[str] = frozenset({"memory"})
    waits: frozenset[str] = frozenset()
    traces: tuple[str, ...] = ()
    traced: int = 0

    @property
    def products(self) -> bool:
        """Whether it computes something of the network."""
        return any(self.layers) or self.weights != Weights.ROM

    @property
    def taps(self) -> int:
        """Words read for a pass, less the neighbours of wide kernels."""
        return self.kernel_height * self.source.channels


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """An engine's layers and memory."""

    ops: tuple[Op, ...]
    loop: int
    depth: int
    operand_base: int = 0
    operand_depth: int = 0
    gate_depth: int = 0
    features: Region | None = None
    spatial_base: int = 0

    @property
    def state_words(self) -> int:
        """Words of the operand memory that mirror the state: its first ones."""
        return self.gate_depth

    @property
    def feature_words(self) -> int:
        """Words of the operand memory that mirror the features: those behind the state's. Where one engine runs all,
        the update gate may lie in their place: all products with the features are over when it is written, and it has
        been used when the next ones come.
        """
        return self.operand_depth - self.gate_depth


def hardware_biases(config: RaScaNetConfig, layer: Layer) -> NDArray[np.int64]:
    """Bias, rounding constant and the correction for inputs stored as q - 128; int64 [out]."""
    low, _ = input_ranges(config, layer.name)
    unsigned = low == 0
    correction = 128 * (layer.weight.astype(np.int64) * unsigned[None, :, None, None]).sum((1, 2, 3))
    return layer.bias.astype(np.int64) + layer.half + correction


def bound_bits(config: RaScaNetConfig, layer: Layer) -> int:
    """Bits of a signed number that holds every possible sum with bias."""
    low, high = accumulator_bounds(config, layer)
    return max(int(high.max()).bit_length(), int(-low.min() - 1).bit_length()) + 1


def tap_weights(layer: Layer, order: tuple[slice, ...], rows: int) -> list[int]:
    """Weight words in the order of the taps: for each channel group, kernel row, input channel and kernel column."""
    weight = np.concatenate([layer.weight[:, part] for part in order], axis=1)
    out, channels, height, width = weight.shape
    groups = -(-out // rows)
    padded = np.zeros((groups * rows, channels, height, width), np.int64)
    padded[:out] = weight
    # [group, row, channel, ky, kx] -> [group, ky, channel, kx, row]
    words = padded.reshape(groups, rows, channels, height, width).transpose(0, 3, 2, 4, 1).astype(np.uint8).tobytes()
    return [int.from_bytes(words[i : i + rows], "little") for i in range(0, len(words), rows)]


def head_ops(
    model: Int8Model, columns: int, heads: list[int], pools: list[Region], features: Region, *, sends: bool, frees: bool
) -> list[Op]:
    """The four convolutions of the given heads in lockstep, with the results of the first three in `pools`."""
    config = model.config
    channels = (3, *config.channels)
    words = features.words
    dest = Region(features.base + heads[0] * channels[-1] * words, channels[-1], features.width, words)
    regions = [Region(0, 3, config.width, -(-config.width // columns), config.rows), *pools, dest]
    ops: list[Op] = []
    for j in range(CONVS):
        ops.append(
            Op(
                name=f"conv{j + 1}" if len(heads) > 1 or config.heads == 1 else f"head{heads[0]}.conv{j + 1}",
                layers=tuple(model.layers[f"head{i}.conv{j + 1}"] for i in heads),
                source=regions[j],
                dest=regions[j + 1],
                out_channels=channels[j + 1],
                width=config.widths[j],
                kernel_height=config.kernel_heights[j],
                out_rows=config.heights[j + 1],
                wide=True,
                pad_low=j > 0,
                lines=j == 0,
                frees=j == 0 and frees,
                pool=True,
                relu=True,
                unsigned=True,
                to=frozenset({"memory"} if j < CONVS - 1 else {"features"} if sends else {"memory", "operand"}),
                waits=frozenset({"credit"} if j == CONVS - 1 and sends else ()),
                traces=tuple(f"head{i}.pool{j + 1}" for i in heads),
            )
        )
    return ops


def restore_op(config: RaScaNetConfig, places: Places, lent: Region) -> Op:
    """Writes features again whose place was lent, from their mirror: x * up(255) / 256, without weights."""
    return Op(
        name="features.restore",
        layers=(None,),
        source=replace(places.state, channels=1),
        dest=lent,
        out_channels=lent.channels,
        width=lent.width,
        bias=255,
        relu=True,
        mode=Mode.GATE,
        unsigned=True,
        operand=lent,
        operand_unsigned=True,
        traces=(f"head{config.heads - 2}.pool{CONVS}",),
        traced=config.channels[-1] - lent.channels,
    )


def back_mapping(model: Int8Model, places: Places, columns: int, *, receives: bool) -> Mapping:
    """Attention, projection, ConvGRU and classifier."""
    config = model.config
    d, n = config.hidden, config.columns
    attended = bool(model.spatial)
    state, features = places.state, places.features

    def op(name: str, layer: Layer | None, source: Region, dest: Region | None, **fields: Any) -> Op:
        defaults = {"width": n, "out_channels": len(layer.bias) if layer else d, "traces": (name,)}
        return Op(name=name, layers=(layer,), source=source, dest=dest, **{**defaults, **fields})

    layers = model.layers
    anything = Region(places.reset_state.base, 1, n, state.words)
    ops = [op("state.clear", None, anything, state, to=frozenset({"memory", "operand"}), traces=())]
    takes = frozenset({"features"} if receives else ())
    for i in range(len(model.spatial)):
        ops += _spatial_ops(model, i, columns, places, takes)
        takes = frozenset()
    if config.channel_attention:
        both, order = joint(features, state)
        relu = config.attention_relu
        ops += [
            op(
                "attention.squeeze",
                layers["attention.squeeze"],
                both,
                places.squeezed,
                order=order,
                relu=relu,
                unsigned=relu,
                waits=takes,
            ),
            op(
                "attention.scaled",
                layers["attention.excite"],
                places.squeezed,
                features,
                table="sigmoid",
                mode=Mode.GATE,
                operand=features,
                operand_unsigned=not attended,
                unsigned=not attended,
            ),
        ]
        takes = frozenset()
    gives = frozenset({"given"} if receives else ())
    wide = two_projections(config)
    ops.append(
        op(
            "projection.0",
            layers["projection.0"],
            features,
            places.between if wide else places.projected,
            wide=wide,
            pad_low=not attended,
            relu=wide,
            unsigned=wide,
            waits=takes | gives,
        )
    )
    if wide:
        ops.append(
            op(
                "projection.1",
                layers["projection.1"],
                places.between,
                places.projected,
                wide=True,
                pad_low=True,
                relu=True,
                unsigned=True,
            )
        )
    gates, gates_order = joint(places.projected, state)
    sources, sources_order = joint(places.projected, places.reset_state)
    gated = {"table": "sigmoid", "order": gates_order}
    ops += [
        op("gru.reset", layers["gru.reset"], gates, places.reset_state, mode=Mode.GATE, operand=state, **gated),
        op("gru.update", layers["gru.update"], gates, state, to=frozenset({"gate"}), **gated),
        op(
            "gru.candidate",
            layers["gru.candidate"],
            sources,
            state,
            order=sources_order,
            table="tanh",
            mode=Mode.BLEND,
            operand=state,
            state=places.pooled,
            to=frozenset({"memory", "operand", "state"}),
        ),
    ]
    last = places.pooled
    if config.classifier_hidden:
        ops.append(
            op("classifier.hidden", layers["classifier.hidden"], last, places.hidden, width=1, table="hardswish")
        )
        last = places.hidden
    ops.append(
        op(
            "classifier.output",
            layers["classifier.output"],
            last,
            None,
            width=1,
            mode=Mode.LOGITS,
            to=frozenset(),
            traces=(),
        )
    )
    return Mapping(
        ops=tuple(ops),
        loop=1,
        depth=places.end,
        operand_base=state.base,
        operand_depth=state.size + features.size,
        gate_depth=state.size,
        features=features,
        spatial_base=places.weights.base,
    )


def _spatial_ops(
    model: Int8Model,
    head: int,
    columns: int,
    places: Places,
    takes: frozenset[str],
) -> list[Op]:
    """P + V softmax(H^T K) of a head, in place of P. Score rows are cut at the words of H, whose lanes they are."""
    config, shifts = model.config, model.spatial[head]
    c, n, name = config.channels[-1], config.columns, f"spatial{head}"
    features, keys, weights = places.features, places.keys, places.weights
    p = Region(features.base + head * c * features.words, c, n, features.words)
    key, value = model.layers[f"{name}.key"], model.layers[f"{name}.value"]
    ops = [
        Op(
            name=f"{name}.key",
            layers=(key,),
            source=p,
            dest=keys,
            out_channels=config.hidden,
            width=n,
            waits=takes,
            traces=(key.name,),
        )
    ]
    for word, first in enumerate(range(0, n, columns)):
        rows = min(columns, n - first)
        ops.append(
            Op(
                name=f"{name}.scores" + (f".{word}" if n > columns else ""),
                layers=(None,),
                source=keys,
                dest=Region(weights.base + first * weights.words, rows, n, weights.words),
                out_channels=rows,
                first=first,
                width=n,
                weights=Weights.LANES,
                lanes=places.state.base + word,
                shift=product_shift(config, shifts.scores),
                fraction=shifts.weights,
                to=frozenset({"softmax"}),
                traces=(f"{name}.weights",),
            )
        )
    ops += [
        Op(
            name=f"{name}.value",
            layers=(value,),
            source=p,
            dest=p,
            out_channels=c,
            width=n,
            to=frozenset({"scratch"}),
            traces=(value.name,),
        ),
        Op(
            name=f"{name}.mix",
            layers=(None,),
            source=weights,
            dest=p,
            out_channels=c,
            width=n,
            weights=Weights.SCRATCH,
            shift=product_shift(config, shifts.mix),
            mode=Mode.RESIDUAL,
            residual=shifts.residual,
            operand=p,
            operand_unsigned=True,
            to=frozenset({"memory", "operand"}),
            traces=(f"{name}.mix",),
        ),
    ]
    return ops


def product_bound(config: RaScaNetConfig) -> int:
    """The largest sum of products of two activations, in magnitude."""
    return max(config.hidden * 128 * 128, config.columns * 128 * 127)


def product_bits(config: RaScaNetConfig) -> int:
    """Bits of a signed number that holds such a sum with the rounding constant of :func:`product_shift`."""
    return product_bound(config).bit_length() + 2


def product_shift(config: RaScaNetConfig, shift: int) -> int:
    """The shift as the hardware makes it: from some shift on all sums come out as 0, and more would need more bits."""
    return min(shift, product_bound(config).bit_length() + 1)
