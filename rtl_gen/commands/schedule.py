"""The command about where the cycles go: schedule."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rtl_gen.commands.output import add_json, print_json, print_table


def register(commands: Any) -> None:
    """Add this group's parser."""
    sub = commands.add_parser("schedule", help="where an accelerator's cycles go, layer by layer, and as a picture")
    sub.add_argument("model", type=Path, help="integer model (.int8)")
    sub.add_argument("--target", default="ecp5-85f", help="built-in target or .toml file; default ecp5-85f")
    sub.add_argument("-o", "--out", type=Path, metavar="FILE.png", help="draw both engines over one step")
    add_json(sub)
    sub.set_defaults(call=schedule)


def schedule(args: argparse.Namespace) -> None:
    """A table an engine; the cycles of a kind are its places over the array's products a cycle."""
    from rasca_nn.figure import check_name
    from rasca_nn.int8_file import Int8Model
    from rtl_gen.build import build
    from rtl_gen.occupancy import KINDS, occupancy
    from rtl_gen.schedule_picture import draw
    from rtl_gen.target import load_target

    if args.out:
        check_name(args.out)
    made = build(Int8Model.load(args.model), load_target(args.target))
    found = occupancy(made)
    if args.out:
        draw(found, args.out)
    if args.json:
        print_json(found.to_dict())
        return
    title = f"{made.model.config.name} on {made.target.name}, a frame in a stream: {found.frame.interval:,} cycles"
    print(f"{title}, {found.busy:.1%} of all multipliers busy")
    for engine in found.engines:
        rows = [
            (use.layer, use.runs, use.cycles, *(round(use.uses[kind] / engine.array, 1) for kind in KINDS))
            for use in engine.layers
        ]
        total = [engine.uses[kind] for kind in KINDS]
        rows.append(("all", "", engine.cycles, *(round(v / engine.array, 1) for v in total)))
        share = (f"{v / (engine.array * engine.cycles):.1%}" for v in total)
        shown = [tuple(map(_shown, row)) for row in rows]
        columns = ("layer", "runs", "cycles", *KINDS)
        name = f"{engine.name}: {engine.array} products a cycle, {engine.others} multipliers beside the array"
        print_table(columns, [*shown, ("share", "", "", *share)], title=name, right=range(1, len(columns)))
    for kind, meaning in KINDS.items():
        print(f"  {kind:10} {meaning}")


def _shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else value
