"""The command that trains the paper's ablations: ablate."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path
from typing import Any

from rtl_gen.commands.network import add_options, options_from
from rtl_gen.commands.output import DATA_HELP, add_json, print_json, print_table, shown

PAPERS = {"box_weight": 0.0}
"""Options other than in rasca train: the loss is the paper's alone."""
VARIED = ("confidence", "fold", "qat", "seed")
"""Options that the variants set, or that have no meaning here."""


def register(commands: Any) -> None:
    """Add this group's parser."""
    sub = commands.add_parser("ablate", help="train the variants of the paper's tables 1 to 3 and write the tables")
    sub.add_argument("--data", required=True, type=Path, help=DATA_HELP)
    sub.add_argument(
        "-o",
        "--out",
        required=True,
        type=Path,
        metavar="FILE.md",
        help="where the tables go; FILE.json keeps the figures",
    )
    sub.add_argument("--preset", default="released-105x120", help="the network to vary; default released-105x120")
    sub.add_argument("--runs", type=Path, help="folder of the runs; default runs/ablate-PRESET")
    sub.add_argument("--seeds", type=int, nargs="+", default=[1, 2], metavar="N", help="default 1 2")
    sub.add_argument("--only", nargs="+", default=[], metavar="VARIANT", help="of all variants only these")
    sub.add_argument("--plan", action="store_true", help="show the runs and which of them are done, train nothing")
    sub.add_argument("--cache", type=Path, help="folder that keeps the decoded photos")
    sub.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default auto: a GPU if any")
    add_options(sub, PAPERS, without=VARIED)
    add_json(sub)
    sub.set_defaults(call=ablate)


def _command(args: argparse.Namespace) -> str:
    """What makes the runs again, without the machine's paths."""
    from rasca_nn.options import Options

    words = ["rasca", "ablate", "--data", "DIR", "-o", shown(args.out), "--preset", args.preset]
    words += ["--seeds", *map(str, args.seeds)]
    for field in fields(Options):
        default = PAPERS.get(field.name, field.default)
        value = getattr(args, field.name, default)
        name = field.name.replace("_", "-")
        if isinstance(value, bool) and value != default:
            words.append(f"--{name}" if value else f"--no-{name}")
        elif value != default:
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def ablate(args: argparse.Namespace) -> None:
    """Make the runs that are not done; a stopped one goes on from its checkpoint."""
    from rasca_nn.config import preset
    from rasca_nn.errors import RascaError
    from rasca_nn.sections import check_markdown

    check_markdown(args.out)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RascaError("rasca ablate is one process; give each machine or GPU some variants with --only")
    base, options = preset(args.preset), options_from(args)
    from rasca_nn.ablate import make_all, plan

    folder = args.runs or Path("runs") / f"ablate-{args.preset}"
    chosen = plan(base, options, args.seeds, folder, args.out, _command(args), args.only)
    if not args.plan:
        # What training says is no part of a report.
        with redirect_stdout(sys.stderr if args.json else sys.stdout):
            make_all(chosen, args.data, cache=args.cache, device=args.device)
    done = chosen.results()
    states = [(run, done.get(run.name)) for run in chosen.todo]
    if args.json:
        print_json([{"run": run.name, "folder": str(run.folder), "result": result} for run, result in states])
        return
    columns = ("run", "heads", "channels", "confidence", "balanced accuracy", "folder")
    rows = [
        (
            *(run.name, run.variant.config.heads, " ".join(map(str, run.variant.config.channels))),
            *(run.variant.options.get("confidence", "proposed"), result["balanced_accuracy"] if result else "to do"),
            str(run.folder),
        )
        for run, result in states
    ]
    print_table(columns, rows)
