"""C++ of a flattened synchronous design of one clock: each cell a line of plain integers, each clock edge one call.

Registers are in two structs that change places at every edge: a cycle reads one and writes all of the other, so no
value has to be kept back or compared. Nets of more than 64 bits are runs of 64-bit words. Undefined bits are 0, as in
CXXRTL.

The text defines `struct Top` (inputs `i_NAME`, outputs `o_NAME`, memories `m_NAME`), `start(Top &)`, `eval(Top &)`,
which computes outputs and the next state and carries out memory writes, and `commit(Top &)`, the rising edge.
"""

from __future__ import annotations

from collections import defaultdict

from sim.cpp import LIMB, array, c_type, either, identifier, limbs, masked, number, stored_type
from sim.rtlil import Bits, Cell, Module, NotServed, Signal, width

REGISTERS = {"$dff", "$dffe", "$sdff", "$sdffe", "$sdffce"}
ARITHMETIC = {"$add": "+", "$sub": "-", "$mul": "*"}
BITWISE = {"$and": "{0} & {1}", "$or": "{0} | {1}", "$xor": "{0} ^ {1}", "$xnor": "~({0} ^ {1})"}
RIGHT_SHIFTS = ("$shr", "$shift", "$shiftx")
SHIFTED = """// Word i of a run of words, shifted to the right.
static inline uint64_t shifted(const uint64_t *words, uint32_t count, uint32_t by, uint32_t i) {
    const uint32_t at = by / 64 + i, rest = by % 64;
    const uint64_t low = at < count ? words[at] : 0, high = at + 1 < count ? words[at + 1] : 0;
    return rest ? low >> rest | high << (64 - rest) : low;
}"""
COMPARISONS = {"$lt": "<", "$le": "<=", "$gt": ">", "$ge": ">="}


def _holds(cell: Cell) -> bool:
    """Whether its output changes at the clock's edge only."""
    return cell.kind in REGISTERS or (cell.kind == "$memrd_v2" and bool(cell.parameters["CLK_ENABLE"]))


