"""Two products of signed bytes in one 18x18 multiplier, exact, and the systolic array made of it.

Two rows of the array share a multiplier, since they meet the same activation a. Their weights w0 and w1, within
-127 .. 127, are one factor of 18 bits:

    P = (2^10 * w1 + w0) * a = 2^10 * w1 * a + w0 * a

|w0 * a| < 2^14, so w0 * a reaches five bits into w1 * a. With the floor `carry = w0 * a >> 10`, within -16 .. 15:

    lower = P mod 2^10           upper = P >> 10 = w1 * a + carry        carry = upper - w1 * a, known from both mod 32
    w0 * a = 2^10 * carry + lower                                        w1 * a = upper - carry

A product of five bits mod 32 is all that logic computes of w1 * a. All this is linear but for the modulus, so that a
pair accumulates the three numbers as they are; a pass's sums are put together once, where they leave the array.
"""

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .accumulator import Accumulator
from .array import MUX_FAN_IN, delay, row_of_elements
from .multiplier import LATENCY as MULTIPLIER_LATENCY
from .multiplier import Multiplier

SHIFT = 10
"""Of w1 in the factor: the most that 18 bits hold."""
RESIDUE = 5
"""Bits of w0 * a beyond `SHIFT`."""
UPPER_BITS = 15
PRODUCT_LATENCY = MULTIPLIER_LATENCY + 1
"""Cycles from operands to `upper`, `lower` and `carry`."""
SELECTION_LATENCY = 4
LATENCY = 1 + PRODUCT_LATENCY + 1 + SELECTION_LATENCY + 1
"""Cycles from a pass's last operands to the sum of column 0, row 0: packing, products, accumulation, selection of the
column, the sums of both rows.
"""


class PackedWeights(data.Struct):
    """2^10 * w1 + w0 as a multiplier takes it, and w1 mod 32."""

    low: signed(8)
    """w0"""
    high: signed(8)
    """w1 less the borrow of a negative w0"""
    residue: RESIDUE


def pack(m: Module, w0: Any, w1: Any) -> Signal:
    """The packed weights of two rows; combinational."""
    packed = Signal(PackedWeights)
    m.d.comb += [packed.low.eq(w0), packed.high.eq(w1 - w0[7]), packed.residue.eq(w1[:RESIDUE])]
    return packed


def unpack(upper: Any, lower: Any, carry: Any) -> tuple[Any, Any]:
    """The products, or sums of products, of the two rows."""
    return (carry << SHIFT) + lower, upper - carry


