"""A signed multiplier with all its registers.

Latency 3: operands, pipeline, product. On an ECP5 it is one MULT18X18D with its own registers (Yosys infers the block
but absorbs no register into it); elsewhere it is plain logic of the same latency.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockSignal, Const, Instance, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

LATENCY = 3
PAIR_LATENCY = 2


class Multiplier(wiring.Component):
    """`product = a * b`, three cycles later.

    Parameters
    ----------
    a_width, b_width : signed operand widths, at most 18 each.
    """

    def __init__(self, a_width: int, b_width: int) -> None:
        if not (1 <= a_width <= 18 and 1 <= b_width <= 18):
            raise ValueError(f"operand widths must be 1 to 18, not {a_width!r} and {b_width!r}")
        super().__init__(
            {"a": In(signed(a_width)), "b": In(signed(b_width)), "product": Out(signed(a_width + b_width))}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if str(getattr(platform, "device", "")).startswith("LFE5U"):
            m.submodules.block = self._mult18x18d(m)
            return m
        a = Signal.like(self.a, reset_less=True)
        b = Signal.like(self.b, reset_less=True)
        pipeline = Signal.like(self.product, reset_less=True)
        product = Signal.like(self.product, reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b), pipeline.eq(a * b), product.eq(pipeline)]
        m.d.comb += self.product.eq(product)
        return m

    def _mult18x18d(self, m: Module) -> Instance:
        # Operands to the left: the low pins are constants then, where sign bits would be eighteen routed copies.
        a, b, p = Signal(18), Signal(18), Signal(36)
        m.d.comb += [
            a.eq(self.a << (18 - len(self.a))),
            b.eq(self.b << (18 - len(self.b))),
            self.product.eq(p[36 - len(self.product) :]),
        ]
        registers = {
            f"p_REG_{reg}_{pin}": f"{pin}0"
            for reg in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")
            for pin in ("CLK", "CE", "RST")
        }
        bits = {f"i_{port}{i}": value[i] for port, value in (("A", a), ("B", b)) for i in range(18)}
        return Instance(
            "MULT18X18D",
            **registers,
            **bits,
            p_CLK0_DIV="ENABLED",
            p_GSR="DISABLED",
            p_RESETMODE="SYNC",
            i_SIGNEDA=Const(1),
            i_SIGNEDB=Const(1),
            i_SOURCEA=Const(0),
            i_SOURCEB=Const(0),
            i_CLK0=ClockSignal(),
            i_CE0=Const(1),
            i_RST0=Const(0),
            **{f"o_P{i}": p[i] for i in range(36)},
        )


class LogicMultiplier(wiring.Component):
    """As :class:`Multiplier`, of additions: for where a device's own multipliers are used up. Yosys would take one of
    those for `a * b`.
    """

    def __init__(self, a_width: int, b_width: int) -> None:
        super().__init__(
            {"a": In(signed(a_width)), "b": In(signed(b_width)), "product": Out(signed(a_width + b_width))}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        a = Signal.like(self.a, reset_less=True)
        b = Signal.like(self.b, reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b)]
        top = len(b) - 1
        rows = [Mux(b[i], (-a if i == top else a) << i, 0) for i in range(len(b))]
        halves = []
        for name, part in (("lower", rows[: top // 2]), ("upper", rows[top // 2 :])):
            half = Signal.like(self.product, name=name, reset_less=True)
            m.d.sync += half.eq(sum(part[1:], part[0]))
            halves.append(half)
        product = Signal.like(self.product, reset_less=True)
        m.d.sync += product.eq(halves[0] + halves[1])
        m.d.comb += self.product.eq(product)
        return m


class MultiplierPair(wiring.Component):
    """`product[i] = a[i] * b[i]` of signed bytes, `PAIR_LATENCY` cycles later: registers in front of the multiplier and
    behind it. Where `enable` is 0 they keep what they have.

    On an iCE40 it is one SB_MAC16, both halves in use; Yosys would infer one for each, and `synth_ice40 -dsp`
    computes something else where registers follow.
    """

    def __init__(self) -> None:
        byte, product = data.ArrayLayout(signed(8), 2), data.ArrayLayout(signed(16), 2)
        super().__init__({"a": In(byte), "b": In(byte), "enable": In(1, init=1), "product": Out(product)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if str(getattr(platform, "device", "")).startswith("iCE40UP"):
            m.submodules.block = self._mac16()
            return m
        for i in range(2):
            a = Signal.like(self.a[i], name=f"a{i}", reset_less=True)
            b = Signal.like(self.b[i], name=f"b{i}", reset_less=True)
            product = Signal(signed(16), name=f"product{i}", reset_less=True)
            with m.If(self.enable):
                m.d.sync += [a.eq(self.a[i]), b.eq(self.b[i]), product.eq(a * b)]
            m.d.comb += self.product[i].eq(product)
        return m

    def _mac16(self) -> Instance:
        return Instance(
            "SB_MAC16",
            p_MODE_8x8=Const(1, 1),
            p_A_REG=Const(1, 1),
            p_B_REG=Const(1, 1),
            p_TOP_8x8_MULT_REG=Const(1, 1),
            p_BOT_8x8_MULT_REG=Const(1, 1),
            # The product of bytes, without the accumulator.
            p_TOPOUTPUT_SELECT=Const(2, 2),
            p_BOTOUTPUT_SELECT=Const(2, 2),
            p_A_SIGNED=Const(1, 1),
            p_B_SIGNED=Const(1, 1),
            i_CLK=ClockSignal(),
            i_CE=self.enable,
            # Said and not left open, which Yosys' model takes for unknown.
            **{f"i_{pin}": Const(0) for pin in ("AHOLD", "BHOLD", "IRSTTOP", "IRSTBOT")},
            i_A=self.a.as_value(),
            i_B=self.b.as_value(),
            o_O=self.product.as_value(),
        )