class Translation:
    """One module on its way to C++; `text()` gives it."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.widths = dict(module.wires)
        self.source: dict[str, Cell | Signal] = {}
        """What drives each wire that is no input and no register."""
        self.held: dict[str, Cell] = {}
        """Registers, and words read from memories at the edge, by the wire that holds them."""
        self.values: dict[str, list[str]] = {}
        """What each wire is called in C++, word by word, as far as it is computed."""
        self.body: list[str] = []
        self._drivers()
        self.fields = {wire: f"r{i}" for i, wire in enumerate(self.held)}
        for wire in module.inputs:
            self.values[wire] = self._words(f"t.i_{identifier(wire)}", self.widths[wire])
        for wire, name in self.fields.items():
            self.values[wire] = self._words(f"c.{name}", self.widths[wire])

    # Who drives what.

    def _drivers(self) -> None:
        parts: dict[str, list[tuple[int, Bits]]] = defaultdict(list)
        clocks: set[Signal] = set()

        def drive(signal: Signal, source: Cell | Signal) -> None:
            """Notes a driver; what drives only parts of nets gets a new wire, of which those are made."""
            whole = len(signal) == 1 and signal[0].width == self.widths[signal[0].wire or ""]
            wire = str(signal[0].wire) if whole else f"$part{len(self.widths)}"
            if not whole:
                self.widths[wire] = width(signal)
                at = 0
                for part in signal:
                    parts[str(part.wire)].append((part.low, Bits(wire, at, part.width)))
                    at += part.width
            if wire in self.source or wire in self.held:
                raise NotServed(f"{wire} has two drivers")
            if isinstance(source, Cell) and _holds(source):
                clocks.add(source.ports["CLK"])
                self.held[wire] = source
            else:
                self.source[wire] = source

        for cell in self.module.cells:
            if cell.kind == "$memwr_v2":
                clocks.add(cell.ports["CLK"])
            elif not cell.kind.startswith("$meminit"):
                port = next((p for p in ("Y", "Q", "DATA") if p in cell.ports), None)
                if port is None:
                    raise NotServed(f"cell {cell.kind}")
                if cell.ports[port]:
                    drive(cell.ports[port], cell)
            if cell.parameters.get("CLK_ENABLE", 1) and not cell.parameters.get("CLK_POLARITY", 1):
                raise NotServed(f"{cell.name} on a falling edge")
        for left, right in self.module.connections:
            if left:
                drive(left, right)
        for wire, found in parts.items():
            at, joined = 0, []
            for low, part in sorted(found):
                if low < at or wire in self.source or wire in self.held:
                    raise NotServed(f"{wire} has two drivers")
                joined += [Bits(None, 0, low - at)] * (low > at) + [part]
                at = low + part.width
            self.source[wire] = (*joined, *[Bits(None, 0, self.widths[wire] - at)] * (at < self.widths[wire]))
        if len(clocks) > 1:
            raise NotServed("more than one clock")
        for part in next(iter(clocks), ()):
            if part.wire not in self.module.inputs:
                raise NotServed("a clock that is no input")

    # Reading signals.

    @staticmethod
    def _words(name: str, bits: int) -> list[str]:
        return [f"{name}[{i}]" for i in range(len(limbs(bits)))] if bits > LIMB else [name]

    def bits(self, signal: Signal, low: int, count: int) -> str:
        """An expression of `c_type(count)` for some bits of a signal, at most 64; bits beyond it are 0."""
        terms: list[str] = []
        constant = at = 0
        for part in signal:
            start, end = max(low, at), min(low + count, at + part.width)
            while start < end:
                inside = part.low + start - at
                if part.wire is None:
                    constant |= (part.low >> (start - at) & (1 << (end - start)) - 1) << (start - low)
                    break
                taken = min(end - start, LIMB - inside % LIMB)
                terms.append(self._placed(part.wire, inside, taken, start - low, count))
                start += taken
            at += part.width
        if constant or not terms:
            terms.append(number(constant, count))
        return terms[0] if len(terms) == 1 else f"({' | '.join(terms)})"

    def _placed(self, wire: str, low: int, taken: int, shift: int, count: int) -> str:
        known = self.values.get(wire)
        if known is None:
            return number(0, count)
        text, size = known[low // LIMB], limbs(self.widths[wire])[low // LIMB]
        if low % LIMB:
            text = f"({text} >> {low % LIMB})"
        narrow = size <= 32
        if not narrow and taken <= 32:
            text, narrow = f"(uint32_t){text}", True
        if low % LIMB + taken < size:
            text = f"({masked(text, taken)})"
        if count > 32 and narrow:
            text = f"(uint64_t){text}"
        return f"({text} << {shift})" if shift else text

    def extended(self, cell: Cell, port: str, bits: int) -> str:
        """An operand with so many bits, by its sign if it is signed."""
        signal = cell.ports[port]
        have = width(signal)
        text = self.bits(signal, 0, min(have, bits))
        if bits > 32 and min(have, bits) <= 32:
            text = f"(uint64_t){text}"
        if have < bits and cell.parameters[f"{port}_SIGNED"]:
            size, kind = (32, "int32_t") if bits <= 32 else (64, "int64_t")
            text = masked(f"({c_type(bits)})(({kind})({text} << {size - have}) >> {size - have})", bits)
        return f"({text})"

    # Computing.

    def need(self, signal: Signal) -> None:
        """Emits everything that a signal depends on."""
        stack = [part.wire for part in signal if part.wire is not None]
        path: set[str] = set()
        while stack:
            wire = stack[-1]
            if wire in self.values or wire not in self.source:
                stack.pop()
                continue
            source = self.source[wire]
            inputs = [source] if not isinstance(source, Cell) else self._inputs(source)
            missing = [
                part.wire
                for signal in inputs
                for part in signal
                if part.wire in self.source and part.wire not in self.values
            ]
            if missing:
                if wire in path:
                    raise NotServed(f"feedback through {wire}")
                path.add(wire)
                stack += missing
                continue
            path.discard(wire)
            stack.pop()
            self._emit(wire, source)

    @staticmethod
    def _inputs(cell: Cell) -> list[Signal]:
        return [signal for port, signal in cell.ports.items() if port not in ("Y", "Q", "CLK") and port != "DATA"]

    def _emit(self, wire: str, source: Cell | Signal) -> None:
        bits = self.widths[wire]
        name = f"v{len(self.values)}"
        if isinstance(source, Cell):
            texts = self._memory_word(source, name) if source.kind == "$memrd_v2" else self._cell(source, bits)
        else:
            texts = [self.bits(source, LIMB * i, n) for i, n in enumerate(limbs(bits))]
        names = [f"{name}_{i}" for i in range(len(texts))]
        for text, size, label in zip(texts, limbs(bits), names, strict=True):
            self.body.append(f"const {c_type(size)} {label} = {text};")
        self.values[wire] = names

    def _cell(self, cell: Cell, bits: int) -> list[str]:
        kind, ports = cell.kind, cell.ports
        if kind == "$mux":
            choose = self.bits(ports["S"], 0, 1)
            return [
                either(choose, self.bits(ports["B"], LIMB * i, n), self.bits(ports["A"], LIMB * i, n))
                for i, n in enumerate(limbs(bits))
            ]
        if kind == "$pmux":
            texts = []
            for i, n in enumerate(limbs(bits)):
                text = self.bits(ports["A"], LIMB * i, n)
                for s in reversed(range(width(ports["S"]))):
                    choose = self.bits(ports["S"], s, 1)
                    text = either(choose, self.bits(ports["B"], s * bits + LIMB * i, n), text)
                texts.append(text)
            return texts
        if kind in BITWISE or kind in ("$not", "$pos"):
            return self._bitwise(cell, bits)
        if kind in RIGHT_SHIFTS and max(bits, width(ports["A"])) > LIMB:
            return self._wide_shift(cell, bits)
        if bits > LIMB:
            raise NotServed(f"{kind} of {bits} bits")
        if kind in ARITHMETIC:
            a, b = self.extended(cell, "A", bits), self.extended(cell, "B", bits)
            return [masked(f"{a} {ARITHMETIC[kind]} {b}", bits)]
        if kind == "$neg":
            return [masked(f"0 - {self.extended(cell, 'A', bits)}", bits)]
        if kind in ("$shl", "$sshl", "$sshr", *RIGHT_SHIFTS):
            return [self._shift(cell, bits)]
        return [self._truth(cell)]

    def _bitwise(self, cell: Cell, bits: int) -> list[str]:
        form = BITWISE.get(cell.kind, "~{0}" if cell.kind == "$not" else "{0}")
        names = [port for port in ("A", "B") if port in cell.ports]
        texts = []
        for i, n in enumerate(limbs(bits)):
            if bits <= LIMB:
                operands = [self.extended(cell, port, bits) for port in names]
            else:
                if any(width(cell.ports[p]) < bits and cell.parameters[f"{p}_SIGNED"] for p in names):
                    raise NotServed(f"{cell.kind} of {bits} bits that extends a sign")
                operands = [f"({self.bits(cell.ports[port], LIMB * i, n)})" for port in names]
            text = form.format(*operands)
            texts.append(masked(text, n) if "~" in form else text)
        return texts

    def _shift(self, cell: Cell, bits: int) -> str:
        left = cell.kind in ("$shl", "$sshl")
        size = bits if left else max(bits, width(cell.ports["A"]))
        if size > LIMB or cell.parameters["B_SIGNED"] or width(cell.ports["B"]) > 32:
            raise NotServed(f"{cell.kind} of {size} bits")
        a, b = self.extended(cell, "A", size), self.bits(cell.ports["B"], 0, width(cell.ports["B"]))
        whole = 32 if size <= 32 else 64
        if left:
            return masked(f"({b} < {size} ? {a} << {b} : 0)", bits)
        if cell.kind == "$sshr" and cell.parameters["A_SIGNED"]:
            signed = f"((int{whole}_t)({a} << {whole - size}) >> {whole - size})"
            return masked(f"({c_type(bits)})({signed} >> ({b} < {size} ? {b} : {size - 1}))", bits)
        return masked(f"({c_type(bits)})({b} < {size} ? {a} >> {b} : 0)", bits)

    def _wide_shift(self, cell: Cell, bits: int) -> list[str]:
        """A shift to the right of more bits than a word has."""
        have, by = width(cell.ports["A"]), width(cell.ports["B"])
        if cell.parameters["A_SIGNED"] or cell.parameters["B_SIGNED"] or by > 32:
            raise NotServed(f"{cell.kind} of {have} bits with signs")
        name = f"a{len(self.body)}"
        words = ", ".join(self.bits(cell.ports["A"], LIMB * i, n) for i, n in enumerate(limbs(have)))
        self.body.append(f"const uint64_t {name}[] = {{{words}}};")
        amount = self.bits(cell.ports["B"], 0, by)
        texts = (f"shifted({name}, {len(limbs(have))}, {amount}, {i})" for i in range(len(limbs(bits))))
        return [masked(f"({c_type(n)}){text}", n) for text, n in zip(texts, limbs(bits), strict=True)]

    def _truth(self, cell: Cell) -> str:
        """Cells whose result is one bit."""
        kind, ports = cell.kind, cell.ports
        size = width(ports["A"])
        words = [self.bits(ports["A"], LIMB * i, n) for i, n in enumerate(limbs(size))]
        if kind in ("$reduce_or", "$reduce_bool"):
            return " || ".join(f"({w} != 0)" for w in words)
        if kind == "$logic_not":
            return " && ".join(f"({w} == 0)" for w in words)
        if kind == "$reduce_and":
            return " && ".join(f"({w} == {number((1 << n) - 1, n)})" for w, n in zip(words, limbs(size), strict=True))
        if kind in ("$reduce_xor", "$reduce_xnor"):
            odd = " ^ ".join(f"__builtin_parityll({w})" for w in words)
            return odd if kind == "$reduce_xor" else f"!({odd})"
        other = width(ports.get("B", ()))
        if kind in ("$logic_and", "$logic_or"):
            b = [self.bits(ports["B"], LIMB * i, n) for i, n in enumerate(limbs(other))]
            sides = ["(" + " || ".join(f"({w} != 0)" for w in side) + ")" for side in (words, b)]
            return (" && " if kind == "$logic_and" else " || ").join(sides)
        size = max(size, other)
        signs = {cell.parameters.get("A_SIGNED"), cell.parameters.get("B_SIGNED")}
        if kind in ("$eq", "$ne") and size > LIMB and signs == {0}:
            same = (
                f"({self.bits(ports['A'], LIMB * i, n)} == {self.bits(ports['B'], LIMB * i, n)})"
                for i, n in enumerate(limbs(size))
            )
            return ("!" if kind == "$ne" else "") + f"({' && '.join(same)})"
        if size > LIMB or len(signs) > 1 or kind not in {*COMPARISONS, "$eq", "$ne"}:
            raise NotServed(f"{kind} of {size} bits")
        sides = [self.extended(cell, port, size) for port in ("A", "B")]
        if kind in ("$eq", "$ne"):
            return (
                f"{self.extended(cell, 'A', size)} {'==' if kind == '$eq' else '!='} {self.extended(cell, 'B', size)}"
            )
        whole = 32 if size <= 32 else 64
        sides = [self.extended(cell, port, size) for port in ("A", "B")]
        if signs == {1}:
            sides = [f"(int{whole}_t)({side} << {whole - size})" for side in sides]
        return f"{sides[0]} {COMPARISONS[kind]} {sides[1]}"

    # State.

    def _next(self, wire: str, cell: Cell) -> None:
        """The line that gives a register its next value."""
        name, bits, ports = self.fields[wire], self.widths[wire], cell.ports
        if cell.kind == "$memrd_v2":
            self.need(ports["ADDR"])
            self.need(ports["EN"])
            if any(part.wire for part in (*ports["ARST"], *ports["SRST"])):
                raise NotServed(f"{cell.name} with a reset")
            texts = self._memory_word(cell, f"w{name}")
            enable: str | None = self._level(cell, "EN")
        else:
            for port in ("D", "EN", "SRST"):
                self.need(ports.get(port, ()))
            texts = [self.bits(ports["D"], LIMB * i, n) for i, n in enumerate(limbs(bits))]
            enable = self._level(cell, "EN") if "EN" in ports else None
        reset = self._level(cell, "SRST") if cell.kind.startswith("$sdff") else None
        value = int(cell.parameters.get("SRST_VALUE", 0))
        for i, (text, n, field) in enumerate(zip(texts, limbs(bits), self._words(f"n.{name}", bits), strict=True)):
            to = number(value >> LIMB * i & (1 << n) - 1, n)
            held = self.values[wire][i]
            if reset and cell.kind == "$sdffce":
                text = f"({reset} ? {to} : {text})"
            if enable and enable != "1u":
                text = f"({enable} ? {text} : {held})"
            if reset and cell.kind != "$sdffce":
                text = f"({reset} ? {to} : {text})"
            self.body.append(f"{field} = {text};")

    def _level(self, cell: Cell, port: str) -> str:
        text = self.bits(cell.ports[port], 0, 1)
        return text if cell.parameters.get(f"{port}_POLARITY", 1) else f"!{text}"

    def _memory_word(self, cell: Cell, name: str) -> list[str]:
        """The word at a read port's address, with what transparent ports write to it in this cycle."""
        memory = str(cell.parameters["MEMID"])
        held = self.module.memories[memory]
        size = width(cell.ports["ADDR"])
        address = self.bits(cell.ports["ADDR"], 0, size)
        self.body.append(f"const uint32_t {name}_at = {address};")
        inside = "" if 1 << size <= held.size else f"{name}_at < {held.size} ? "
        otherwise = "" if 1 << size <= held.size else " : 0"
        texts = []
        for i, _ in enumerate(limbs(held.width)):
            word = f"t.m_{identifier(memory)}[{name}_at]" + (f"[{i}]" if held.width > LIMB else "")
            texts.append(f"{inside}{word}{otherwise}")
        mask = int(cell.parameters["TRANSPARENCY_MASK"])
        for port in self._write_ports(memory):
            if mask >> int(port.parameters["PORTID"]) & 1:
                for signal in ("ADDR", "DATA", "EN"):
                    self.need(port.ports[signal])
                there = width(port.ports["ADDR"])
                same = f"{self.bits(port.ports['ADDR'], 0, there)} == {name}_at"
                for i, n in enumerate(limbs(held.width)):
                    texts[i] = f"({same} ? {self._merged(port, i, n, f'({texts[i]})')} : ({texts[i]}))"
        return texts

    def _merged(self, port: Cell, limb: int, bits: int, old: str) -> str:
        """An old word of memory with what a write port changes of it."""
        new = self.bits(port.ports["DATA"], LIMB * limb, bits)
        lines = list(port.ports["EN"])
        if len({(p.wire, p.low, p.width) for p in lines}) == 1 and lines[0].width == 1:
            return f"({self.bits(port.ports['EN'], 0, 1)} ? {new} : {old})"
        # Runs of bits with the same enable become a mask.
        masks: dict[str, int] = defaultdict(int)
        for i in range(bits):
            masks[self.bits(port.ports["EN"], LIMB * limb + i, 1)] |= 1 << i
        enable = " | ".join(
            number(mask, bits) if line == "1u" else f"({line} ? {number(mask, bits)} : 0)"
            for line, mask in masks.items()
            if line != "0u"
        )
        enable = f"({c_type(bits)})({enable or '0'})"
        return f"(({old} & ~({enable})) | ({new} & ({enable})))"

    def _write_ports(self, memory: str) -> list[Cell]:
        ports = [c for c in self.module.cells if c.kind == "$memwr_v2" and c.parameters["MEMID"] == memory]
        return sorted(ports, key=lambda c: int(c.parameters["PORTID"]))

    def _writes(self, memory: str) -> list[str]:
        held = self.module.memories[memory]
        lines = []
        for port in self._write_ports(memory):
            for signal in ("ADDR", "DATA", "EN"):
                self.need(port.ports[signal])
            size = width(port.ports["ADDR"])
            lines.append(f"{{ const uint32_t at = {self.bits(port.ports['ADDR'], 0, size)};")
            enables = {self.bits(port.ports["EN"], i, 1) for i in range(held.width)}
            guard = " || ".join(sorted(enables))
            inside = "" if 1 << size <= held.size else f"at < {held.size} && "
            lines.append(f"if ({inside}({guard})) {{")
            for i, n in enumerate(limbs(held.width)):
                word = f"t.m_{identifier(memory)}[at]" + (f"[{i}]" if held.width > LIMB else "")
                new = (
                    self.bits(port.ports["DATA"], LIMB * i, n) if len(enables) == 1 else self._merged(port, i, n, word)
                )
                lines.append(f"{word} = {new};")
            lines.append("} }")
        return lines

    # The whole.

    def text(self) -> str:
        module = self.module
        for wire, cell in self.held.items():
            self._next(wire, cell)
        for wire in module.outputs:
            self.need((Bits(wire, 0, self.widths[wire]),))
            for i, n in enumerate(limbs(self.widths[wire])):
                to = self._words(f"t.o_{identifier(wire)}", self.widths[wire])[i]
                self.body.append(f"{to} = {self.bits((Bits(wire, 0, self.widths[wire]),), LIMB * i, n)};")
        # Last, so that reads of this cycle see the words before.
        writes = [line for memory in module.memories for line in self._writes(memory)]
        state = [f"{stored_type(self.widths[w])} {name}{array(self.widths[w])};" for w, name in self.fields.items()]
        top = ["State s[2]; int now;"]
        for side, wires in (("i", module.inputs), ("o", module.outputs)):
            top += [f"{_port_type(self.widths[w])} {side}_{identifier(w)}{array(self.widths[w])};" for w in wires]
        for name, held in module.memories.items():
            top.append(f"{stored_type(held.width)} m_{identifier(name)}[{held.size}]{array(held.width)};")
        start = [*self._first_state(), *self._first_memories()]
        return "\n".join(
            [
                "#include <cstdint>",
                SHIFTED,
                "struct State {", *state, "};",
                "struct Top {", *top, "};",
                "static void start(Top &t) {", *start, "}",
                "static inline void commit(Top &t) { t.now ^= 1; }",
                # A function of its own: else the compiler finds out anew which struct is which at every use.
                "static __attribute__((noinline)) void cycle(Top &t, const State &__restrict c, State &__restrict n) {",
                *self.body, *writes, "}",
                "static void eval(Top &t) { cycle(t, t.s[t.now], t.s[t.now ^ 1]); }", "",
            ]
        )  # fmt: skip

    def _first_state(self) -> list[str]:
        lines = []
        for wire, cell in self.held.items():
            value, at = 0, 0
            for part in cell.ports.get("Q", ()):
                value |= (self.module.init.get(str(part.wire), 0) >> part.low & (1 << part.width) - 1) << at
                at += part.width
            if cell.kind == "$memrd_v2":
                value = int(cell.parameters["INIT_VALUE"])
            for i, field in enumerate(self._words(f"t.s[0].{self.fields[wire]}", self.widths[wire])):
                word = value >> LIMB * i & (1 << LIMB) - 1
                if word:
                    lines.append(f"{field} = {word}ull;")
        return lines

    def _first_memories(self) -> list[str]:
        lines = []
        for cell in self.module.cells:
            if cell.kind.startswith("$meminit"):
                (data,) = cell.ports["DATA"] or (Bits(None, 0, 0),)
                name = str(cell.parameters["MEMID"])
                held = self.module.memories[name]
                first = sum(part.low for part in cell.ports["ADDR"])
                for word in range(int(cell.parameters["WORDS"])):
                    value = data.low >> held.width * word & (1 << held.width) - 1
                    for i in range(len(limbs(held.width))):
                        part = value >> LIMB * i & (1 << LIMB) - 1
                        if part:
                            place = f"[{first + word}]" + (f"[{i}]" if held.width > LIMB else "")
                            lines.append(f"t.m_{identifier(name)}{place} = {part}ull;")
        return lines


def _port_type(bits: int) -> str:
    return "uint64_t" if bits > LIMB else c_type(bits)


def translate(module: Module) -> str:
    """C++ of a module. Raises :class:`~sim.rtlil.NotServed` for what it does not know."""
    return Translation(module).text()
