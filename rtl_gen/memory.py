"""What lives where: every memory of a design, its bits, and the block RAMs or SPRAMs it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from math import ceil
from operator import and_, or_

from rasca_hw.lines import line_buffer_words
from rasca_hw.params import AcceleratorParams, EngineParams
from rasca_hw.program import Drain, Issue, record_layout
from rasca_hw.rom import BANK_WORDS
from rasca_hw.serial_tail import bias_lanes, mirror_words
from rasca_hw.softmax import SCORE_BITS
from rasca_hw.spram import BLOCK_BITS as SPRAM_BITS
from rasca_hw.spram import BLOCK_WORDS as SPRAM_WORDS
from rtl_gen.target import Target


@dataclass(frozen=True)
class Family:
    """A device family's block RAMs with one read and one write port, and what Yosys prefers to them for small memories.

    shapes : depths and widths.
    lane : bits of a word whose writing can be enabled apart from the others'.
    rom_bits : bits for each block it would take under which a read-only memory becomes LUTs.
    ram_bits : likewise a memory that is written becomes flip-flops; 0 where there is RAM in LUTs, 16 x 4 bits each,
        whose costs are weighed.
    """

    shapes: tuple[tuple[int, int], ...]
    lane: int
    rom_bits: int
    ram_bits: int

    def blocks(self, words: int, width: int, rom: bool) -> int:
        """The fewest of any shape: what Yosys makes, too, of the sizes in tests/gen/test_build.py.

        Words beyond the depth lie beside the first ones, in lanes of their own where they are written.
        """
        lanes = [(depth, bits, 1 if rom else min(self.lane, bits)) for depth, bits in self.shapes]
        count = min(ceil(ceil(words / depth) * ceil(width / lane) * lane / bits) for depth, bits, lane in lanes)
        least = self.rom_bits if rom else self.ram_bits
        if words * width < least * count or (self._in_luts(words, width, count) and not rom):
            return 0
        return count

    def _in_luts(self, words: int, width: int, count: int) -> bool:
        """By Yosys' costs: 4 a LUT RAM, half of one a bit selected between them, 128 a block."""
        deep = -(-words // 16)
        return not self.ram_bits and 4 * deep * -(-width // 4) + (deep - 1) * width / 2 < 128 * count


ECP5 = Family(((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36)), 9, 2088, 0)
"""18 kbit, DP16KD."""
ICE40 = Family(((2048, 2), (1024, 4), (512, 8), (256, 16)), 1, 1024, 64)
"""4 kbit, SB_RAM40_4K."""


def family(device: str) -> Family:
    """Of a device by its name; of an unknown one, ECP5's."""
    return ICE40 if device.lower().startswith("ice40") else ECP5


@dataclass(frozen=True)
class MemoryUse:
    """One memory: the engine it belongs to, what it holds, and its size; `contents` of one that is initialised, `bank`
    the words of each of the memories that it is made of where it is deeper.
    """

    owner: str
    use: str
    words: int
    width: int
    contents: tuple[int, ...] = ()
    rom: bool = False
    family: Family = ECP5
    in_spram: bool = False
    bank: int = 0

    @property
    def bits(self) -> int:
        return self.words * self.width

    @property
    def blocks(self) -> int:
        """Block RAMs."""
        if self.in_spram:
            return 0
        full, rest = divmod(self.words, self.bank or self.words)
        sizes = [self.bank or self.words] * full + [rest] * bool(rest)
        return sum(self.family.blocks(words, self.changing_bits, self.rom) for words in sizes)

    @property
    def changing_bits(self) -> int:
        """Bits of a word that are not the same in all of its contents: those that Yosys stores."""
        if not self.contents:
            return self.width
        same = reduce(and_, self.contents) | ~reduce(or_, self.contents)
        return self.width - (same & ((1 << self.width) - 1)).bit_count()

    @property
    def sprams(self) -> int:
        """SPRAMs: a word wider than one takes several of its words."""
        return -(-self.words * -(-self.width // SPRAM_BITS) // SPRAM_WORDS) if self.in_spram else 0


def memories(params: AcceleratorParams, target: Target) -> list[MemoryUse]:
    """Every memory, with the contents of those that are initialised.

    Where the device has SPRAMs, weights, biases and tables lie in them: a boot loader fills them.
    """
    kind = family(target.device)
    spram = target.spram_blocks > 0
    return [
        replace(use, family=kind, in_spram=spram and use.use.split(",")[0] in ("weights", "biases", "tables"))
        for use in _memories(params)
    ]


def _memories(params: AcceleratorParams) -> list[MemoryUse]:
    columns = params.engines[0].columns
    line_words = line_buffer_words(params.width, columns, params.line_rows)
    found = [MemoryUse("lines", "line buffer", line_words + 2, 8 * columns)]
    for engine in params.engines:
        found += _engine_memories(engine)
    if len(params.engines) > 1:
        width = (params.engines[-1].reach - 1).bit_length() + 8 * columns
        groups = range(params.engines[0].groups)
        # One more word lies in the FIFO's output register.
        found += [MemoryUse("link", f"features, group {g}", params.link_depth - 1, width) for g in groups]
    return found


def _engine_memories(engine: EngineParams) -> list[MemoryUse]:
    name, word = engine.name, 8 * engine.columns
    found = []
    for g in range(engine.groups):
        suffix = f", group {g}" if engine.groups > 1 else ""
        found += [
            MemoryUse(name, f"activations{suffix}", engine.depth + 1, word),
            _weights(engine, g, suffix),
            _biases(engine, g, suffix),
        ]
    if engine.tables:
        entries = tuple(entry for table in engine.tables for entry in table)
        rows = range(1 if engine.broadcast else engine.rows)
        found += [MemoryUse(name, f"tables, row {r}", len(entries), 8, entries, True) for r in rows]
        found += _operand_memories(engine)
    if engine.spatial:
        spatial, rows = engine.spatial, range(engine.rows)
        found += [MemoryUse(name, f"values as weights, row {r}", spatial.scratch, 8) for r in rows]
        found += [MemoryUse(name, f"scores, row {r}", 2 * spatial.columns, SCORE_BITS) for r in rows]
        found += [
            MemoryUse(name, "exponentials", 4 * spatial.columns, 8),
            MemoryUse(name, "exp table", len(spatial.table), 8, spatial.table, True),
        ]
    halves: tuple[tuple[str, list[Issue] | list[Drain]], ...] = (
        ("issue program", [i.issue for i in engine.program]),
        ("drain program", [i.drain for i in engine.program]),
    )
    found += [MemoryUse(name, use, len(half), record_layout(half).size, rom=True) for use, half in halves]
    return found


def _weights(engine: EngineParams, group: int, suffix: str) -> MemoryUse:
    words = engine.weights[group]
    bank = 0 if engine.broadcast else BANK_WORDS
    return MemoryUse(engine.name, f"weights{suffix}", len(words), 8 * engine.rows, words, True, bank=bank)


def _biases(engine: EngineParams, group: int, suffix: str) -> MemoryUse:
    if engine.broadcast:
        lanes = bias_lanes(engine)
        return MemoryUse(engine.name, "biases", len(lanes), SPRAM_BITS, lanes, True)
    mask = (1 << engine.acc_width) - 1
    # The last row's reader runs on to words behind the last one.
    words = [(bias & mask) | shift << engine.acc_width for bias, shift in engine.biases[group]] + [0] * engine.rows
    return MemoryUse(engine.name, f"biases{suffix}", len(words), engine.acc_width + 5, tuple(words), True)


def _operand_memories(engine: EngineParams) -> list[MemoryUse]:
    """Second operands of the elementwise products. Beside a broadcast array they come a byte at a time, and the update
    gate lies in the features' place.
    """
    name, columns = engine.name, engine.columns
    if not engine.broadcast:
        return [
            MemoryUse(name, "operands", engine.operand_depth, 8 * columns),
            MemoryUse(name, "update gate", engine.gate_depth, 8 * columns),
        ]
    return [
        MemoryUse(name, "operands, state", columns * mirror_words(engine.gate_depth), 8),
        MemoryUse(name, "operands, features or update gate", columns * mirror_words(engine.shared_words), 8),
    ]
