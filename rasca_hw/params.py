"""Everything the hardware is built from, as plain data. The generator fills these in; the hardware only reads them."""

from __future__ import annotations

from dataclasses import dataclass

from .program import Instruction


@dataclass(frozen=True, kw_only=True)
class SpatialParams:
    """Spatial attention: dynamic weights and softmax.

    Parameters
    ----------
    columns : of the state (n); there are as many score rows.
    banded : scores far from the diagonal count as 0.
    scratch : weights of each array row that a layer may leave for a later one.
    base : address of the softmax's first word.
    table : exponentials, 256 bytes.
    """

    columns: int
    banded: bool
    scratch: int
    base: int
    table: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class EngineParams:
    """One engine: memories, an array for each lockstep group, a program.

    Parameters
    ----------
    name : used for submodules and counters.
    groups : arrays that run the same program in lockstep on weights of their own (parallel heads).
    rows, columns : size of each array: output channels x neighbouring columns.
    boot : the weight, bias and table memories of a broadcast array are filled through the port `load`.
    packed : whether two rows of a systolic array share a multiplier, see :mod:`rasca_hw.packed`.
    lut_multipliers : so many of the multipliers for elementwise products, the last rows', are made of LUTs.
    broadcast : whether that is a :class:`~rasca_hw.broadcast.BroadcastArray`, with one post-processing row for all, or
        a :class:`~rasca_hw.array.SystolicArray`.
    acc_width : accumulator bits, proven by the generator for the weights given.
    depth : words of `columns` bytes in each group's activation memory.
    reach : addresses the program names: the own memory's and, where features are sent, the receiver's.
    program : instructions; those before `loop` run once a frame, the others once a step.
    weights : for each group the words of the weight memory, `rows` bytes each, row 0 lowest.
    biases : for each group the words of the bias memory, `(bias, shift)` of one output channel each.
    tables : 256-entry tables as stored bytes; empty where no instruction uses one.
    operand_base, operand_depth : activation addresses mirrored in the operand memory (elementwise second operands);
        depth 0 for engines without elementwise work.
    gate_depth : words of the gate plane (the update gate U), addressed like the operand memory.
    state_columns, pool_max : columns of the state and whether its maximum joins the mean; 0 columns for no state pool.
    spatial : what spatial attention needs; None for none.
    reads_lines, sends_features, receives_features, classifies : what the engine is connected to.
    """

    name: str
    groups: int
    rows: int
    columns: int
    broadcast: bool
    acc_width: int
    depth: int
    reach: int
    program: tuple[Instruction, ...]
    loop: int
    weights: tuple[tuple[int, ...], ...]
    biases: tuple[tuple[tuple[int, int], ...], ...]
    tables: tuple[tuple[int, ...], ...] = ()
    operand_base: int = 0
    operand_depth: int = 0
    gate_depth: int = 0
    state_columns: int = 0
    pool_max: bool = False
    spatial: SpatialParams | None = None
    reads_lines: bool = False
    sends_features: bool = False
    receives_features: bool = False
    classifies: bool = False
    boot: bool = False
    packed: bool = False
    lut_multipliers: int = 0

    @property
    def shared_words(self) -> int:
        """Words of the mirror that features and update gate share, beside a broadcast array."""
        return max(self.operand_depth - self.gate_depth, self.gate_depth)

    @property
    def skew(self) -> int:
        """Cycles from a sum of one row to that of the next, same column."""
        return self.columns if self.broadcast else 1

    @property
    def drain_cycles(self) -> int:
        """Cycles in which a pass's sums leave one post-processing row."""
        return self.columns * (self.rows if self.broadcast else 1)

    @property
    def array_products(self) -> int:
        """Products that the arrays make in a cycle."""
        return self.groups * self.rows * self.columns

    @property
    def other_multipliers(self) -> int:
        """Multipliers beside the arrays: one a row for elementwise products, less those of LUTs, one each for pool and
        softmax. Beside a broadcast array they are made of additions.
        """
        if self.broadcast:
            return 0
        elementwise = self.rows - self.lut_multipliers if self.operand_depth else 0
        return elementwise + bool(self.state_columns) + bool(self.spatial)

    @property
    def multipliers(self) -> int:
        """Multipliers instantiated."""
        return self.array_products // self.products_per_multiplier + self.other_multipliers

    @property
    def products_per_multiplier(self) -> int:
        return 2 if self.packed else 1

    @property
    def longest_pass(self) -> int:
        """The most products of a sum."""
        return max((i.issue.taps + 1) * (3 if i.issue.wide else 1) for i in self.program)


@dataclass(frozen=True, kw_only=True)
class AcceleratorParams:
    """The whole accelerator.

    Parameters
    ----------
    width, rows, steps, kernel_height : input columns, rows a group, groups a frame, height of the first kernel.
    line_rows : rows the line buffer holds.
    classes : logits in a result.
    feature_words, feature_step : words the heads hand over a step, and the address distance from one lockstep group's
        features to the next.
    link_depth : words of features that can wait, for each lockstep group.
    engines : in the order of the data; the first reads lines, the last classifies.
    model_hash : first 32 bits of the integer model's hash, readable in a register.
    """

    width: int
    rows: int
    steps: int
    kernel_height: int
    line_rows: int
    classes: int
    feature_words: int
    feature_step: int
    link_depth: int
    engines: tuple[EngineParams, ...]
    model_hash: int

    @property
    def boot(self) -> bool:
        """Whether the memories have to be filled first."""
        return any(engine.boot for engine in self.engines)
