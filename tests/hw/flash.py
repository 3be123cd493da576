"""A flash model at a port's pins, in Amaranth's simulator."""

from __future__ import annotations

from typing import Any

from sim.flash_model import FlashModel


def at_pins(port: Any, flash: FlashModel) -> Any:
    """The testbench, to run in the background."""

    async def pins(ctx: Any) -> None:
        while True:
            values = [ctx.get(getattr(port, name)) for name in ("cs_n", "clk", "dq_out", "dq_enable")]
            ctx.set(port.dq_in, flash.step(*values))
            await ctx.tick()
            # So that a line is sampled before it changes, whatever the order of the testbenches.
            await ctx.delay(1e-8)

    return pins


def pulses(port: Any, period: int) -> Any:
    """A testbench for the background: 1 in one of `period` cycles on an input."""

    async def beat(ctx: Any) -> None:
        while True:
            for cycle in range(period):
                ctx.set(port, cycle == 0)
                await ctx.tick()

    return beat
