"""Faults put into the hardware on purpose are found by the comparison, and at the place where they are.

A mutation changes one thing: a number among the parameters (weight, bias, table, program), or a line of the Verilog.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from rasca_hw.params import AcceleratorParams, EngineParams
from rasca_nn.config import preset
from sim.icarus import IcarusError, to_verilog
from sim.top import TracedAccelerator
from tests.hw.whole import Whole

HEADS, BACK = 0, 1


@cache
def victim() -> Whole:
    """Two steps, and widths that fill the array's columns, so that both edges of an image are edges of words."""
    return Whole.random(replace(preset("tiny"), name="victim", width=40, height=10), "small", seed=2)


def with_engine(engine: int, change: Callable[[EngineParams], dict[str, Any]]) -> str:
    """Verilog of the victim with changed fields of one engine."""
    params = victim().build.params
    engines = list(params.engines)
    engines[engine] = replace(engines[engine], **change(engines[engine]))
    mutant: AcceleratorParams = replace(params, engines=tuple(engines))
    return to_verilog(TracedAccelerator(mutant))


def at(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    """The tuple with one item replaced."""
    return (*values[:index], value, *values[index + 1 :])


def index(engine: int, name: str) -> int:
    """The place of a layer in an engine's program."""
    return [i.name for i in victim().build.params.engines[engine].program].index(name)


def weight(group: int) -> str:
    """The lowest bit of channel 0's first weight in the first convolution of a head."""
    return with_engine(
        HEADS, lambda e: {"weights": at(e.weights, group, at(e.weights[group], 0, e.weights[group][0] ^ 1))}
    )


def bias_entry(engine: int, layer: str, channel: int, change: Callable[[int, int], tuple[int, int]]) -> str:
    def changed(e: EngineParams) -> dict[str, Any]:
        place = e.program[index(engine, layer)].drain.bias_base + channel
        return {"biases": at(e.biases, 0, at(e.biases[0], place, change(*e.biases[0][place])))}

    return with_engine(engine, changed)


def instruction(engine: int, layer: str, half: str, **fields: int) -> str:
    def changed(e: EngineParams) -> dict[str, Any]:
        place = index(engine, layer)
        old = e.program[place]
        return {"program": at(e.program, place, replace(old, **{half: replace(getattr(old, half), **fields)}))}

    return with_engine(engine, changed)


def table_entry() -> str:
    """The tanh table's entries of the first value that the candidate has in the picture."""
    whole = victim()
    first = int(whole.traces(whole.images(1)[0])[0]["gru.candidate.tanh"][0, 0]) & 0xFF

    def changed(e: EngineParams) -> dict[str, Any]:
        return {"tables": at(e.tables, 1, tuple(v ^ 1 if v == first else v for v in e.tables[1]))}

    return with_engine(BACK, changed)


def verilog(module: str, old: str, new: str) -> str:
    """The victim's Verilog with a text replaced in one module, where it must be."""
    source = victim().source
    start = source.index(f"\nmodule \\rasca.accelerator.{module} ")
    end = source.index("endmodule", start)
    text = source[start:end]
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {module}"
    return source[:start] + text.replace(old, new) + source[end:]


@dataclass(frozen=True)
class Mutation:
    """How to make it, the layer where it must be found first, and of which frame and step, channel, row or column."""

    make: Callable[[], str]
    layer: str
    frame: int = 0
    step: int = 0
    place: tuple[str, int] | None = None


MUTATIONS = {
    "weight": Mutation(lambda: weight(0), "head0.pool1", place=("channel", 0)),
    "weight of the other head": Mutation(lambda: weight(1), "head1.pool1", place=("channel", 0)),
    "shift": Mutation(
        lambda: bias_entry(BACK, "gru.update", 1, lambda b, s: (b, s + 1)), "gru.update", place=("channel", 1)
    ),
    "rounding constant": Mutation(
        lambda: bias_entry(HEADS, "conv1", 1, lambda b, s: (b - (1 << s >> 1), s)), "head0.pool1", place=("channel", 1)
    ),
    "table entry": Mutation(table_entry, "gru.candidate", place=("channel", 0)),
    "reset of the state": Mutation(
        lambda: instruction(BACK, "state.clear", "drain", to_memory=0, to_operand=0), "attention.squeeze", frame=1
    ),
    "dropped row": Mutation(lambda: instruction(HEADS, "conv2", "issue", row_step=0), "head0.pool2", place=("row", 1)),
    "stored zero outside the image": Mutation(lambda: instruction(HEADS, "conv2", "issue", pad_low=0), "head0.pool2"),
    "padding column, left": Mutation(
        lambda: verilog("heads.group1_feeder", "if (tap_3[2])", "if (1'h0)"), "head1.pool1", place=("column", 0)
    ),
    "padding column, right": Mutation(
        lambda: verilog("heads.group0_feeder", "if (tap_3[3])", "if (1'h0)"), "head0.pool1", place=("column", 19)
    ),
    "sign of a product": Mutation(
        lambda: verilog("heads.group0_array.pe_1_2.accumulator", "+ $signed(value)", "- $signed(value)"),
        "head0.pool1",
        place=("channel", 1),
    ),
}


def test_victim_is_sound() -> None:
    """Without a mutation the same run has no mismatch: it is the mutations that are found."""
    for comparison in victim().check(2)[1]:
        assert comparison.mismatches == 0, str(comparison.first)


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutation_is_found(name: str) -> None:
    mutation = MUTATIONS[name]
    comparisons = victim().check(mutation.frame + 1, source=mutation.make())[1]
    assert all(c.mismatches == 0 for c in comparisons[: mutation.frame])
    first = comparisons[mutation.frame].first
    assert first is not None, "the mutation was not found"
    assert (first.layer, first.step) == (mutation.layer, mutation.step), str(first)
    if mutation.place:
        kind, number = mutation.place
        assert getattr(first, kind) == number, str(first)


def test_no_result_is_an_error() -> None:
    """A fault that makes the accelerator wait for ever ends as an error, not as a pass."""
    source = instruction(HEADS, "conv4", "drain", to_features=0)
    with pytest.raises(IcarusError, match=r"0 of 1 results"):
        victim().check(1, source=source)
