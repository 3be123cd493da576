"""The host's end of a UART, as simulation testbenches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from amaranth.hdl import Module
from amaranth.sim import Simulator


async def send(ctx: Any, pin: Any, raw: Iterable[int], cycles: float, *, stop: int = 1) -> None:
    """Send bytes with a bit time of `cycles` clock cycles, which need not be whole."""
    at = 0.0
    done = 0
    for value in raw:
        for bit in (0, *((value >> n) & 1 for n in range(8)), stop):
            ctx.set(pin, bit)
            at += cycles
            await ctx.tick().repeat(round(at) - done)
            done = round(at)
        ctx.set(pin, 1)


async def ticks(ctx: Any, count: int) -> None:
    """Wait. For background testbenches: one that is left in `.repeat()` or `.until()` fails when it is collected."""
    for _ in range(count):
        await ctx.tick()


async def receive(ctx: Any, pin: Any, cycles: float, got: Callable[[int], None]) -> None:
    """For ever: hand each byte on the pin to `got`; the stop bit must be right."""
    while True:
        while ctx.get(pin):
            await ctx.tick()
        at, done, bits = cycles / 2, 0, []
        for _ in range(10):
            await ticks(ctx, round(at) - done)
            done = round(at)
            bits.append(ctx.get(pin))
            at += cycles
        assert bits[0] == 0, "glitch on the line"
        assert bits[9] == 1, "no stop bit"
        got(sum(bit << n for n, bit in enumerate(bits[1:9])))


def simulate(top: Module, *testbenches: Any, background: Iterable[Any] = (), limit: int = 200_000) -> None:
    """Run testbenches to their ends; one that does not end within `limit` cycles is a failure."""

    async def watchdog(ctx: Any) -> None:
        await ticks(ctx, limit)
        raise AssertionError(f"no end after {limit} cycles")

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    for testbench in (*background, watchdog):
        simulator.add_testbench(testbench, background=True)
    simulator.run()
