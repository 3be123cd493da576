"""The part of the simulators' driver that depends on the design: how `driver.cc` reaches ports and memories.

For each port a function, `set_NAME`, `get_NAME` or `append_NAME`, whether the design's C++ came from CXXRTL or from
:mod:`sim.native`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rasca_hw.counters import REGISTERS
from rasca_hw.params import AcceleratorParams
from rasca_hw.rom import banks
from rasca_hw.serial_tail import bias_lanes, weight_width
from rasca_hw.spram import BLOCK_BITS, block_contents
from sim.cpp import identifier

INPUTS = {
    "rst": 1, "register": 8, "write": 1, "data": 32, "pixels__valid": 1, "pixels__payload": 26, "results__ready": 1,
    "confidences__ready": 1,
}  # fmt: skip
OUTPUTS = ("value", "pixels__ready", "results__valid", "confidences__valid")

NATIVE = {
    "set": "t.i_{name} = v;",
    "get": "return t.o_{name};",
    "append": "const auto *p = (const uint8_t *)&t.o_{name}; out.insert(out.end(), p, p + {bytes});",
    "word": "std::memcpy(write.word, &t.o_{name}, WORD_BYTES);",
    "load": "std::memcpy(&t.m_{name}[at], bytes, sizeof t.m_{name}[0]); break;",
}
CXXRTL = {
    "set": "t.p_{name}.set<{type}>(v);",
    "get": "return now(t.p_{name}).get<uint32_t>();",
    "append": "for (size_t i = 0; i < {bytes}; i++) out.push_back(now(t.p_{name}).data[i / 4] >> (8 * (i % 4)));",
    "word": "for (int b = 0; b < WORD_BYTES; b++) write.word[b] = now(t.p_{name}).data[b / 4] >> (8 * (b % 4));",
    "load": "for (int c = 0; c < {chunks}; c++) t.memory_p_{name}.data[at].data[c] = chunk(bytes + 4 * c); break;",
}
CXXRTL_START = """typedef cxxrtl_design::p_rasca Top;
// An output is a register (wire) or not (value), as the optimiser left it.
template <size_t N> static const cxxrtl::value<N> &now(const cxxrtl::value<N> &v) { return v; }
template <size_t N> static const cxxrtl::value<N> &now(const cxxrtl::wire<N> &w) { return w.curr; }
static uint32_t chunk(const uint8_t *b) { return b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24; }
static void start(Top &) {}
static void eval(Top &t) { t.eval(); }
static void commit(Top &t) { t.commit(); }"""


def register_count(params: AcceleratorParams) -> int:
    """Counters that are read after each frame."""
    return len(REGISTERS) + len(params.engines)


def payload_bytes(bits: int) -> int:
    """Payloads come in whole 32-bit words."""
    return -(-bits // 32) * 4


def loaded_memories(params: AcceleratorParams) -> list[tuple[tuple[str, str], NDArray[np.uint8]]]:
    """(engine, memory) and contents, uint8 [words, bytes rounded up to 4]."""

    def packed(values: list[int], bits: int) -> NDArray[np.uint8]:
        size = payload_bytes(bits)
        raw = b"".join(v.to_bytes(size, "little") for v in values)
        return np.frombuffer(raw, np.uint8).reshape(-1, size)

    found = []
    for e in params.engines:
        if e.broadcast:
            stores = {
                "weight_memory": (e.weights[0], weight_width(e)),
                "drain.biases": (bias_lanes(e), BLOCK_BITS),
            }
            for name, (words, width) in stores.items():
                for block, lanes in block_contents(words, width).items():
                    found.append(((e.name, f"{name}.{block}"), packed(lanes, BLOCK_BITS)))
            continue
        for g in range(e.groups):
            prefix = f"group{g}" if e.groups > 1 else "group"
            mask = (1 << e.acc_width) - 1
            biases = [(bias & mask) | shift << e.acc_width for bias, shift in e.biases[g]]
            for i, bank in enumerate(banks(e.weights[g])):
                found.append(((e.name, f"{prefix}_weights.bank{i}"), packed(list(bank), 8 * e.rows)))
            found.append(((e.name, f"{prefix}_biases"), packed(biases, e.acc_width + 5)))
    return found


def glue(params: AcceleratorParams, *, native: bool) -> str:
    """C++ between a design and `driver.cc`."""
    forms = NATIVE if native else CXXRTL

    def form(kind: str, name: str, **values: object) -> str:
        mangled = identifier(name) if native else name.replace("_", "__").replace(".", "_2e_")
        return forms[kind].format(name=mangled, **values)

    traces = [(e, g) for e, engine in enumerate(params.engines) for g in range(engine.groups)]
    payloads = {"results": 36 + 32 * params.classes, "confidences": 8 + 32 * params.classes}
    lines = ["#include <cstdint>", "#include <cstring>", "#include <vector>", "" if native else CXXRTL_START]
    for name, bits in INPUTS.items():
        body = form("set", name, type="bool" if bits == 1 else "uint32_t")
        lines.append(f"static void set_{name}(Top &t, uint32_t v) {{ {body} }}")
    outputs = [*OUTPUTS, *(f"trace_{e}_{g}_{n}" for e, g in traces for n in ("valid", "address", "instruction"))]
    lines += [f"static uint32_t get_{name}(Top &t) {{ {form('get', name)} }}" for name in outputs]
    for name, bits in payloads.items():
        body = form("append", f"{name}__payload", bytes=payload_bytes(bits))
        lines.append(f"static void append_{name}(Top &t, std::vector<uint8_t> &out) {{ {body} }}")
    lines += [
        f"static const int TRACES = {len(traces)}, REGISTERS = {register_count(params)}, "
        f"WORD_BYTES = {params.engines[0].columns};",
        "struct Write { uint64_t cycle; uint16_t address; uint8_t trace, instruction; uint8_t word[WORD_BYTES]; };",
        "static bool read_trace(Top &t, int trace, Write &write) {\n    switch (trace) {",
    ]
    for i, (e, g) in enumerate(traces):
        port = f"trace_{e}_{g}_"
        lines.append(
            f"    case {i}: if (!get_{port}valid(t)) return false; write.address = get_{port}address(t); "
            f"write.instruction = get_{port}instruction(t); {form('word', port + 'word')} return true;"
        )
    lines += ["    }\n    return false;\n}"]
    lines += ["static void load(Top &t, int memory, uint32_t at, const uint8_t *bytes) {\n    switch (memory) {"]
    for i, ((engine, memory), words) in enumerate(loaded_memories(params)):
        lines.append(f"    case {i}: " + form("load", f"accelerator.{engine}.{memory}", chunks=words.shape[1] // 4))
    lines += ["    }\n}"]
    return "\n".join(lines) + "\n"
