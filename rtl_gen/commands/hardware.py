"""Commands about generated hardware: generate, sim."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from rtl_gen.commands.output import add_json, print_json, print_table


def register(commands: Any) -> None:
    """Add this group's parsers."""
    sub = commands.add_parser("generate", help="accelerator of a model for a target: Verilog, memories, manifest")
    sub.add_argument("model", type=Path, help="integer model")
    sub.add_argument("--target", default="ecp5-85f", help="built-in target or .toml file; default ecp5-85f")
    sub.add_argument("-o", "--out", required=True, type=Path, help="folder to make")
    add_json(sub)
    sub.set_defaults(call=generate)


def generate(args: argparse.Namespace) -> None:
    """Generate and show the estimates."""
    from fpga.steps import Steps
    from rtl_gen.generate import generate as generate_folder
    from rtl_gen.target import load_target

    load_target(args.target)
    with Steps() as steps:
        manifest = generate_folder(args.model, args.target, args.out, report=steps.begin)
    if args.json:
        print_json(manifest)
        return
    cycles, clock, busy = manifest["cycles"], manifest["at_clock"], manifest["busy"]
    rows = [
        ("multipliers", manifest["multipliers"]),
        ("block RAMs", manifest["memory"]["block_rams"]),
        ("RAM bits", manifest["memory"]["bits"]),
        ("cycles a frame, alone", cycles["frame"]),
        ("cycles a frame, in a stream", cycles["frame_in_stream"]),
        ("cycles from the last row to the decision", cycles["latency"]),
        ("multipliers busy in a stream, %", 100 * busy["frame_in_stream"]),
        (f"frames a second at {clock['mhz']} MHz", clock["frames_per_second"]),
    ]
    print_table(("", "estimate"), rows, title=f"{manifest['preset']} on {manifest['target']}: {args.out}")
