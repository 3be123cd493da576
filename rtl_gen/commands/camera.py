"""Commands about cameras: camera, faults."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rtl_gen.commands.output import add_json, print_json, print_table, progress

CASES = 240
"""Where nothing else is asked for."""


def register(commands: Any) -> None:
    """Add this group's parsers."""
    sub = commands.add_parser("camera", help="photos through a sensor's pins into an accelerator, as one stream")
    sub.add_argument("folder", type=Path, help="folder made by rasca generate")
    sub.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    sub.add_argument("--sensor", help="default: that of rasca generate --sensor, else ov7670-qvga")
    sub.add_argument("--clock", type=float, metavar="MHZ", help="of the accelerator; default: the folder's")
    sub.add_argument("--jitter", type=float, default=0.1, metavar="SHARE", help="of pclk's periods; default 0.1")
    sub.add_argument("--seed", type=int, default=1, metavar="S", help="of the jitter; default 1")
    add_json(sub)
    sub.set_defaults(call=camera)

    sub = commands.add_parser("faults", help="random faults at a sensor's pins and on its control bus")
    sub.add_argument("--cases", type=int, default=CASES, metavar="N", help=f"default {CASES}")
    sub.add_argument("--seed", type=int, default=0, metavar="S", help="another seed gives other cases; default 0")
    sub.add_argument("--jobs", type=int, metavar="N", help="cases at a time; default: one a processor")
    add_json(sub)
    sub.set_defaults(call=faults)


def camera(args: argparse.Namespace) -> int:
    """Exit status 1 if a result is not the integer model's, or pixels were lost."""
    from fpga.steps import Steps
    from rasca_nn.errors import RascaError
    from sim.camera_run import run_camera

    if not 0 <= args.jitter < 1:
        raise RascaError(f"--jitter must be 0 to less than 1, not {args.jitter:g}")
    if args.seed < 0:
        raise RascaError(f"--seed must be 0 or more, not {args.seed}")
    options = {"sensor": args.sensor, "clock_mhz": args.clock, "jitter_share": args.jitter, "seed": args.seed}
    with Steps() as steps:
        report = run_camera(args.folder, args.images, **options, note=steps.begin)
    if args.json:
        print_json(report)
        return 0 if report["ok"] else 1
    rows = [
        (
            frame["image"],
            f"{frame['label']} ({frame['probability']:.3f})",
            "equal" if frame["equal"] else "NOT EQUAL",
            *(frame[f"{name}_{unit}"] for name in ("from_last_pixel", "latency") for unit in ("cycles", "us", "rows")),
        )
        for frame in report["frames"]
    ]
    columns = ("photo", "says (class 1)", "integer model", "cycles", "us", "rows", "not held: cycles", "us", "rows")
    title = f"{report['preset']} behind {report['sensor']}, {report['clock_mhz']:g} MHz, frames in a row"
    print_table(columns, rows, title=title)
    print("Times to the result, counted in the RTL: from the last pixel of the last used row as the crop takes it; and")
    print("without the time that it is held back until the sensor's frame has ended, from the row interface.")
    print(f"A step has {report['real_time']['margin_percent']:g} % of its time to spare.")
    if len(report["frames"]) != len(args.images) or report["spoiled"] or report["overflow"]:
        print(f"{report['results']} results, {report['spoiled']} frames spoiled, overflow: {report['overflow']}")
    return 0 if report["ok"] else 1


def faults(args: argparse.Namespace) -> int:
    """Exit status 1 if a case went wrong."""
    from rasca_nn.errors import RascaError
    from sim.campaign import Campaign
    from sim.faults import table

    for name, least in (("cases", 1), ("seed", 0), ("jobs", 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise RascaError(f"--{name} must be {least} or more, not {value}")
    campaign = Campaign()
    verdicts = []
    with progress("random faults") as tell:
        for verdict in campaign.run(args.seed, range(args.cases), args.jobs):
            verdicts.append(verdict)
            tell(len(verdicts), args.cases)
    rows = table((v.kind, v.said) for v in verdicts)
    wrong = [v for v in verdicts if not v.ok]
    total = ("all", len(verdicts), *(sum(v.said == said for v in verdicts) for said in ("marked", "exact")), len(wrong))
    columns = ("kind", "cases", "marked", "exact", "wrong")
    if args.json:
        kinds = [dict(zip(columns, row, strict=True)) for row in rows]
        failures = [{"case": v.about, "wrong": v.said} for v in wrong]
        print_json({"seed": args.seed, "cases": args.cases, "wrong": len(wrong), "kinds": kinds, "failures": failures})
    else:
        print_table(columns, [*rows, total], title=f"{args.cases} faults of seed {args.seed}")
        for verdict in wrong:
            print(f"{verdict.about}: {verdict.said}")
    return 1 if wrong else 0
