"""Post-processing of one array row: bias, rounding shift, clamp, table, elementwise product.

    cycle   0       1..2     3      4       5       6       7        8          9          10..12     13      14
           sum -> (read) -> +bias -> >> -> clamp -> table -> v -> up, x - v -> operands -> multiply -> round -> value

Rows without tables and elementwise work end after the clamp, with `value` in cycle 6. Integer formulas:
docs/numerics.md.
"""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .array import delay
from .multiplier import LATENCY as MULTIPLIER_LATENCY
from .multiplier import LogicMultiplier, Multiplier
from .program import Mode
from .softmax import SCORE_BITS

BIAS_READ = 1
BIAS_LOAD = 2
TOTAL = 4
CLAMP = 5
TABLE = 6
SCORE = 6
SELECT = 7
OPERAND_READ = 5
OPERAND_LOAD = 7
ELEMENTWISE = 8
PLAIN_VALUE = 6
ELEMENTWISE_VALUE = ELEMENTWISE + MULTIPLIER_LATENCY + 3


def _clamp(value: Any, low: int, high: int) -> Any:
    return Mux(value < low, low, Mux(value > high, high, value))


class RowControl(data.Struct):
    """Control of one row; each field belongs to the column that is in the stage named."""

    bias_load: 1
    relu: 1
    """Cycle `CLAMP`: clamp to 0 .. 255 instead of -128 .. 127."""
    table: 2
    use_table: 1
    """Cycle `SELECT`."""
    operand_load: 1
    mode: 3
    """Cycle `ELEMENTWISE`."""
    operand_unsigned: 1
    residual: 3
    unsigned: 1
    """Cycle before `value`: store it as q - 128."""


@dataclass(frozen=True)
class PostParams:
    """Widths of a row: accumulator bits, columns, tables (empty: neither tables nor elementwise work), whether it
    serves spatial attention, and whether its multiplier is made of LUTs.
    """

    acc_width: int
    columns: int
    tables: tuple[tuple[int, ...], ...]
    spatial: bool = False
    lut_multiplier: bool = False

    @property
    def value_stage(self) -> int:
        """Cycle of `value`, counted from the sum."""
        return ELEMENTWISE_VALUE if self.tables else PLAIN_VALUE


