"""What the ablations compare: the paper's tables 1 to 3 as changes of one network and of its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from rasca_nn.config import LIMITS, RaScaNetConfig
from rasca_nn.count import count

HEADS = (1, 2, 3)


@dataclass(frozen=True)
class Variant:
    """A network and what is changed in its training; ``name`` names its folders."""

    name: str
    config: RaScaNetConfig
    options: Mapping[str, Any] = field(default_factory=dict)


class Table(NamedTuple):
    """A table of the paper: its heading and, for each line, what it says and the variant."""

    heading: str
    lines: tuple[tuple[str, str], ...]


def with_heads(base: RaScaNetConfig, heads: int) -> RaScaNetConfig:
    """``base`` with another number of heads and its channels scaled, so that the multiply-accumulates stay nearest."""
    most = LIMITS["channels"][1]
    found: dict[tuple[int, ...], RaScaNetConfig] = {}
    for factor in np.geomspace(0.3, 3, 231):
        scaled = [min(most, max(1, round(factor * c))) for c in base.channels]
        channels = (scaled[0], scaled[1], scaled[2], scaled[3])
        found[channels] = replace(base, name=f"{base.name}-heads-{heads}", heads=heads, channels=channels)
    wanted = count(base).macs
    return min(found.values(), key=lambda config: abs(count(config).macs - wanted))


def variants(base: RaScaNetConfig) -> tuple[list[Variant], list[Table]]:
    """Every network to train once, and the tables they make; ``base`` itself is in all of them."""
    made = [Variant("base", base, {"confidence": "proposed"})]
    heads = {n: "base" if n == base.heads else f"heads-{n}" for n in HEADS}
    made += [Variant(name, with_heads(base, n)) for n, name in heads.items() if name != "base"]
    for kind in ("none", "trivial"):
        made.append(Variant(f"confidence-{kind}", base, {"confidence": kind}))
    attention = [("without attention", "attention-off")]
    off = replace(base, name=f"{base.name}-attention-off", channel_attention=False, spatial_attention="off")
    made.append(Variant("attention-off", off))
    if base.spatial_attention == "off":
        attention += [("channel attention", "base"), ("channel and spatial attention", "attention-full")]
        full = replace(base, name=f"{base.name}-attention-full", spatial_attention="full")
        made.append(Variant("attention-full", full))
    else:
        attention.append(("with attention", "base"))
    tables = [
        Table("Heads (the paper's table 1)", tuple((f"{n}-head CNN", name) for n, name in heads.items())),
        Table(
            "Confidence loss (the paper's table 2)",
            (
                ("classification loss alone", "confidence-none"),
                ("and confidence loss, trivial labels", "confidence-trivial"),
                ("and confidence loss, proposed pseudo-labels", "base"),
            ),
        ),
        Table("Attention (the paper's table 3)", tuple(attention)),
    ]
    return made, tables
