"""Post-processing of a broadcast array's sums: bias, rounding shift, clamp, table, elementwise product.

    cycle   0        1             2                  3            4           5        6
           +bias -> >>, clamp -> table, operands -> up, x - v -> multiply -> round -> value

Integer formulas: docs/numerics.md. Made for slow clocks: few registers, and no multiplier but logic.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .array import delay
from .program import Mode

LATENCY = 6
"""Cycles from the sum to `value`."""
TOTAL = 1
"""Cycle of `total`."""
TABLE_READ = 2
"""Cycle of the look-up, and of the read of the second operands."""


def multiply(a: Value, b: Value) -> Value:
    """`a * b`, a unsigned, b signed, as a tree of additions."""
    terms: list[Value] = [Mux(a[i], b, 0).as_signed() << i for i in range(len(a))]
    while len(terms) > 1:
        terms = [sum(terms[i + 1 : i + 2], start=terms[i]) for i in range(0, len(terms), 2)]
    return terms[0]


class SerialPost(wiring.Component):
    """Parameters
    ----------
    acc_width : bits of a sum.
    elementwise : whether there are tables and elementwise products.

    Members
    -------
    sum, bias : cycle 0; the bias includes half and offsets. shift : cycle 1.
    relu, use_table, mode, unsigned, operand_unsigned : of the layer, see :class:`~rasca_hw.program.Drain`.
    table_index : cycle `TABLE_READ`, for the look-up; table_value, operand, gate : a cycle later, stored bytes of the
        table, the tensor x and the update gate.
    total : sum + bias, for logits, cycle `TOTAL`.
    value : the stored byte, cycle `LATENCY`.
    """

    def __init__(self, *, acc_width: int, elementwise: bool) -> None:
        self.elementwise = elementwise
        super().__init__(
            {
                "sum": In(signed(acc_width)),
                "bias": In(signed(acc_width)),
                "shift": In(5),
                "relu": In(1),
                "use_table": In(1),
                "mode": In(3),
                "unsigned": In(1),
                "operand_unsigned": In(1),
                "table_index": Out(8),
                "table_value": In(8),
                "operand": In(8),
                "gate": In(8),
                "total": Out(signed(acc_width)),
                "value": Out(8),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        total = Signal.like(self.total, reset_less=True)
        m.d.sync += total.eq(self.sum + self.bias)
        m.d.comb += self.total.eq(total)
        shifted = Signal.like(total)
        m.d.comb += shifted.eq(total >> self.shift)
        clamped = Signal(8, reset_less=True)
        low, high = Mux(self.relu, 0, -128), Mux(self.relu, 255, 127)
        with m.If(shifted < low):
            m.d.sync += clamped.eq(low)
        with m.Elif(shifted > high):
            m.d.sync += clamped.eq(high)
        with m.Else():
            m.d.sync += clamped.eq(shifted)
        # Entry i of a table lies at i + 128, which is i with its top bit flipped.
        m.d.comb += self.table_index.eq(clamped ^ 0x80)
        value = Signal(8)
        m.d.comb += value.eq(Mux(self.use_table, self.table_value, delay(m, clamped, 1, name="clamped")))
        result = self._elementwise(m, value) if self.elementwise else delay(m, value, 2, name="value")
        # Unsigned numbers are stored as q - 128.
        m.d.sync += self.value.eq(result ^ (self.unsigned << 7))
        return m

    def _elementwise(self, m: Module, value: Signal) -> Value:
        """x * up(v) or v + up(u) * (x - v), over 256 and rounded, two cycles later; or v."""
        v = value.as_signed()
        x = Signal(signed(9))
        u = Signal(8)
        up = Signal(9, reset_less=True)
        factor = Signal(signed(10), reset_less=True)
        product = Signal(signed(20), reset_less=True)
        m.d.comb += [
            x.eq(Mux(self.operand_unsigned, self.operand ^ 0x80, self.operand.as_signed())),
            u.eq(Mux(self.mode == Mode.BLEND, self.gate, value)),
        ]
        m.d.sync += [
            up.eq(u + u[7]),
            factor.eq(Mux(self.mode == Mode.BLEND, x - v, x)),
            product.eq(multiply(up, factor)),
        ]
        scaled = ((product + Const(128)) >> 8)[:8]
        later = delay(m, value, 2, name="value")
        result = Signal(8)
        with m.Switch(self.mode):
            with m.Case(Mode.GATE):
                m.d.comb += result.eq(scaled)
            with m.Case(Mode.BLEND):
                m.d.comb += result.eq(later + scaled)
            with m.Default():
                m.d.comb += result.eq(later)
        return result
