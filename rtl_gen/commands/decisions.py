"""Commands about how the network comes to its decision: thresholds, explain."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from rtl_gen.commands.output import DATA_HELP, add_json, print_json, print_table, progress, shown
from rtl_gen.commands.rule import add_rule, rule_from


def register(commands: Any) -> None:
    """Add this group's parsers."""
    sub = commands.add_parser("thresholds", help="choose the rule of early termination on labelled photos")
    sub.add_argument("model", type=Path, help="integer model (.int8)")
    sub.add_argument("--data", required=True, type=Path, help=DATA_HELP)
    sub.add_argument("--split", default="auto", help="train, val or all; default val, or all where none is given")
    sub.add_argument("--limit", type=int, help="only so many photos, spread evenly")
    sub.add_argument("--threshold", type=float, nargs="+", metavar="P", help="confidences to try; default 0.5 to 0.99")
    sub.add_argument("--consecutive", type=int, nargs="+", metavar="N", help="steps in a row to try; default 1 2 3 4")
    sub.add_argument(
        "--tolerance", type=float, default=0.0, metavar="X", help="balanced accuracy that may be lost; default 0"
    )
    sub.add_argument("-o", "--out", type=Path, metavar="FILE.png", help="histogram of the rule chosen")
    sub.add_argument("--results", type=Path, metavar="FILE.md", help="also write the table into this file")
    add_json(sub)
    sub.set_defaults(call=thresholds)

    sub = commands.add_parser("explain", help="a picture of why an image is decided as it is")
    sub.add_argument("model", type=Path, help="integer model (.int8) or float model (.float)")
    sub.add_argument("image", type=Path)
    sub.add_argument("-o", "--out", required=True, type=Path, metavar="FILE.png")
    add_rule(sub, "the paper's, 0.99 in 2 steps in a row, unless --threshold is given")
    add_json(sub)
    sub.set_defaults(call=explain)


def thresholds(args: argparse.Namespace) -> None:
    """Every rule on the photos, and the one that saves most without losing accuracy."""
    from rasca_nn import thresholds as study
    from rasca_nn.data import load_folder
    from rasca_nn.errors import RascaError
    from rasca_nn.figure import check_name
    from rasca_nn.int8_file import Int8Model
    from rasca_nn.sections import check_markdown, write
    from rasca_nn.termination import Rule

    if args.out:
        check_name(args.out)
    if args.results:
        check_markdown(args.results)
    tried = args.threshold or study.THRESHOLDS, args.consecutive or study.CONSECUTIVE
    for threshold in tried[0]:
        for count in tried[1]:
            Rule(threshold, count)
    if not 0 <= args.tolerance <= 1:
        raise RascaError(f"--tolerance must be 0 to 1, not {args.tolerance:g}")
    model = Int8Model.load(args.model)
    if args.consecutive and max(args.consecutive) > model.config.steps:
        raise RascaError(f"--consecutive must be at most {model.config.steps}, the steps of {model.config.name}")
    size = (model.config.height, model.config.width)
    split = None if args.split == "all" else args.split
    with progress("reading photos") as tell:
        photos = load_folder(args.data, *size, split=split, limit=args.limit, progress=tell)
    with progress("photos") as tell:
        scores = study.score(model, photos, tell)
    without, outcomes = study.whole(scores), study.table(scores, *tried)
    chosen = study.choose(outcomes, without["balanced_accuracy"], args.tolerance)
    if args.out:
        study.draw(scores, Rule(chosen.threshold, chosen.consecutive) if chosen else Rule(), args.out)
    title = f"{model.config.name}, {len(photos)} photos, {model.config.steps} steps"
    verdict, cells = study.verdict(chosen), study.lines(outcomes, without, model.config.steps)
    if args.results:
        section = study.section(title, cells, verdict, _command(args))
        write(args.results, f"thresholds {model.config.name}", section)
    if args.json:
        rows = [found.to_dict() for found in outcomes]
        print_json({"without": without, "rules": rows, "chosen": chosen.to_dict() if chosen else None})
        return
    print_table(study.COLUMNS, cells, title=title, right=range(len(study.COLUMNS)))
    print(verdict)
    for path in filter(None, (args.out, args.results)):
        print(path)


def _command(args: argparse.Namespace) -> str:
    """What makes the table again, without the machine's paths."""
    words = ["rasca", "thresholds", shown(args.model), "--data", "DIR", "--results", shown(args.results)]
    for name in ("split", "limit", "threshold", "consecutive", "tolerance"):
        value = getattr(args, name)
        if value not in (None, "auto", 0.0):
            words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)


def explain(args: argparse.Namespace) -> None:
    """Confidence along the rows, activation map, and where the rule decides."""
    from rasca_nn import explain as explaining
    from rasca_nn.data import load_image
    from rasca_nn.evaluate import load_model
    from rasca_nn.figure import check_name
    from rasca_nn.termination import Rule

    check_name(args.out)
    rule = rule_from(args) or Rule()
    model = load_model(args.model)
    pixels = load_image(args.image, model.config.height, model.config.width)
    found = explaining.explain(model, pixels, rule)
    answer = found.probability
    explaining.draw(found, args.out, f"{args.image.name}: {'person' if answer > 0.5 else 'no person'}, {answer:.3f}")
    if args.json:
        print_json({"picture": str(args.out), **found.to_dict()})
        return
    total = len(found.confidence)
    print("confidence after each step: " + " ".join(f"{p:.2f}" for p in found.confidence))
    early, late = f"decided after step {found.step} of {total}", f"not decided before step {total}, the last"
    print(f"{early if found.early else late}: probability of a person {answer:.4f}")
    print(args.out)
