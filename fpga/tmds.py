"""TMDS, as DVI 1.0 has it: bytes to symbols of ten bits in the domain `pixel`, and those to pins, two bits a cycle of
`shift`, which is five times as fast.

    colours, syncs -> Encoder x 3 -> word, toggle -> | -> Serializer -> tmds         (pixel | shift)

No phase between the two clocks is asked for, only that one is five times the other: the serializer sees the word
change by a toggle and takes it two to three of its cycles later, in the middle of the time in which it stands.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from fpga.video import DOMAIN

SHIFT = "shift"
BITS = 10
CYCLES = 5
"""Of `shift` a symbol."""
CHANNELS = 3
"""Blue with the syncs, green, red."""
CLOCK = 0b0000011111
"""What the clock's pair sends in each symbol, lowest bit first."""
CONTROL = (0b1101010100, 0b0010101011, 0b0101010100, 0b1010101011)
"""Symbols outside the picture, by hsync + 2 vsync (of the blue channel; 0 in the others)."""


class Encoder(wiring.Component):
    """A byte to a symbol, two cycles of `pixel` later, with few transitions and as many ones as zeros over time.

    Members
    -------
    byte, active : the colour, in the picture. control : else two bits.
    symbol : sent lowest bit first.
    """

    def __init__(self) -> None:
        super().__init__({"byte": In(8), "active": In(1), "control": In(2), "symbol": Out(BITS)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pixel = m.d[DOMAIN]
        # Fewer transitions: each bit is the XOR, or the XNOR, of the byte's bits up to it.
        byte = self.byte
        ones = sum((byte[i] for i in range(1, 8)), byte[0])
        inverts = Signal()
        m.d.comb += inverts.eq((ones > 4) | ((ones == 4) & ~byte[0]))
        chain = [byte[0]]
        for i in range(1, 8):
            chain.append(chain[-1] ^ byte[i] ^ inverts)
        word, plain = Signal(8), Signal()
        active, control = Signal(), Signal(2)
        pixel += [word.eq(Cat(chain)), plain.eq(~inverts), active.eq(self.active), control.eq(self.control)]
        # As many ones as zeros: `surplus` is ones minus zeros sent so far, halved.
        surplus = Signal(signed(5))
        excess = Signal(signed(5))
        flip = Signal()
        m.d.comb += excess.eq(sum((word[i] for i in range(1, 8)), word[0]) - 4)
        balanced = (surplus == 0) | (excess == 0)
        m.d.comb += flip.eq(Mux(balanced, ~plain, (surplus > 0) == (excess > 0)))
        with m.If(active):
            pixel += self.symbol.eq(Cat(word ^ flip.replicate(8), plain, flip))
            tail = plain + flip - 1
            pixel += surplus.eq(surplus + Mux(flip, -excess, excess) + tail)
        with m.Else():
            pixel += surplus.eq(0)
            with m.Switch(control):
                for i, symbol in enumerate(CONTROL):
                    with m.Case(i):
                        pixel += self.symbol.eq(symbol)
        return m


class Serializer(wiring.Component):
    """Symbols to pairs of bits.

    Members
    -------
    symbols : one each cycle of `pixel`.
    tmds : blue, green, red and clock; two bits each in each cycle of `shift`, the lower one first.
    """

    def __init__(self) -> None:
        super().__init__({"symbols": In(data.ArrayLayout(BITS, CHANNELS)), "tmds": Out(2).array(CHANNELS + 1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        pixel, shift = m.d[DOMAIN], m.d[SHIFT]
        words = Signal(data.ArrayLayout(BITS, CHANNELS))
        toggle = Signal()
        pixel += [words.eq(self.symbols), toggle.eq(~toggle)]

        synced, before, change = Signal(), Signal(), Signal()
        m.submodules.toggle = FFSynchronizer(toggle, synced, o_domain=SHIFT)
        shift += before.eq(synced)
        m.d.comb += change.eq(synced ^ before)
        # Free-running, so that a toggle seen a cycle earlier or later moves nothing; set anew where it is further off.
        phase = Signal(range(CYCLES))
        middle = CYCLES // 2
        off = (phase == 0) | (phase == CYCLES - 1)
        load = (phase == middle) | (change & off)
        shift += phase.eq(Mux(phase == CYCLES - 1, 0, phase + 1))
        with m.If(change & off):
            shift += phase.eq(middle + 1)
        for channel in range(CHANNELS + 1):
            bits = Signal(BITS, name=f"bits{channel}")
            word = words[channel] if channel < CHANNELS else Const(CLOCK, BITS)
            shift += bits.eq(Mux(load, word, bits >> 2))
            m.d.comb += self.tmds[channel].eq(bits[:2])
        return m


class Dvi(wiring.Component):
    """Pixels to pairs of bits; five cycles of `pixel` at most.

    Members
    -------
    r, g, b : colour where `active`. hsync, vsync : of the pixel.
    tmds : see :class:`Serializer`.
    """

    def __init__(self) -> None:
        colours = {name: In(8) for name in "rgb"}
        super().__init__(
            {**colours, "active": In(1), "hsync": In(1), "vsync": In(1), "tmds": Out(2).array(CHANNELS + 1)}
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.serializer = serializer = Serializer()
        for i, byte in enumerate((self.b, self.g, self.r)):
            m.submodules[f"encoder{i}"] = encoder = Encoder()
            m.d.comb += [
                encoder.byte.eq(byte),
                encoder.active.eq(self.active),
                encoder.control.eq(Cat(self.hsync, self.vsync) if i == 0 else 0),
                serializer.symbols[i].eq(encoder.symbol),
            ]
        m.d.comb += [self.tmds[i].eq(serializer.tmds[i]) for i in range(CHANNELS + 1)]
        return m
