"""Commands about targets: explore, resources."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtl_gen.commands.output import add_json, print_json, print_table, progress

if TYPE_CHECKING:
    from rtl_gen.explore import Design, Search

TARGET, FRONT, PICTURE = "target.toml", "front.json", "front.png"
OURS = {TARGET, FRONT, PICTURE}
"""Files of the folder."""


def register(commands: Any) -> None:
    """Add this group's parsers."""
    sub = commands.add_parser("explore", help="search the targets on a device for a model, choose one")
    sub.add_argument("model", type=Path, help="integer model (.int8)")
    sub.add_argument("--device", required=True, metavar="TARGET", help="built-in target or .toml file on that device")
    sub.add_argument(
        "--fps",
        type=float,
        metavar="N",
        help="choose the smallest that is so fast; default: the fastest. Where none is, "
        f"{FRONT} and {PICTURE} are still written, but no {TARGET}, and the exit status is 2",
    )
    sub.add_argument("--clock", type=int, metavar="MHZ", help="default: the target's")
    sub.add_argument("--dask", metavar="ADDRESS", help="of a scheduler whose workers do the search; default: all cores")
    sub.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="DIR",
        help=f"folder for {TARGET}, {FRONT} and {PICTURE}; one that this made is replaced",
    )
    add_json(sub)
    sub.set_defaults(call=explore)

    sub = commands.add_parser("resources", help="the model of resources beside the designs that were synthesised")
    sub.add_argument("--measure", type=int, nargs="+", metavar="ROW", help="synthesise these first: minutes each")
    add_json(sub)
    sub.set_defaults(call=resources)


def explore(args: argparse.Namespace) -> None:
    """Search, show the front, write the chosen target."""
    from rasca_nn.errors import RascaError
    from rasca_nn.int8_file import Int8Model
    from rtl_gen.explore import explore as search
    from rtl_gen.folder import check_replaceable
    from rtl_gen.resources import errors
    from rtl_gen.target import MAX_CLOCK_MHZ, legal_name, load_target

    if args.fps is not None and not args.fps > 0:
        raise RascaError(f"--fps must be more than 0, not {args.fps:g}")
    if args.clock is not None and not 1 <= args.clock <= MAX_CLOCK_MHZ:
        raise RascaError(f"--clock must be 1 to {MAX_CLOCK_MHZ} MHz, not {args.clock}")
    if args.out:
        check_replaceable(args.out, command="rasca explore", marker=FRONT, ours=OURS.__contains__)
    model = Int8Model.load(args.model)
    device = load_target(args.device)
    name = legal_name(f"{device.name}-{model.config.name}")
    device = replace(device, clock_mhz=args.clock or device.clock_mhz, name=name)
    with progress("searching") as tell:
        found = search(model, device, dask=args.dask, tell=tell)
    chosen = found.choose(args.fps)
    report: dict[str, Any] = {
        "model": model.config.name,
        "device": device.device,
        "clock_mhz": device.clock_mhz,
        "drafted": found.drafted,
        "replayed": found.replayed,
        "resource_errors": errors(device.array),
        "chosen": chosen and chosen.to_dict(),
        "front": [design.to_dict() for design in found.front],
    }
    title = f"{model.config.name} on {device.device} at {device.clock_mhz} MHz"
    if args.out:
        _write(args.out, found, chosen, title, report)
    if chosen is None:
        raise RascaError(
            f"no design on {device.device} makes {args.fps:g} frames a second at {device.clock_mhz} MHz, the fastest "
            f"{found.fastest.frames_per_second:.4g}; use a higher --clock, a lower --fps or a larger device"
            + (f" ({args.out} has the front)" if args.out else "")
        )
    if args.json:
        print_json(report)
        return
    names = list(chosen.takes)
    columns = (
        "",
        "engines",
        "columns",
        "products each",
        "multipliers of LUTs",
        "rows of lines",
        *names,
        "cycles a frame",
        "frames/s",
        "latency",
        "busy, %",
    )
    rows = [
        (
            "chosen" if design is chosen else "",
            " ".join(f"{engine.runs}:{engine.rows}" for engine in design.target.engines),
            design.target.columns,
            design.target.products_per_multiplier,
            design.target.lut_multipliers,
            design.target.line_rows,
            *(design.takes[name] for name in names),
            design.interval,
            round(design.frames_per_second, 2),
            design.frame.latency,
            round(100 * design.busy, 1),
        )
        for design in found.front
    ]
    print_table(
        columns, rows, title=f"{title}: {found.drafted:,} drafts fit, {len(rows)} of them are worth their {names[0]}"
    )
    for name, error in report["resource_errors"].items():
        known = f"{error['points']} synthesised designs within {error['worst']:.1%}"
        print(f"{name} are predicted: {known}, {error['left_out']:.1%} if left out")
    if args.out:
        print(f"{args.out / TARGET}; use it with: rasca generate {args.model} --target {args.out / TARGET} -o OUT")


def _write(out: Path, found: Search, chosen: Design | None, title: str, report: dict[str, Any]) -> None:
    """The folder."""
    import json

    from rtl_gen.explore_picture import draw
    from rtl_gen.folder import replaced
    from rtl_gen.target import to_toml

    with replaced(out) as folder:
        draw(found, chosen, title, folder / PICTURE)
        (folder / FRONT).write_text(json.dumps(report, indent=2) + "\n")
        if chosen:
            (folder / TARGET).write_text(to_toml(chosen.target))


def resources(args: argparse.Namespace) -> None:
    """A table for each kind of array."""
    from fpga.points import engines_text, load_points, measure
    from rasca_nn.errors import RascaError
    from rtl_gen.resources import FITTED, errors, fitted, known, predict

    for row in args.measure or ():
        if not 0 <= row < len(load_points()):
            raise RascaError(f"--measure takes rows 0 to {len(load_points()) - 1}, not {row}")
        measure(row)
    report = {
        array: {
            "errors": errors(array),
            "prices": {
                name: dict(zip(fit.names, fit.prices.round(2).tolist(), strict=True))
                for name, fit in fitted(array).items()
            },
            "points": [
                {
                    "preset": each.point.preset,
                    "engines": engines_text(each.point.target),
                    "columns": each.point.target.columns,
                    "measured": each.point.measured,
                    "predicted": predict(each.made),
                    "left_out": {name: round(float(fit.left_out[i]), 4) for name, fit in fitted(array).items()},
                }
                for i, each in enumerate(known(array))
            ],
        }
        for array in FITTED
    }
    if args.json:
        print_json(report)
        return
    for array, found in report.items():
        _show(array, found)


def _show(array: str, found: dict[str, Any]) -> None:
    """Predicted / synthesised."""
    names = list(found["errors"])
    rows = []
    for point in found["points"]:
        pairs = (f"{point['predicted'][name]:,} / {point['measured'][name]:,}" for name in names)
        left_out = (f"{error:+.1%}" for error in point["left_out"].values())
        rows.append((point["preset"], point["engines"], point["columns"], *pairs, *left_out))
    columns = (
        "network",
        "engines",
        "columns",
        *names,
        *(f"{name}, left out" for name in found["points"][0]["left_out"]),
    )
    print_table(columns, rows, title=f"{array} arrays, predicted / synthesised", right=range(2, len(columns)))
    for name, error in found["errors"].items():
        print(f"  {name}: at most {error['worst']:.1%} off, {error['left_out']:.1%} if left out of the fit")
    for name, prices in found["prices"].items():
        print(f"  {name} = " + " + ".join(f"{price:,g} x {feature}" for feature, price in prices.items()))
