"""The systolic array: R output channels x C neighbouring columns, output-stationary.

         activations of lane 0   lane 1      ...      each lane c cycles after lane 0
                 |                 |
    weight 0 -> PE -> weight 0 -> PE -> ...  -> drain of row 0: one column a cycle
                 |                 |
    weight 1 -> PE ------------>  PE -> ...  -> drain of row 1: one cycle later
                 :                 :

A weight moves one column a cycle, an activation one row a cycle, so that no operand fans out. Column c ends a pass
one cycle after column c - 1: results leave a row one a cycle, in raster order, with no register to hold them.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .accumulator import Accumulator
from .multiplier import LATENCY as MULTIPLIER_LATENCY
from .multiplier import Multiplier

LATENCY = MULTIPLIER_LATENCY + 3
"""Cycles from a pass's last operands at column 0, row 0 to the sum on `sums[0]`; row r is r, column c another c cycles
later.
"""

MUX_FAN_IN = 4


def delay(m: Module, value: Any, cycles: int, *, name: str, reset_less: bool = True) -> Any:
    """`value`, `cycles` cycles later."""
    for i in range(cycles):
        later = Signal.like(value, name=f"{name}_{i + 1}", reset_less=reset_less)
        m.d.sync += later.eq(value)
        value = later
    return value


def selected(m: Module, row: list[tuple[Any, Any]], *, name: str) -> tuple[Any, Any]:
    """Of the (valid, value) of a row's columns the one that is valid; two registered levels whatever C is."""
    shape = row[0][1].shape()
    groups = [row[i : i + MUX_FAN_IN] for i in range(0, len(row), MUX_FAN_IN)]
    for level in range(2):
        selected = []
        for i, group in enumerate(groups):
            valid = Signal(name=f"{name}_valid{level}_{i}")
            value = Signal(shape, name=f"{name}_sum{level}_{i}", reset_less=True)
            any_valid, any_value = group[0][0], Mux(group[0][0], group[0][1], 0)
            for ok, other in group[1:]:
                any_valid = any_valid | ok
                any_value = any_value | Mux(ok, other, 0)
            m.d.sync += [valid.eq(any_valid), value.eq(any_value)]
            selected.append((valid, value))
        groups = [selected]
    return selected[0]


class ProcessingElement(wiring.Component):
    """`sum <= (0 if first else sum) + weight * activation`, and operands passed on a cycle later.

    `first` and `last` come with the product, `multiplier.LATENCY` cycles after the operands; `last_out` therefore
    says that `sum` is complete, for one cycle.
    """

    def __init__(self, acc_width: int) -> None:
        super().__init__(
            {
                "weight": In(signed(8)),
                "weight_out": Out(signed(8)),
                "activation": In(signed(8)),
                "activation_out": Out(signed(8)),
                "first": In(1),
                "first_out": Out(1),
                "last": In(1),
                "last_out": Out(1),
                "sum": Out(signed(acc_width)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.multiplier = multiplier = Multiplier(8, 8)
        m.d.comb += [multiplier.a.eq(self.weight), multiplier.b.eq(self.activation)]
        m.submodules.accumulator = accumulator = Accumulator(multiplier.product.shape(), self.sum.shape())
        m.d.sync += [self.first_out.eq(self.first), self.last_out.eq(self.last)]
        m.d.comb += [
            self.weight_out.eq(delay(m, self.weight, 1, name="weight")),
            self.activation_out.eq(delay(m, self.activation, 1, name="activation")),
            accumulator.value.eq(multiplier.product),
            accumulator.first.eq(self.first),
            self.sum.eq(accumulator.sum),
        ]
        return m


def row_of_elements(
    m: Module, row: int, elements: list[Any], weight: Any, down: list[Any], first: Any, last: Any
) -> list[tuple[Any, Any]]:
    """Connects a row of processing elements from column to column, and to those above through `down`, which then holds
    what goes on to those below. Returns each column's (valid, sum).
    """
    sums = []
    for c, pe in enumerate(elements):
        m.submodules[f"pe_{row}_{c}"] = pe
        m.d.comb += [pe.weight.eq(weight), pe.activation.eq(down[c]), pe.first.eq(first), pe.last.eq(last)]
        weight, down[c], first, last = pe.weight_out, pe.activation_out, pe.first_out, pe.last_out
        sums.append((pe.last_out, Value.cast(pe.sum)))
    return sums


class SystolicArray(wiring.Component):
    """R x C multiply-accumulates a cycle.

    Members
    -------
    activations : one operand a lane, all lanes of a tap at once (skewed inside).
    weights : one operand a row, likewise.
    first, last : mark a pass's first and last tap; taps of a pass come without a break.
    sums, valid : for each row the finished sums, column 0 first; `LATENCY` + r + c cycles after the last tap.
    """

    def __init__(self, *, rows: int, columns: int, acc_width: int) -> None:
        self.rows = rows
        self.columns = columns
        self.acc_width = acc_width
        super().__init__(
            {
                "activations": In(data.ArrayLayout(signed(8), columns)),
                "weights": In(data.ArrayLayout(signed(8), rows)),
                "first": In(1),
                "last": In(1),
                "sums": Out(data.ArrayLayout(signed(acc_width), rows)),
                "valid": Out(rows),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        down = [delay(m, self.activations[c], c, name=f"skew_a{c}") for c in range(self.columns)]
        first = delay(m, self.first, MULTIPLIER_LATENCY, name="first", reset_less=False)
        last = delay(m, self.last, MULTIPLIER_LATENCY, name="last", reset_less=False)
        for r in range(self.rows):
            weight = delay(m, self.weights[r], r, name=f"skew_w{r}")
            elements = [ProcessingElement(self.acc_width) for _ in range(self.columns)]
            columns = row_of_elements(m, r, elements, weight, down, first, last)
            valid, total = selected(m, columns, name=f"drain{r}")
            m.d.comb += [self.valid[r].eq(valid), self.sums[r].eq(total)]
            first = delay(m, first, 1, name=f"first_row{r + 1}", reset_less=False)
            last = delay(m, last, 1, name=f"last_row{r + 1}", reset_less=False)
        return m
