"""The command about another open generator: nngen."""

from __future__ import annotations

import argparse
from typing import Any

from rtl_gen.commands.output import add_json, print_json, print_table

PARALLEL = (2, 4)


def register(commands: Any) -> None:
    """Add this group's parser."""
    sub = commands.add_parser("nngen", help="the heads' convolutions as NNgen makes them, beside ours")
    sub.add_argument("preset", help="network, by name")
    sub.add_argument("--target", default="ecp5-85f", help="ours: a target with two engines; default ecp5-85f")
    sub.add_argument(
        "--parallel", type=int, nargs=2, default=PARALLEL, metavar=("IN", "OUT"), help="NNgen's channels; default 2 4"
    )
    sub.add_argument("--no-synthesis", action="store_true", help="cycles only")
    add_json(sub)
    sub.set_defaults(call=compare)


def compare(args: argparse.Namespace) -> None:
    """A step of all heads."""
    from fpga.steps import Steps
    from fpga.synthesis import flow_of
    from rasca_nn.config import preset
    from rasca_nn.errors import RascaError
    from rtl_gen.target import load_target
    from sim.peers.nngen import nngen, ours

    config, target = preset(args.preset), load_target(args.target)
    for value in args.parallel:
        if value < 1 or value & (value - 1):
            raise RascaError(f"--parallel takes powers of two, not {value}")
    options: dict[str, Any] = {"synthesis": not args.no_synthesis}
    if options["synthesis"]:
        flow_of(target.device)
    count, total = 0, 5 if options["synthesis"] else 4

    def tell(name: str) -> None:
        nonlocal count
        count += 1
        steps.begin(count, total, name)

    with Steps() as steps:
        tell("ours")
        found = [ours(config, args.target, **options)]
        found.append(nngen(config, found[0].products, *args.parallel, device=target.device, tell=tell, **options))
    if args.json:
        print_json([{**vars(one), "bound": one.bound} for one in found])
        return
    names = list(found[0].takes)
    columns = ("made by", "at once", "multipliers", "cycles a step", "bound", "busy, %", *names)
    rows = [
        (
            one.by,
            one.parallel,
            one.multipliers,
            one.cycles,
            one.bound,
            round(100 * one.bound / one.cycles, 1),
            *(one.takes[name] for name in names),
        )
        for one in found
    ]
    print_table(columns, rows, title=f"{config.name}: convolutions of all heads, one step of {config.rows} rows")
