"""The command that measures: bench."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rtl_gen.commands.output import add_json, print_json, print_table, shown

PHOTOS = 16
MODELS = Path("models")

HARDWARE = {
    "preset": "network", "target": "target", "multipliers": "multipliers",
    "products_per_multiplier": "products each", "cycles_alone": "cycles alone",
    "cycles_in_stream": "in a stream", "bound_cycles": "bound", "busy": "busy", "frames_per_second": "frames/s",
    "latency_cycles": "latency", "ram_bits": "RAM bits", "block_rams": "block RAMs", "luts": "LUTs",
    "ffs": "flip-flops", "logic_cells": "logic cells", "generation_seconds": "generation, s",
}  # fmt: skip
SIMULATORS = {
    "simulator": "simulator", "preset": "network", "target": "target", "cycles": "cycles",
    "making_seconds": "made in, s", "seconds": "ran, s", "cycles_per_second": "cycles/s",
}  # fmt: skip
PLACED = {
    "preset": "network", "board": "board", "target": "target", "luts": "LUTs", "ffs": "flip-flops",
    "logic_cells": "logic cells", "block_rams": "block RAMs", "multipliers": "multipliers", "mhz": "asked, MHz",
    "fmax_mhz": "reached, MHz", "frames_per_second": "frames/s",
}  # fmt: skip
ABOUT = """Bound: products of the network over those that the multipliers can make in a cycle, the fewest cycles there
can be. Frames a second: in a stream, at the clock of the target's entry in `rtl_gen/targets.toml`. Latency: cycles
from the last row to the decision. LUTs, flip-flops and logic cells of the first table are predicted (docs/targets.md),
those of boards are counted. Seconds are the processor's, of the machine that ran this; cycles and bits are the same
everywhere."""


def register(commands: Any) -> None:
    """Add this group's parser."""
    sub = commands.add_parser("bench", help="figures of every network on every target, and how fast simulations are")
    sub.add_argument("--preset", action="append", help="only this network; may be given again")
    sub.add_argument("--target", action="append", help="only this target; may be given again")
    sub.add_argument("--photos", type=int, default=PHOTOS, help=f"photos of the evaluation that is timed; {PHOTOS}")
    sub.add_argument(
        "--board", action="append", metavar="NAME[:TARGET]", help="also place and route for this board: minutes each"
    )
    sub.add_argument("--model", action="append", type=Path, help="for boards only this model, not all in models/")
    sub.add_argument("-o", "--out", type=Path, metavar="FILE.md", help="write the tables here too")
    add_json(sub)
    sub.set_defaults(call=bench)


def bench(args: argparse.Namespace) -> None:
    """Measure, then tables or JSON."""
    from fpga.boards import board
    from fpga.steps import Steps
    from rasca_nn.config import PRESETS, preset
    from rasca_nn.errors import RascaError
    from rasca_nn.int8_file import Int8Model
    from rtl_gen.target import load_target, target_names
    from sim.bench import bench as measure

    if args.out and not args.out.parent.is_dir():
        raise RascaError(f"{args.out}: there is no folder {args.out.parent}; make it first")
    if args.photos < 1:
        raise RascaError(f"--photos must be at least 1, not {args.photos}")
    places = [name.partition(":") for name in args.board or ()]
    boards = [(board(name).name, target or board(name).target) for name, _, target in places]
    models = args.model or sorted(MODELS.glob("*.int8"))
    if boards and not models:
        raise RascaError(f"no *.int8 in {MODELS}; name one with --model")
    for model in models:
        Int8Model.load(model)
    presets = [preset(name).name for name in args.preset or PRESETS]
    targets = args.target or target_names()
    for target in [*targets, *(target for _, target in boards)]:
        load_target(target)
    count = 0

    def step(name: str) -> None:
        nonlocal count
        count += 1
        steps.begin(count, total, name)

    total = len(presets) * len(targets) + len(boards) * len(models) + 5
    with Steps() as steps:
        found = measure(presets, targets, photos=args.photos, boards=boards, models=models, step=step)
    if args.out:
        args.out.write_text(markdown(found, args))
    if args.json:
        print_json(found)
        return
    for title, columns, rows in tables(found):
        print_table(tuple(columns.values()), rows, title=title)
    for line in remarks(found):
        print(line)


def tables(found: dict[str, Any]) -> list[tuple[str, dict[str, str], list[tuple[Any, ...]]]]:
    """(Title, columns, rows)."""
    kinds = (("Hardware", HARDWARE, "hardware"), ("Simulators", SIMULATORS, "simulators"), ("Boards", PLACED, "placed"))
    return [
        (title, columns, [_cells(row, columns) for row in found[key] if not _failure(row)])
        for title, columns, key in kinds
        if key in found
    ]


def remarks(found: dict[str, Any]) -> list[str]:
    """What does not fit into the tables."""
    rows = [*found["hardware"], *found.get("placed", [])]
    lines = [f"{row['preset']} on {row.get('board', row['target'])}: {_failure(row)}" for row in rows if _failure(row)]
    unpredicted = [row for row in found["hardware"] if "unpredicted" in row]
    for reason in dict.fromkeys(row["unpredicted"] for row in unpredicted):
        which = (f"{row['preset']} on {row['target']}" for row in unpredicted if row["unpredicted"] == reason)
        lines.append(f"LUTs are not predicted of {', '.join(which)}: {reason}")
    if "evaluation" in found:
        e = found["evaluation"]
        lines.append(
            f"Evaluation of {e['photos']} photos, {e['preset']} on {e['target']}: {e['photos_per_second']} photos a "
            f"second on {e['cores']} cores, {e['photos_per_processor_second']} a second of processor time; "
            f"{e['compared']:,} values compared, none differs."
        )
    return [*lines, "Tools: " + ", ".join(f"{name} {version}" for name, version in found["tools"].items()) + "."]


def markdown(found: dict[str, Any], args: argparse.Namespace) -> str:
    """The tables as a page that says how it was made."""
    options = [f" --preset {name}" for name in args.preset or ()] + [f" --target {name}" for name in args.target or ()]
    options += [f" --photos {args.photos}"] * (args.photos != PHOTOS)
    options += [f" --board {name}" for name in args.board or ()]
    options += [f" --model {shown(path)}" for path in args.model or ()]
    lines = ["# Benchmarks", "", f"`rasca bench{''.join(options)} -o {shown(args.out)}` made this page.", "", ABOUT]
    for title, columns, rows in tables(found):
        lines += ["", f"## {title}", "", "| " + " | ".join(columns.values()) + " |", "|---" * len(columns) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", *(f"- {line}" for line in remarks(found))]) + "\n"


def _failure(row: dict[str, Any]) -> str | None:
    return row.get("refused") or row.get("failed")


def _cells(row: dict[str, Any], columns: dict[str, str]) -> tuple[str, ...]:
    """What is not counted may be predicted."""
    every = {**row.get("predicted", {}), **row}
    return tuple(_cell(every.get(key)) for key in columns)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