class PackedMultiplier(wiring.Component):
    """`upper`, `lower` and `carry` of two weights and an activation, `PRODUCT_LATENCY` cycles later."""

    def __init__(self) -> None:
        super().__init__(
            {
                "weights": In(PackedWeights),
                "activation": In(signed(8)),
                "upper": Out(signed(UPPER_BITS)),
                "lower": Out(SHIFT),
                "carry": Out(signed(RESIDUE)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.both = both = Multiplier(18, 8)
        low = self.weights.low
        m.d.comb += [
            both.a.eq(Cat(low, low[7], low[7], self.weights.high).as_signed()),
            both.b.eq(self.activation),
        ]
        # w1 * a mod 32 beside it, as a sum of rows.
        x = delay(m, self.weights.residue, 1, name="residue")
        y = delay(m, self.activation[:RESIDUE], 1, name="activation")
        rows = [Mux(x[i], y << i, 0)[:RESIDUE] for i in range(RESIDUE)]
        first, rest, product = (Signal(RESIDUE, name=name, reset_less=True) for name in ("first", "rest", "product"))
        m.d.sync += [first.eq(rows[0] + rows[1]), rest.eq(rows[2] + rows[3] + rows[4]), product.eq(first + rest)]
        shifted = both.product[SHIFT:]
        for port, value in (
            (self.upper, shifted),
            (self.lower, both.product[:SHIFT]),
            (self.carry, shifted[:RESIDUE] - product),
        ):
            held = Signal.like(port, name=f"{port.name}_held", reset_less=True)
            m.d.sync += held.eq(value)
            m.d.comb += port.eq(held)
        return m


def sums_layout(acc_width: int, taps: int) -> data.StructLayout:
    """What a pair accumulates over `taps` products; `upper` is needed mod 2^acc_width only."""
    return data.StructLayout(
        {
            "upper": acc_width,
            "lower": (taps * ((1 << SHIFT) - 1)).bit_length(),
            "carry": Shape((taps << RESIDUE - 1).bit_length() + 1, True),
        }
    )


class PackedElement(wiring.Component):
    """Two rows' processing elements: sums of `upper`, `lower` and `carry`, and operands passed on a cycle later.

    `first` and `last` come with the products, `PRODUCT_LATENCY` cycles after the operands; `last_out` therefore says
    that `sum` is complete, for one cycle.
    """

    def __init__(self, acc_width: int, taps: int) -> None:
        super().__init__(
            {
                "weight": In(PackedWeights),
                "weight_out": Out(PackedWeights),
                "activation": In(signed(8)),
                "activation_out": Out(signed(8)),
                "first": In(1),
                "first_out": Out(1),
                "last": In(1),
                "last_out": Out(1),
                "sum": Out(sums_layout(acc_width, taps)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.multiplier = multiplier = PackedMultiplier()
        m.d.comb += [multiplier.weights.eq(self.weight), multiplier.activation.eq(self.activation)]
        for name in ("upper", "lower", "carry"):
            value, total = getattr(multiplier, name), self.sum[name]
            m.submodules[name] = accumulator = Accumulator(value.shape(), total.shape())
            m.d.comb += [accumulator.value.eq(value), accumulator.first.eq(self.first), total.eq(accumulator.sum)]
        m.d.sync += [self.first_out.eq(self.first), self.last_out.eq(self.last)]
        m.d.comb += [
            self.weight_out.eq(delay(m, self.weight, 1, name="weight")),
            self.activation_out.eq(delay(m, self.activation, 1, name="activation")),
        ]
        return m


def selected(m: Module, row: list[tuple[Any, Any]], *, name: str) -> tuple[Any, Any]:
    """Of the (valid, value) of a row's columns the one that is valid, `SELECTION_LATENCY` cycles later whatever C is.

    A pair's sums have sixty bits and an array of pairs lies all over the chip, so that wires, not logic, take the time:
    a register at each column is 0 while the column has no sum, beyond it there are ORs, and a register between them.
    """
    shape = row[0][1].shape()

    def later(valid: Any, value: Any, place: str) -> tuple[Any, Any]:
        held = Signal(shape, name=f"{name}_sum_{place}", reset_less=True)
        m.d.sync += held.eq(value)
        return delay(m, valid, 1, name=f"{name}_valid_{place}", reset_less=False), held

    def either(group: list[tuple[Any, Any]], place: str) -> tuple[Any, Any]:
        valid, value = (reduce(or_, parts) for parts in zip(*group, strict=True))
        return later(valid, value, place)

    columns = [later(valid, Mux(valid, value, 0), f"column{c}") for c, (valid, value) in enumerate(row)]
    groups = [columns[i : i + MUX_FAN_IN] for i in range(0, len(columns), MUX_FAN_IN)]
    merged = [later(*either(group, f"group{i}"), f"way{i}") for i, group in enumerate(groups)]
    return either(merged, "row")


class PackedArray(wiring.Component):
    """As :class:`~rasca_hw.array.SystolicArray`, with half the multipliers and another latency.

    Pairs of rows follow a cycle after each other; their sums wait until it is each row's turn.

    Parameters
    ----------
    rows : even.
    taps : the most products of a sum.

    Members
    -------
    weights : within -127 .. 127.
    """

    def __init__(self, *, rows: int, columns: int, acc_width: int, taps: int) -> None:
        if rows % 2:
            raise ValueError(f"rows must be even, not {rows!r}")
        self.rows = rows
        self.columns = columns
        self.acc_width = acc_width
        self.taps = taps
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
        down = [delay(m, self.activations[c], 1 + c, name=f"skew_a{c}") for c in range(self.columns)]
        first = delay(m, self.first, 1 + PRODUCT_LATENCY, name="first", reset_less=False)
        last = delay(m, self.last, 1 + PRODUCT_LATENCY, name="last", reset_less=False)
        for pair in range(self.rows // 2):
            weights = pack(m, self.weights[2 * pair], self.weights[2 * pair + 1])
            weights = delay(m, weights, 1 + pair, name=f"skew_w{pair}")
            elements = [PackedElement(self.acc_width, self.taps) for _ in range(self.columns)]
            columns = row_of_elements(m, pair, elements, weights, down, first, last)
            self._leave(m, pair, *selected(m, columns, name=f"drain{pair}"))
            first = delay(m, first, 1, name=f"first_pair{pair + 1}", reset_less=False)
            last = delay(m, last, 1, name=f"last_pair{pair + 1}", reset_less=False)
        return m

    def _leave(self, m: Module, pair: int, valid: Any, selected: Any) -> None:
        """The sums of a pair's rows from the selected column's."""
        found = data.View(sums_layout(self.acc_width, self.taps), selected)
        for half, value in enumerate(unpack(found.upper, found.lower, found.carry)):
            row = 2 * pair + half
            total = Signal(signed(self.acc_width), name=f"sum{row}", reset_less=True)
            m.d.sync += total.eq(value)
            m.d.comb += [
                self.sums[row].eq(delay(m, total, pair + half, name=f"sum{row}")),
                self.valid[row].eq(delay(m, valid, 1 + pair + half, name=f"valid{row}", reset_less=False)),
            ]