class RowPost(wiring.Component):
    """Members
    -------
    sum : from the array.
    bias, shift : read for this row's channel in `BIAS_READ`, here in `BIAS_LOAD`; the bias includes half and offsets.
    operand, gate : words of the operand memory and the gate plane, here in `OPERAND_LOAD`.
    total : sum + bias, for logits, cycle `TOTAL`.
    score : requantised to more bits, for the softmax, cycle `SCORE`; with spatial attention only.
    value : the stored byte.
    """

    def __init__(self, params: PostParams) -> None:
        self.params = params
        word = data.ArrayLayout(8, params.columns)
        super().__init__(
            {
                "sum": In(signed(params.acc_width)),
                "control": In(RowControl),
                "bias": In(signed(params.acc_width)),
                "shift": In(5),
                "operand": In(word),
                "gate": In(word),
                "total": Out(signed(params.acc_width)),
                "score": Out(signed(SCORE_BITS)),
                "value": Out(8),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bias = Signal.like(self.bias, reset_less=True)
        shift = Signal.like(self.shift, reset_less=True)
        with m.If(self.control.bias_load):
            m.d.sync += [bias.eq(self.bias), shift.eq(self.shift)]
        total = Signal.like(self.total, reset_less=True)
        shifted = Signal.like(self.total, reset_less=True)
        clamped = Signal(8, reset_less=True)
        m.d.sync += [
            total.eq(delay(m, self.sum, 3, name="sum") + bias),
            # The shift belongs to the column after the bias's: the next pass may begin with the next column.
            shifted.eq(total >> delay(m, shift, 1, name="shift")),
        ]
        m.d.comb += self.total.eq(total)
        # Comparisons with powers of two: of the bits above a byte, and of the sign. And-or, since of a choice with a
        # constant Yosys makes a reset of the flip-flops, which comes late.
        relu, negative = self.control.relu, shifted[-1]
        above, below, within = Signal(), Signal(), Signal(8)
        m.d.comb += [
            above.eq(~negative & (shifted[8:-1].any() | (~relu & shifted[7]))),
            below.eq(negative & (~shifted[7:-1].all() | relu)),
            within.eq(Cat((shifted[:7] & ~below.replicate(7)) | above.replicate(7), shifted[7])),
        ]
        with m.If(above | below):
            m.d.comb += within[7].eq(above == relu)
        if self.params.spatial:
            m.d.sync += self.score.eq(_clamp(shifted, -1 << (SCORE_BITS - 1), (1 << (SCORE_BITS - 1)) - 1))
        if self.params.tables:
            m.d.sync += clamped.eq(within)
            self._elementwise(m, self._table(m, clamped))
        else:
            m.d.sync += self.value.eq(self._stored(within))
        return m

    def _stored(self, value: Any) -> Any:
        """Unsigned numbers are stored as q - 128."""
        return value ^ (self.control.unsigned << 7)

    def _table(self, m: Module, clamped: Signal) -> Signal:
        """Table look-up by the signed byte, cycles `TABLE` to `SELECT` + 1."""
        entries = [entry for table in self.params.tables for entry in table]
        m.submodules.tables = tables = memory.Memory(shape=8, depth=len(entries), init=entries)
        port = tables.read_port()
        # Index i lies at i + 128, which is i with its top bit flipped.
        m.d.comb += port.addr.eq(Cat(clamped ^ 0x80, self.control.table))
        # A block RAM's output comes late in its cycle: the choice is made in the next one.
        entry = delay(m, port.data, 1, name="entry")
        plain = delay(m, clamped, 2, name="clamped")
        value = Signal(8)
        m.d.comb += value.eq(Mux(delay(m, self.control.use_table, 1, name="use_table"), entry, plain))
        return value

    def _elementwise(self, m: Module, value: Signal) -> None:
        """One multiplier for all products: x * up(v), up(u) * (x - v), and x / 2^residual."""
        operand = Signal.like(self.operand, reset_less=True)
        gate = Signal.like(self.gate, reset_less=True)
        # The words shift one lane a column; a new word comes with the first column.
        m.d.sync += [operand.eq(operand.as_value() >> 8), gate.eq(gate.as_value() >> 8)]
        with m.If(self.control.operand_load):
            m.d.sync += [operand.eq(self.operand), gate.eq(self.gate)]
        x = Signal(signed(9))
        u = Signal(8)
        v = Signal(signed(8))
        m.d.comb += [
            x.eq(Mux(self.control.operand_unsigned, operand[0] ^ 0x80, operand[0].as_signed())),
            u.eq(Mux(self.control.mode == Mode.BLEND, gate[0], value)),
            v.eq(value),
        ]
        m.submodules.multiplier = multiplier = (LogicMultiplier if self.params.lut_multiplier else Multiplier)(10, 10)
        # A register before the way to the multiplier, which is a long one.
        up = Signal.like(multiplier.a, reset_less=True)
        factor = Signal.like(multiplier.b, reset_less=True)
        m.d.sync += [up.eq(u + u[7]), factor.eq(Mux(self.control.mode == Mode.BLEND, x - v, x))]
        if self.params.spatial:
            with m.If(self.control.mode == Mode.RESIDUAL):
                m.d.sync += up.eq(Const(256) >> self.control.residual)
        m.d.comb += [multiplier.a.eq(up), multiplier.b.eq(factor)]
        # A register between the two additions: a multiplier's output is late in its cycle.
        scaled = Signal(signed(12), reset_less=True)
        m.d.sync += scaled.eq((multiplier.product + Const(128)) >> 8)
        mode = delay(m, self.control.mode, MULTIPLIER_LATENCY + 2, name="mode")
        later = Signal(signed(8))
        m.d.comb += later.eq(delay(m, value, MULTIPLIER_LATENCY + 2, name="value"))
        result = Signal(8)
        with m.Switch(mode):
            with m.Case(Mode.GATE):
                m.d.comb += result.eq(scaled)
            with m.Case(Mode.BLEND):
                m.d.comb += result.eq(later + scaled)
            if self.params.spatial:
                with m.Case(Mode.RESIDUAL):
                    m.d.comb += result.eq(_clamp(later + scaled, -128, 127))
            with m.Default():
                m.d.comb += result.eq(later)
        m.d.sync += self.value.eq(self._stored(result))
