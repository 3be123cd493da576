"""Commands about how the network comes to its decision: thresholds, explain."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rtl_gen.commands.output import DATA_HELP, add_json, print_json, print_table, progress
from rtl_gen.commands.rule import add_rule, rule_from


def register(commands: Any) -> None:
    """Add this group's parsers."""
    sub = commands.add_parser("thresholds", help="choose the rule of early termination on labelled photos")
    sub.add_argument("model", type=Path, help="integer model (.int8)")
    sub.add_argument("--data", required=True, type=Path, help=DATA_HELP)
    sub.add_argument("--split", default="auto", help="train, val or all; default val, or all where none is given")
    sub.add_argument("--limit", type=int, help="only so many photos, spread evenly")
    sub.add_argument("--threshold", type=float, nargs="+", metavar="P", help="confidences to try; default 0.6 to 0.999")
    sub.add_argument("--consecutive", type=int, nargs="+", metavar="N", help="steps in a row to try; default 1 2 3")
    sub.add_argument(
        "--tolerance", type=float, default=0.0, metavar="X", help="balanced accuracy that may be lost; default 0"
    )
    sub.add_argument("-o", "--out", type=Path, metavar="FILE.png", help="histogram of the rule chosen")
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
    from rasca_nn.figure import check_name
    from rasca_nn.int8_file import Int8Model
    from rasca_nn.termination import Rule

    if args.out:
        check_name(args.out)
    tried = args.threshold or study.THRESHOLDS, args.consecutive or study.CONSECUTIVE
    for threshold in tried[0]:
        for count in tried[1]:
            Rule(threshold, count)
    model = Int8Model.load(args.model)
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
    if args.json:
        rows = [found.to_dict() for found in outcomes]
        print_json({"without": without, "rules": rows, "chosen": chosen.to_dict() if chosen else None})
        return
    columns: tuple[str, ...] = ("threshold", "in a row", "accuracy", "balanced")
    columns += ("mean step", "MACs saved %", "early %")
    columns += ("persons: mean step", "persons: MACs saved %", "persons: early %")
    total = model.config.steps
    cells: list[tuple[Any, ...]] = [
        (
            *(r.threshold, r.consecutive, r.accuracy, r.balanced_accuracy, r.steps, 100 * r.saved, 100 * r.early),
            *(r.steps_positive, 100 * r.saved_positive, 100 * r.early_positive),
        )
        for r in outcomes
    ]
    never = (float(total), 0.0, 0.0)
    cells.append(("never", "", without["accuracy"], without["balanced_accuracy"], *never, *never))
    print_table(columns, cells, title=f"{model.config.name}, {len(photos)} photos, {total} steps", right=range(2))
    if chosen is None:
        print("no rule keeps the balanced accuracy; allow a loss with --tolerance")
    else:
        print(
            f"chosen: --threshold {chosen.threshold:g} --consecutive {chosen.consecutive}; it saves {chosen.saved:.1%} "
            f"of the multiply-accumulates, {chosen.saved_positive:.1%} on photos of persons"
        )
    if args.out:
        print(args.out)


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
