"""What generated hardware holds and does, beside what the paper counts of the same network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rasca_hw.program import Weights
from rasca_nn.config import RaScaNetConfig
from rasca_nn.count import Count
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import EngineBuild, build
from rtl_gen.generate import describe
from rtl_gen.memory import MemoryUse, memories
from rtl_gen.target import load_target

KINDS = {
    "weights": ("weights", "every weight once, in the order of the taps; the last group of channels filled up"),
    "biases": ("biases", "bias and shift of each output channel"),
    "tables": ("tables", "sigmoid, tanh, hard-swish: each row looks one up a cycle"),
    "issue program": ("program", "what to read: LUTs"),
    "drain program": ("program", "what becomes of the sums: LUTs"),
    "activations": ("activations", "what the array reads; a tensor lies over others that nobody reads any more"),
    "operands": (
        "activations",
        "mirror of state and features for elementwise products: the array has the other's port",
    ),
    "update gate": ("activations", "the update gate, until the new state leaves"),
    "values as weights": ("activations", "V of spatial attention, which this row needs again as weights"),
    "scores": ("activations", "scores of this row while the softmax works on another"),
    "exponentials": ("activations", "of the scores, until their sum is known"),
    "exp table": ("tables", "exp of a score's distance to the largest"),
    "line buffer": ("line buffer", "rows that wait for the first convolution, and those that come meanwhile"),
    "features": ("link", "features on their way to an engine whose memory is busy"),
}
"""Use of a memory, less its group or row, -> what it counts as here, and why it is there."""
DATA = ("weights", "biases", "activations", "line buffer", "link")
"""Kinds that hold the network's numbers; the others hold functions and the program."""


@dataclass(frozen=True)
class LayerAccount:
    """One layer on its engine.

    ``weight_bytes`` are the network's, ``stored_bytes`` with the rows that fill up the last group of channels.
    ``products`` count, ``issued`` are all the array could have made in the layer's ``cycles``. A layer that runs once
    a frame, not once a step, has ``once`` set.
    """

    engine: str
    layer: str
    once: bool
    weight_bytes: int
    stored_bytes: int
    products: int
    issued: int
    cycles: int


def account(config: RaScaNetConfig, target: str) -> dict[str, Any]:
    """The hardware of a configuration for a target: layers, memory by kind, products and cycles; plain values.

    The weights are made up: shapes decide everything but the accumulators' width, and with it the biases' bits. Raises
    RascaError where the generator does not serve the configuration or the target is too small.
    """
    made = build(random_int8_model(config, seed=1), load_target(target))
    uses = memories(made.params, made.target)
    manifest = describe(made, uses)
    layers = [layer for engine in made.engines for layer in _layers(engine)]
    steps = made.params.steps
    return {
        "target": made.target.name,
        "multipliers": manifest["multipliers"],
        "products_per_multiplier": manifest["products_per_multiplier"],
        "layers": [asdict(layer) for layer in layers],
        "memory": _kinds(uses),
        "data_bits": sum(use.bits for use in uses if KINDS[use.use.split(",")[0]][0] in DATA),
        "memories": [
            {
                "owner": use.owner,
                "use": use.use,
                "words": use.words,
                "width": use.width,
                "bits": use.bits,
                "block_rams": use.blocks,
                "sprams": use.sprams,
                "why": KINDS[use.use.split(",")[0]][1],
            }
            for use in uses
        ],
        "products": manifest["products_per_frame"],
        "issued": {
            "arrays": sum(layer.issued * (1 if layer.once else steps) for layer in layers),
            "frame_in_stream": manifest["multipliers"]
            * manifest["products_per_multiplier"]
            * manifest["cycles"]["frame_in_stream"],
        },
        "cycles": manifest["cycles"],
        "busy": manifest["busy"],
    }


def _layers(engine: EngineBuild) -> list[LayerAccount]:
    params = engine.params
    return [
        LayerAccount(
            engine=params.name,
            layer=plan.op.name,
            once=i < params.loop,
            weight_bytes=sum(layer.weight.size for layer in plan.op.layers if layer),
            stored_bytes=params.groups * plan.groups * plan.pass_cycles * plan.rows * (plan.op.weights == Weights.ROM),
            products=params.groups * plan.products * plan.op.products,
            issued=params.array_products * plan.cycles,
            cycles=plan.cycles,
        )
        for i, plan in enumerate(engine.plans)
    ]


def _kinds(uses: list[MemoryUse]) -> dict[str, dict[str, int]]:
    """Bits and block RAMs of each kind of memory, and of all."""
    found: dict[str, dict[str, int]] = {}
    for use in uses:
        name = use.use.split(",")[0]
        for kind in (KINDS[name][0], "all"):
            entry = found.setdefault(kind, {"bits": 0, "block_rams": 0, "sprams": 0})
            entry["bits"] += use.bits
            entry["block_rams"] += use.blocks
            entry["sprams"] += use.sprams
    return {**{kind: entry for kind, entry in found.items() if kind != "all"}, "all": found["all"]}


def beside(counted: Count, hardware: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(What, as the paper counts it, in the hardware), for people."""
    memory = {kind: entry["bits"] / 8000 for kind, entry in hardware["memory"].items()}
    held = (counted.weights + counted.peak) / 1000
    data = memory["weights"] + memory["biases"] + memory["activations"]
    kept = hardware["data_bits"] / 8000
    rows = [
        ("weights, KB", f"{counted.weights / 1000:.2f}", f"{memory['weights'] + memory['biases']:.2f}"),
        ("  of them biases and shifts, KB", "", f"{memory['biases']:.2f}"),
        ("activations, KB", f"{counted.peak / 1000:.2f}", f"{memory['activations']:.2f}"),
        ("weights and activations, KB", f"{held:.2f}", f"{data:.2f}"),
    ]
    others = [kind for kind in memory if kind not in ("weights", "biases", "activations", "all")]
    rows += [(f"{kind}, KB", "-", f"{memory[kind]:.2f}") for kind in others]
    rows += [
        ("all memories, KB", f"{held:.2f}", f"{memory['all']:.2f}"),
        ("data (less tables and program), times the paper's count", "", f"{kept / held:.3f}"),
        ("all memories, times the paper's count", "", f"{memory['all'] / held:.3f}"),
        ("block RAMs", "-", str(hardware["memory"]["all"]["block_rams"])),
        *([("SPRAMs", "-", str(sprams))] if (sprams := hardware["memory"]["all"]["sprams"]) else []),
        ("products a frame, M", f"{counted.macs / 1e6:.2f}", f"{hardware['products'] / 1e6:.2f}"),
        ("ops a frame, M", f"{counted.ops / 1e6:.2f}", "-"),
        ("products issued a frame in a stream, M", "-", f"{hardware['issued']['frame_in_stream'] / 1e6:.2f}"),
        ("multipliers busy in a stream", "-", f"{hardware['busy']['frame_in_stream']:.1%}"),
        ("multipliers", "-", str(hardware["multipliers"])),
        ("products a multiplier and cycle", "-", str(hardware["products_per_multiplier"])),
    ]
    names = {"frame": "alone", "frame_in_stream": "in a stream"}
    rows += [(f"cycles a frame, {text}", "-", f"{hardware['cycles'][key]:,}") for key, text in names.items()]
    return rows
