"""Integer model + target -> the hardware's parameters, and what is known of them before any simulation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rasca_hw.params import AcceleratorParams, EngineParams, SpatialParams
from rasca_hw.program import Drain, Instruction, Issue, Mode, Weights
from rasca_hw.serial_tail import MAX_SUM_BITS, boot_lanes
from rasca_nn.int8_file import Int8Model
from rtl_gen.lower import (
    TABLES,
    Mapping,
    Op,
    back_mapping,
    bound_bits,
    hardware_biases,
    head_ops,
    product_bits,
    restore_op,
    tap_weights,
)
from rtl_gen.memory import memories
from rtl_gen.places import Region, apart, lend, overlaid, pools_apart, pools_overlaid
from rtl_gen.schedule import LayerPlan, plan, schedule, step_cycles
from rtl_gen.target import EngineTarget, Target, TargetError, TooSmall

MIN_LINK_DEPTH = 16
"""A FIFO of LUT RAM is no smaller."""
MAX_STEPS = 255
"""What a result's step counts to."""
FIRST_WORD = 1
"""Memories are used from word 1 on, so that a wide kernel's left neighbour has an address everywhere."""
NEIGHBOUR = 1
"""Words behind the last, for its right neighbour."""


@dataclass(frozen=True)
class EngineBuild:
    """An engine's parameters and the schedule they came from."""

    params: EngineParams
    plans: tuple[LayerPlan, ...]

    @property
    def step_cycles(self) -> int:
        """Cycles of a step, waits for rows and features apart."""
        return step_cycles(list(self.plans), self.params.loop)

    @property
    def prologue_cycles(self) -> int:
        """Cycles once a frame."""
        return sum(p.cycles for p in self.plans[: self.params.loop])

    @property
    def products(self) -> int:
        """Products a step that count."""
        return self.params.groups * sum(p.products for p in self.plans[self.params.loop :])


@dataclass(frozen=True)
class Build:
    """Everything the generator knows."""

    model: Int8Model
    target: Target
    params: AcceleratorParams
    engines: tuple[EngineBuild, ...]

    @property
    def image(self) -> tuple[int, ...]:
        """Words of 16 bits that a boot loader writes, from address 0 on; empty where there is nothing to load."""
        return boot_lanes(self.params.engines[0]) if self.params.boot else ()


