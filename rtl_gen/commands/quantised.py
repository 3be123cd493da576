"""Commands about the integer model: quantize, evaluate, card."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rtl_gen.commands.output import DATA_HELP, add_json, print_json, print_table, progress
from rtl_gen.commands.rule import add_rule, rule_from

TARGET = "ecp5-85f"
PHOTOS = 200
"""Calibration photos where nothing else is asked for."""

RTL_HELP = "what rasca evaluate --engine rtl --json printed about the same model"


def register(commands: Any) -> None:
    """Add this group's parsers."""
    sub = commands.add_parser("quantize", help="calibrate a float model on photos, give the integer model")
    sub.add_argument("model", type=Path, help="float model")
    sub.add_argument("--data", required=True, type=Path, help=DATA_HELP)
    sub.add_argument("-o", "--out", required=True, type=Path, help="integer model to write (.int8)")
    sub.add_argument("--photos", type=int, default=PHOTOS, help=f"calibration photos, default {PHOTOS}")
    sub.add_argument("--split", default="train", help="train, val or all; default train")
    sub.add_argument(
        "--recalibrate", action="store_true", help="choose new scales for a network trained with its own (--qat)"
    )
    add_json(sub)
    sub.set_defaults(call=quantize)

    sub = commands.add_parser("evaluate", help="accuracy on a folder of labelled photos")
    sub.add_argument("model", type=Path, help="float model for --engine float, else integer model")
    sub.add_argument("--data", required=True, type=Path, help=DATA_HELP)
    sub.add_argument("--engine", required=True, choices=("float", "int8", "rtl"))
    sub.add_argument("--split", default="auto", help="train, val or all; default val, or all where none is given")
    sub.add_argument("--limit", type=int, help="only so many photos, spread evenly")
    sub.add_argument("--crops", action="store_true", help="the folder's crops too (crops_labels.csv)")
    sub.add_argument("--target", help=f"for --engine rtl; default {TARGET}")
    sub.add_argument("--dask", metavar="ADDRESS", help="for --engine rtl: on a Dask cluster, tcp://HOST:PORT; not here")
    add_rule(sub)
    add_json(sub)
    sub.set_defaults(call=evaluate)

    sub = commands.add_parser("card", help="write the figures of a model's card: float, INT8 and, if measured, RTL")
    sub.add_argument("model", type=Path, help="integer model (.int8); the float network lies beside it (.float)")
    sub.add_argument("--data", required=True, type=Path, help=DATA_HELP)
    sub.add_argument("--rtl", nargs="+", default=[], type=Path, metavar="FILE.json", help=RTL_HELP)
    sub.add_argument("--cache", type=Path, help="folder that keeps the decoded photos")
    sub.add_argument("-o", "--out", required=True, type=Path, metavar="FILE.md", help="card; its other text is kept")
    sub.set_defaults(call=card)


def quantize(args: argparse.Namespace) -> None:
    """Float model and photos in, integer model and a report of what it cost out."""
    from rasca_nn.data import load_folder
    from rasca_nn.float_file import load_float, load_scheme
    from rasca_nn.quantize import quantize as quantize_model

    model = load_float(args.model)
    scheme = None if args.recalibrate else load_scheme(args.model)
    size = (model.config.height, model.config.width)
    with progress("reading photos") as tell:
        photos = load_folder(args.data, *size, split=_split(args), limit=args.photos, progress=tell)
    with progress("calibration") as tell:
        result, report = quantize_model(model, photos.images, scheme=scheme, progress=tell)
    result.save(args.out)
    if report.warning:
        print(f"rasca: warning: {report.warning}", file=sys.stderr)
    if args.json:
        print_json(
            {
                "model": str(args.out),
                "hash": result.hash,
                "scales": "trained" if scheme else "calibrated",
                **report.to_dict(),
            }
        )
        return
    columns = ("layer", "lowest", "highest", "scale", "clipped %", "weight error %", "error against float %")
    rows = [
        (r.name, r.low, r.high, r.scale, 100 * r.clipped, 100 * r.weight_error, 100 * r.error) for r in report.layers
    ]
    print_table(columns, rows, title="scales that it was trained with" if scheme else None)
    print(
        f"{args.out}: {report.photos} photos; {report.disagreement:.2%} decided otherwise than in float, "
        f"probabilities moved by {report.probability_error:.4f} on average"
    )


def evaluate(args: argparse.Namespace) -> int:
    """Exit status 1 if the hardware differs from the integer model anywhere."""
    from rasca_nn.errors import RascaError
    from rasca_nn.evaluate import evaluate as evaluate_model
    from rasca_nn.float_file import load_float
    from rasca_nn.int8_file import Int8Model
    from rasca_nn.termination import TerminatingEngine

    rule = rule_from(args)
    if args.target and args.engine != "rtl":
        raise RascaError("--target takes --engine rtl")
    if args.dask and args.engine != "rtl":
        raise RascaError("--dask takes --engine rtl")
    model = load_float(args.model) if args.engine == "float" else Int8Model.load(args.model)
    engine: Any = args.engine
    about = {"model": model.hash} if isinstance(model, Int8Model) else {}
    if isinstance(model, Int8Model) and args.engine == "rtl":
        from rtl_gen.build import build
        from rtl_gen.target import load_target
        from sim.engine import RtlEngine

        target = load_target(args.target or TARGET)
        engine = RtlEngine(build(model, target), rule=rule, dask=args.dask)
        about["target"] = target.name
    elif rule and isinstance(model, Int8Model):
        engine = TerminatingEngine(model, rule)
    elif rule:
        raise RascaError("early termination is evaluated with --engine int8 or rtl")
    with progress("photos") as tell:
        rows = {"split": _split(args), "limit": args.limit, "crops": args.crops}
        found = evaluate_model(model, args.data, engine=engine, progress=tell, **rows)
    found |= about
    if args.engine == "rtl":
        found |= {"compared": engine.compared, "mismatches": engine.mismatches}
    if rule:
        found |= engine.tally.report()
    status = int(found.get("mismatches", 0) > 0)
    if args.json:
        print_json(found)
        return status
    keys = ("n", "accuracy", "balanced_accuracy", "tpr", "tnr")
    table = [
        (name, *("" if part[key] is None else part[key] for key in keys))
        for name, part in {"all": found, **found["groups"]}.items()
    ]
    print_table(("photos", *keys), table)
    if rule:
        print(
            f"decided after step {found['mean_step']:.2f} of {found['steps']} on average, "
            f"{found['mean_groups']:.2f} row groups computed, {found['saved']:.1%} of the work saved"
        )
    if "mismatches" in found:
        print(f"{found['compared']:,} values compared with the integer model, {found['mismatches']:,} mismatches")
    return status


def card(args: argparse.Namespace) -> None:
    """Measure both networks and write the figures."""
    from rasca_nn.card import measure, read_hardware, write
    from rasca_nn.int8_file import Int8Model
    from rasca_nn.sections import check_markdown

    check_markdown(args.out)
    digest = Int8Model.load(args.model).hash
    hardware = [read_hardware(path, digest) for path in args.rtl]
    with progress("photos") as tell:
        found = measure(args.model, args.data, cache=args.cache, progress=tell)
    write(found, args.out, hardware)
    print(args.out)


def _split(args: argparse.Namespace) -> str | None:
    return None if args.split == "all" else args.split
