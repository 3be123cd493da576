"""Configures a sensor over SCCB or I2C: writes a list of registers, one after another.

    ROM -> entry -> symbols (start, bits, stop), four quarters each -> scl, sda (open drain)

Each byte's ninth bit is the sensor's acknowledge (in SCCB a don't-care bit, so that it need not be looked at). A
transfer fails if it is not acknowledged, if at any time the bus is not at the level it was set to (so that the sensor
may have seen something else), or if the sensor holds scl low for too long; it is then ended by a stop and tried again.
A sensor that had all but the last bits of a failed transfer may write its register with another value until the next
try. When the tries are used up the sequence ends with `error`, until one that is started again ends well. Nothing waits
without a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

BUS_HZ = 100_000
RETRIES = 3
STRETCH_S = 1e-3
"""How long a sensor may hold scl low."""
MIN_QUARTER = 8
"""Clock cycles of a quarter of a bit: what comes back from the pins is some cycles late."""
RECOVERY_CLOCKS = 9
"""A sensor stuck in a transfer holds sda no longer."""
STOP = ((0, 0), (1, 0), (1, 0), (1, 1))
"""(scl, sda) in the quarters of a stop."""
RELEASED = Const(1, 1)
"""The bit in which the sensor acknowledges."""
VALUE_BITS = 20


@dataclass(frozen=True)
class Write:
    """A register to be written. `pause`: instead a wait of `value` microseconds."""

    address: int
    value: int
    pause: bool = False


class Line(wiring.Component):
    """An open-drain pin as it is read: synchronised, the majority of three cycles, so that glitches are not seen."""

    def __init__(self) -> None:
        super().__init__({"pin": In(1, init=1), "level": Out(1, init=1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        synced = Signal(init=1)
        history = Signal(2, init=0b11)
        m.submodules.synchronizer = FFSynchronizer(self.pin, synced, init=1)
        m.d.sync += [
            history.eq(Cat(synced, history[0])),
            self.level.eq((synced & history[0]) | (synced & history[1]) | (history[0] & history[1])),
        ]
        return m


class RegisterSequence(wiring.Component):
    """Writes the registers in their order, each as start, device, address (high byte first), value, stop.

    Parameters
    ----------
    writes : what to write; at least one.
    device : 7-bit address of the sensor.
    wide : whether registers have addresses of two bytes.
    clock_hz, bus_hz : of `sync` and of scl.
    check_ack : whether a missing acknowledge is a failure.
    retries : tries of a register after the first.

    Members
    -------
    start : begin, or begin again; looked at while `busy` is 0.
    busy : the sequence runs. done : it ended well.
    error : the last one that ended, ended at register `failed`, after all tries; steady during the next one.
    scl_low, sda_low : pull the pin low, else leave it to its pull-up.
    scl, sda : the pins as they are, asynchronous.

    Raises
    ------
    ValueError
        If a quarter of a bit is shorter than 8 cycles, or a write or the device is out of range.
    """

    def __init__(
        self,
        *,
        writes: Sequence[Write],
        device: int,
        wide: bool,
        clock_hz: float,
        bus_hz: float = BUS_HZ,
        check_ack: bool = True,
        retries: int = RETRIES,
    ) -> None:
        self.quarter = round(clock_hz / (4 * bus_hz))
        if self.quarter < MIN_QUARTER:
            raise ValueError(f"bus_hz must be at most {clock_hz / (4 * MIN_QUARTER):.0f}, not {bus_hz!r}")
        if not 0 <= device < 128:
            raise ValueError(f"device must be 0 to 127, not {device!r}")
        if not writes:
            raise ValueError("writes must hold at least one register")
        for write in writes:
            limit = 1 << (VALUE_BITS if write.pause else 8)
            if not 0 <= write.value < limit or not 0 <= write.address < 1 << (16 if wide else 8):
                raise ValueError(f"writes must be in range, not {write!r}")
        if not 0 <= retries < 16:
            raise ValueError(f"retries must be 0 to 15, not {retries!r}")
        self.writes = list(writes)
        self.device = device
        self.wide = wide
        self.microsecond = max(1, -(-round(clock_hz) // 1_000_000))
        self.stretch = max(2, round(clock_hz * STRETCH_S))
        self.check_ack = check_ack
        self.retries = retries
        super().__init__(
            {
                "start": In(1),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(1),
                "failed": Out(range(len(self.writes))),
                "scl_low": Out(1),
                "sda_low": Out(1),
                "scl": In(1, init=1),
                "sda": In(1, init=1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.scl_line = scl = Line()
        m.submodules.sda_line = sda = Line()
        m.d.comb += [scl.pin.eq(self.scl), sda.pin.eq(self.sda)]
        address_bits = 16 if self.wide else 8
        init = [w.value | w.address << VALUE_BITS | w.pause << (VALUE_BITS + address_bits) for w in self.writes]
        m.submodules.rom = rom = memory.Memory(shape=VALUE_BITS + address_bits + 1, depth=len(init), init=init)
        entry = rom.read_port()
        index = self.failed
        value, address = entry.data[:VALUE_BITS], entry.data[VALUE_BITS:-1]
        m.d.comb += entry.addr.eq(index)

        # A transfer's bits, the next one highest; a released bit behind each byte.
        count = 9 * (4 if self.wide else 3)
        parts = [value[:8], address[:8], *([address[8:]] if self.wide else []), Const(self.device << 1, 8)]
        frame = Cat(Cat(RELEASED, part) for part in parts)
        bits = Signal(count)
        left = Signal(range(count + 1))
        ninth = Signal(range(9))
        tries = Signal(range(self.retries + 2))
        recovering = Signal()

        timer = Signal(range(max(self.quarter, self.microsecond)))
        phase = Signal(2)
        held = Signal(range(self.stretch + 1))
        tick, waits = Signal(), Signal()
        # Cycles in which scl is released and not high yet do not count.
        m.d.comb += [waits.eq(~self.scl_low & ~scl.level & (phase != 0)), tick.eq((timer == 0) & ~waits)]
        failure = Signal()
        # scl has been at the level it was set to: from then on it must stay there. sda as it was when scl rose.
        was_high, was_low, steady = Signal(), Signal(), Signal()
        m.d.sync += [
            was_high.eq(~self.scl_low & (was_high | scl.level)),
            was_low.eq(self.scl_low & (was_low | ~scl.level)),
        ]
        left_us = Signal(VALUE_BITS)

        def quarters(levels: Sequence[tuple[Any, Any]]) -> None:
            """Pulls (scl, sda) low in each quarter; `tick` ends a quarter."""
            lows = Array(~Cat(clock, data) for clock, data in levels)
            m.d.sync += Cat(self.scl_low, self.sda_low).eq(lows[phase])
            with m.If(timer != 0):
                m.d.sync += timer.eq(timer - 1)
            with m.If(waits):
                m.d.sync += held.eq(held + 1)
                with m.If(held == self.stretch):
                    m.d.comb += failure.eq(1)
            with m.If(tick):
                m.d.sync += [timer.eq(self.quarter - 1), phase.eq(phase + 1), held.eq(0)]
            strays = Mux(self.scl_low, scl.level & (was_low | tick), ~scl.level & was_high)
            with m.If(strays & ~recovering):
                m.d.comb += failure.eq(1)

        def next_state(name: str) -> None:
            """At the end of a symbol."""
            with m.If(tick & (phase == 3)):
                m.next = name
            with m.If(failure):
                m.next = "Failed"

        with m.FSM():
            with m.State("Idle"):
                m.d.sync += [self.scl_low.eq(0), self.sda_low.eq(0)]
                with m.If(self.start):
                    m.d.sync += [self.busy.eq(1), self.done.eq(0), index.eq(0), tries.eq(0)]
                    m.next = "Fetch"
            with m.State("Fetch"):
                # The ROM's output is there a cycle later.
                m.d.sync += [timer.eq(self.quarter - 1), phase.eq(0), held.eq(0)]
                m.d.sync += [recovering.eq(1), left.eq(RECOVERY_CLOCKS)]
                m.next = "Entry"
            with m.State("Entry"):
                m.d.sync += left_us.eq(value)
                m.next = "Free"
                with m.If(entry.data[-1]):
                    m.d.sync += timer.eq(self.microsecond - 1)
                    m.next = "Pause"
                with m.Elif((index != 0) & (tries == 0)):
                    m.next = "Start"
            with m.State("Pause"):
                m.d.sync += timer.eq(timer - 1)
                with m.If(left_us == 0):
                    m.next = "Next"
                with m.Elif(timer == 0):
                    m.d.sync += [timer.eq(self.microsecond - 1), left_us.eq(left_us - 1)]
            with m.State("Free"):
                # A stop; and again, where the sensor held sda low so that it was none.
                quarters(STOP)
                with m.If(tick & (phase == 3)):
                    m.d.sync += left.eq(left - 1)
                    with m.If(sda.level | (left == 1)):
                        m.next = "Start"
                with m.If(failure):
                    m.next = "Failed"
            with m.State("Start"):
                m.d.sync += [recovering.eq(0), bits.eq(frame), left.eq(count), ninth.eq(0)]
                quarters([(1, 1), (1, 1), (1, 0), (0, 0)])
                with m.If(tick & (phase == 1) & ~sda.level):
                    m.d.comb += failure.eq(1)
                next_state("Bits")
            with m.State("Bits"):
                bit = bits[-1]
                quarters([(0, bit), (1, bit), (1, bit), (0, bit)])
                with m.If(tick & (phase == 0)):
                    m.d.sync += steady.eq(sda.level)
                # From scl's rise on, and behind its fall unless the sensor may take sda there for its acknowledge.
                with m.If((phase != 0) & (was_high | (phase == 3))):
                    if self.check_ack:
                        with m.If((ninth == 8) & (phase != 3) & (sda.level | steady)):
                            m.d.comb += failure.eq(1)
                    with m.If((ninth != 8) & ((phase != 3) | (ninth != 7)) & (sda.level != bit)):
                        m.d.comb += failure.eq(1)
                with m.If(tick & (phase == 3)):
                    m.d.sync += [bits.eq(bits << 1), left.eq(left - 1), ninth.eq(Mux(ninth == 8, 0, ninth + 1))]
                with m.If(left == 1):
                    next_state("Stop")
                with m.Elif(failure):
                    m.next = "Failed"
            with m.State("Stop"):
                quarters(STOP)
                with m.If((tick & (phase == 3) & ~sda.level) | (was_high & (phase != 3) & sda.level)):
                    m.d.comb += failure.eq(1)
                next_state("Next")
            with m.State("Next"):
                m.d.sync += [tries.eq(0), index.eq(index + 1)]
                m.next = "Fetch"
                with m.If(index == len(self.writes) - 1):
                    m.d.sync += [self.busy.eq(0), self.done.eq(1), self.error.eq(0), index.eq(index)]
                    m.next = "Idle"
            with m.State("Failed"):
                # scl stays where it is: another edge would be another bit.
                m.d.sync += [self.sda_low.eq(0), tries.eq(tries + 1)]
                m.next = "Fetch"
                with m.If(tries == self.retries):
                    m.d.sync += [self.busy.eq(0), self.error.eq(1)]
                    m.next = "Idle"
        return m