def build(model: Int8Model, target: Target, *, draft: bool = False) -> Build:
    """Maps the model to the target. A `draft` is without the delays that the schedule finds: its sizes are right, its
    cycles too few. Raises TargetError where it does not fit, saying by how much.
    """
    config = model.config
    if target.line_rows < config.rows:
        raise TargetError(f"target {target.name}: line_rows is {target.line_rows}, the model needs {config.rows}")
    if config.steps > MAX_STEPS:
        raise TargetError(
            f"{config.name} has {config.steps} steps, at most {MAX_STEPS} are served; use more rows a group"
        )
    if target.array == "broadcast" and config.spatial_attention != "off":
        raise TargetError(
            f"target {target.name}: a broadcast array does not serve spatial attention ({config.name}: "
            f'{config.spatial_attention}); use array = "systolic"'
        )
    if target.products_per_multiplier > 1 and config.spatial_attention != "off":
        raise TargetError(
            f"target {target.name}: two products a multiplier take weights within -127..127, and spatial attention "
            f"computes some that may be -128 ({config.name}: {config.spatial_attention}); use products_per_multiplier 1"
        )
    if target.array == "broadcast" and len(target.engines) > 1:
        raise TargetError(
            f"target {target.name}: broadcast arrays are for one engine that runs all, not {len(target.engines)}; "
            'use array = "systolic"'
        )
    if target.array == "broadcast":
        bits, name = max((bound_bits(config, layer), layer.name) for layer in model.layers.values())
        if bits > MAX_SUM_BITS:
            raise TargetError(
                f"target {target.name}: sums of {name} in {config.name} need {bits} bits, a broadcast array has "
                f'{MAX_SUM_BITS}; use smaller biases or array = "systolic"'
            )
    if len(target.engines) == 1:
        mappings = [_whole(model, target)]
        groups = [1]
    else:
        places = apart(config, target.columns, FIRST_WORD)
        pools = pools_apart(config, target.columns, FIRST_WORD)
        every = list(range(config.heads))
        ops = head_ops(model, target.columns, every, pools, places.features, sends=True, frees=True)
        depth = max(pool.end for pool in pools)
        mappings = [
            Mapping(ops=tuple(ops), loop=0, depth=depth, features=places.features),
            back_mapping(model, places, target.columns, receives=True),
        ]
        groups = [config.heads, 1]
    engines = tuple(
        _engine(model, target, engine, mapping, count, draft=draft)
        for engine, mapping, count in zip(target.engines, mappings, groups, strict=True)
    )
    features = mappings[-1].features
    assert features is not None
    params = AcceleratorParams(
        width=config.width,
        rows=config.rows,
        steps=config.steps,
        kernel_height=config.kernel_heights[0],
        line_rows=target.line_rows,
        classes=config.classes,
        feature_words=features.size,
        feature_step=features.size // config.heads,
        link_depth=_link_depth(engines[0], engines[-1], features.size // config.heads),
        engines=tuple(e.params for e in engines),
        model_hash=int(model.hash[:8], 16),
    )
    used = sum(e.params.multipliers for e in engines)
    if used > target.multipliers:
        excess = used - target.multipliers
        remedy = "" if target.array == "broadcast" else ", or lut_multipliers"
        raise TooSmall(
            "multipliers",
            excess,
            f"{config.name} on {target.name} takes {used} multipliers, {excess} more than the device's "
            f"{target.multipliers}; use fewer rows or columns{remedy}",
        )
    uses = memories(params, target)
    blocks = sum(use.blocks for use in uses)
    if blocks > target.block_rams:
        largest = max(uses, key=lambda use: use.blocks)
        raise TooSmall(
            "block_rams",
            blocks - target.block_rams,
            f"target {target.name} has {target.block_rams} block RAMs and {config.name} takes {blocks}, "
            f"{blocks - target.block_rams} too many, {largest.blocks} of them for {largest.owner}'s {largest.use}; "
            "use a smaller network, fewer line_rows or a larger device",
        )
    sprams = sum(use.sprams for use in uses)
    if sprams > target.spram_blocks:
        raise TooSmall(
            "spram_blocks",
            sprams - target.spram_blocks,
            f"target {target.name} has {target.spram_blocks} SPRAMs and {config.name} takes {sprams}, "
            f"{sprams - target.spram_blocks} too many; use a smaller network or a larger device",
        )
    return Build(model, target, params, engines)


def _whole(model: Int8Model, target: Target) -> Mapping:
    """Everything on one engine: the state is cleared, then heads one after another, then the rest."""
    config, columns = model.config, target.columns
    places = overlaid(config, columns, FIRST_WORD)
    back = back_mapping(model, places, columns, receives=False)

    def depth(lent: Region | None) -> int:
        pools = pools_overlaid(config, columns, places.features, lent)
        return max(places.end, *(pool.end for pool in pools))

    lent = None
    beyond = depth(None) + NEIGHBOUR - target.activation_words if target.activation_words else 0
    if beyond > 0:
        lent = lend(config, places.features, beyond)
        if lent is None or depth(lent) + NEIGHBOUR > target.activation_words:
            raise TooSmall(
                "activation_words",
                beyond,
                f"target {target.name}: activations of {config.name} take {depth(None) + NEIGHBOUR} words, and no way "
                f"was found to do with activation_words {target.activation_words}; use more, or fewer columns",
            )
    pools = pools_overlaid(config, columns, places.features, lent)
    ops: list[Op] = [*back.ops[: back.loop]]
    for head in range(config.heads):
        last = head == config.heads - 1
        ops += head_ops(model, columns, [head], pools, places.features, sends=False, frees=last)
    if lent:
        # Before the last convolution, whose source is far from it: nothing waits for either.
        ops.insert(-1, restore_op(config, places, lent))
    return replace(back, ops=(*ops, *back.ops[back.loop :]), depth=depth(lent))


def _engine(
    model: Int8Model, target: Target, engine: EngineTarget, mapping: Mapping, groups: int, *, draft: bool
) -> EngineBuild:
    config = model.config
    back = engine.runs in ("back", "all")
    bits = max((bound_bits(config, layer) for op in mapping.ops for layer in op.layers if layer), default=1)
    spatial = None
    if back and model.spatial:
        bits = max(bits, product_bits(config))
        spatial = SpatialParams(
            columns=config.columns,
            banded=config.spatial_attention == "banded",
            scratch=max(2, -(-config.channels[-1] // engine.rows) * config.columns),
            base=mapping.spatial_base,
            table=tuple(int(v) for v in model.tables["exp"]),
        )
    tables = [[int(v) & 0xFF for v in model.tables[t]] for t in TABLES if t in model.tables] if back else []
    assert mapping.features is not None
    params = EngineParams(
        name=engine.name,
        groups=groups,
        rows=engine.rows,
        columns=target.columns,
        broadcast=target.array == "broadcast",
        acc_width=max(10, bits),
        depth=mapping.depth,
        reach=max(mapping.depth, mapping.features.end),
        program=(),
        loop=mapping.loop,
        weights=(),
        biases=(),
        tables=tuple(tuple(t) for t in tables),
        operand_base=mapping.operand_base,
        operand_depth=mapping.operand_depth,
        gate_depth=mapping.gate_depth,
        state_columns=config.columns if back else 0,
        pool_max=config.pool == "mean+max",
        spatial=spatial,
        reads_lines=engine.runs in ("heads", "all"),
        sends_features=engine.runs == "heads",
        receives_features=engine.runs == "back",
        classifies=back,
        boot=target.device.startswith("iCE40UP"),
        packed=target.products_per_multiplier > 1,
        lut_multipliers=target.lut_multipliers if back else 0,
    )
    plans = [plan(op, params) for op in mapping.ops] if draft else schedule(mapping, params)
    weights, biases, weight_bases, bias_bases = _memories(model, plans, engine.rows, groups)
    program = tuple(
        Instruction(name=p.op.name, issue=_issue(p, _weight_base(p, w, mapping)), drain=_drain(p, b))
        for p, w, b in zip(plans, weight_bases, bias_bases, strict=True)
    )
    fields = {**params.__dict__, "program": program, "weights": weights, "biases": biases}
    return EngineBuild(EngineParams(**fields), tuple(plans))


def _memories(
    model: Int8Model, plans: list[LayerPlan], rows: int, groups: int
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[tuple[int, int], ...], ...], list[int], list[int]]:
    """Weight words and biases of each lockstep group, and where each layer's begin."""
    weights: list[list[int]] = [[] for _ in range(groups)]
    biases: list[list[tuple[int, int]]] = [[] for _ in range(groups)]
    weight_bases, bias_bases = [], []
    for p in plans:
        weight_bases.append(len(weights[0]))
        bias_bases.append(len(biases[0]))
        for group, layer in enumerate(p.op.layers):
            if layer is None:
                if p.op.weights == Weights.ROM:
                    weights[group] += [0] * (p.groups * p.pass_cycles)
                entries = [(p.op.bias + (1 << p.op.shift >> 1), p.op.shift)] * p.op.out_channels
            else:
                weights[group] += tap_weights(layer, p.op.order, rows)
                values = hardware_biases(model.config, layer)
                entries = [(int(b), int(s)) for b, s in zip(values, layer.shift, strict=True)]
            biases[group] += entries + [(0, 0)] * (p.groups * rows - len(entries))
    return tuple(map(tuple, weights)), tuple(map(tuple, biases)), weight_bases, bias_bases


def _weight_base(p: LayerPlan, in_rom: int, mapping: Mapping) -> int:
    """Where a layer's weights begin, in the memory they come from."""
    return {Weights.ROM: in_rom, Weights.SCRATCH: 0, Weights.LANES: p.op.lanes - mapping.operand_base}[p.op.weights]


def _issue(p: LayerPlan, weight_base: int) -> Issue:
    op = p.op
    words = op.source.words
    return Issue(
        base=op.source.base,
        row_step=op.source.channels * words,
        tap_step=words,
        out_rows=op.out_rows - 1,
        groups=p.groups - 1,
        blocks=p.blocks - 1,
        taps=op.taps - 1,
        wide=op.wide,
        pad_low=op.pad_low,
        lines=op.lines,
        frees=op.frees,
        weights=p.op.weights,
        weight_base=weight_base,
        gap=p.gap,
        delay=p.delay,
        wait_features="features" in op.waits,
        wait_credit="credit" in op.waits,
        post_credit="given" in op.waits,
        last_rows=p.last_rows - 1,
        last_columns=p.last_columns - 1,
        counts=op.products,
    )


def _drain(p: LayerPlan, bias_base: int) -> Drain:
    op, dest = p.op, p.op.dest
    return Drain(
        bias_base=bias_base,
        out_rows=op.out_rows - 1,
        groups=p.groups - 1,
        blocks=p.blocks - 1,
        out_columns=(dest.width if dest else 1) - 1,
        last_rows=p.last_rows - 1,
        pool=op.pool,
        relu=op.relu,
        table=TABLES.index(op.table) if op.table else 0,
        use_table=op.table is not None,
        mode=Mode(op.mode),
        unsigned=op.unsigned,
        operand_unsigned=op.operand_unsigned,
        operand_base=op.operand.base if op.operand else 0,
        base=dest.base if dest else 0,
        channel_step=dest.words if dest else 0,
        row_step=op.out_channels * dest.words if dest else 0,
        state_base=op.state.base if op.state else op.first,
        to_memory="memory" in op.to,
        to_operand="operand" in op.to,
        to_gate="gate" in op.to,
        to_features="features" in op.to,
        to_state="state" in op.to,
        to_scratch="scratch" in op.to,
        to_softmax="softmax" in op.to,
        residual=op.residual,
        fraction=op.fraction,
    )


def _link_depth(heads: EngineBuild, back: EngineBuild, words: int) -> int:
    """Words of a lockstep group that may wait for a free cycle of the receiving memory.

    Where the two engines' words fit into every cycle's budget, a pass's words are gone before the next pass's come;
    else all of a step's wait.
    """
    sender = heads.plans[-1]
    incoming = heads.params.groups * sender.rows / (sender.pass_cycles + sender.gap)
    own = max((1 + bool(p.op.state)) * p.rows / (p.pass_cycles + p.gap) for p in back.plans)
    burst = 2 * sender.rows + 2
    return max(MIN_LINK_DEPTH, burst) if incoming + own <= 1 else max(MIN_LINK_DEPTH, words + 1)
