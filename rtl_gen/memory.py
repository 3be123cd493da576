"""What lives where: every memory of a design, its bits, and the block RAMs it takes."""

from __future__ import annotations

from dataclasses import dataclass

from rasca_hw.lines import line_buffer_words
from rasca_hw.params import AcceleratorParams, EngineParams
from rasca_hw.program import Drain, Issue, record_layout
from rasca_hw.serial_tail import bias_lanes, mirror_words
from rasca_hw.softmax import SCORE_BITS
from rasca_hw.spram import BLOCK_BITS

BLOCK_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
"""Depths and widths of an 18-kbit block RAM (ECP5 DP16KD, one read and one write port)."""
LEAST_BITS = 2048
"""Smaller memories are left to LUTs by the synthesiser."""


@dataclass(frozen=True)
class MemoryUse:
    """One memory: the engine it belongs to, what it holds, and its size."""

    owner: str
    use: str
    words: int
    width: int
    contents: tuple[int, ...] = ()

    @property
    def bits(self) -> int:
        return self.words * self.width

    @property
    def blocks(self) -> int:
        """18-kbit block RAMs, the fewest of any shape."""
        if self.bits < LEAST_BITS:
            return 0
        return min(-(-self.words // depth) * -(-self.width // width) for depth, width in BLOCK_SHAPES)


def memories(params: AcceleratorParams) -> list[MemoryUse]:
    """Every memory, with the contents of those that are initialised."""
    columns = params.engines[0].columns
    line_words = line_buffer_words(params.width, columns, params.line_rows)
    found = [MemoryUse("lines", "line buffer", line_words + 2, 8 * columns)]
    for engine in params.engines:
        found += _engine_memories(engine)
    if len(params.engines) > 1:
        width = (params.engines[-1].reach - 1).bit_length() + 8 * columns
        groups = range(params.engines[0].groups)
        found += [MemoryUse("link", f"features, group {g}", params.link_depth, width) for g in groups]
    return found


def _engine_memories(engine: EngineParams) -> list[MemoryUse]:
    name, word = engine.name, 8 * engine.columns
    found = []
    for g in range(engine.groups):
        mask = (1 << engine.acc_width) - 1
        biases = tuple((bias & mask) | shift << engine.acc_width for bias, shift in engine.biases[g])
        suffix = f", group {g}" if engine.groups > 1 else ""
        found += [
            MemoryUse(name, f"activations{suffix}", engine.depth + 1, word),
            MemoryUse(name, f"weights{suffix}", len(engine.weights[g]), 8 * engine.rows, engine.weights[g]),
        ]
        if engine.broadcast:
            lanes = bias_lanes(engine)
            found.append(MemoryUse(name, "biases", len(lanes), BLOCK_BITS, lanes))
        else:
            found.append(MemoryUse(name, f"biases{suffix}", len(biases), engine.acc_width + 5, biases))
    if engine.tables:
        entries = tuple(entry for table in engine.tables for entry in table)
        rows = range(1 if engine.broadcast else engine.rows)
        found += [MemoryUse(name, f"tables, row {r}", len(entries), 8, entries) for r in rows]
        if engine.broadcast:
            found += [
                MemoryUse(name, "mirror of the state", mirror_words(engine.gate_depth) * engine.columns, 8),
                MemoryUse(name, "mirror of features and gate", mirror_words(engine.shared_words) * engine.columns, 8),
            ]
        else:
            found += [
                MemoryUse(name, "operands", engine.operand_depth, word),
                MemoryUse(name, "update gate", engine.gate_depth, word),
            ]
    if engine.spatial:
        spatial, rows = engine.spatial, range(engine.rows)
        found += [MemoryUse(name, f"values as weights, row {r}", spatial.scratch, 8) for r in rows]
        found += [MemoryUse(name, f"scores, row {r}", 2 * spatial.columns, SCORE_BITS) for r in rows]
        found += [
            MemoryUse(name, "exponentials", 4 * spatial.columns, 8),
            MemoryUse(name, "exp table", len(spatial.table), 8, spatial.table),
        ]
    halves: tuple[tuple[str, list[Issue] | list[Drain]], ...] = (
        ("issue program", [i.issue for i in engine.program]),
        ("drain program", [i.drain for i in engine.program]),
    )
    found += [MemoryUse(name, use, len(half), record_layout(half).size) for use, half in halves]
    return found
