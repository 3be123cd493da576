"""Commands about random cases: fuzz, replay."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rtl_gen.commands.output import add_json, print_json, print_table, progress

CASES, SHRINK = 20, 100
"""Where nothing else is asked for."""


def register(commands: Any) -> None:
    """Add this group's parsers."""
    sub = commands.add_parser("fuzz", help="random networks on random targets through the RTL, until one fails")
    sub.add_argument("--cases", type=int, default=CASES, metavar="N", help=f"default {CASES}")
    sub.add_argument("--seed", type=int, default=1, metavar="S", help="another seed gives other cases; default 1")
    sub.add_argument(
        "--shrink", type=int, default=SHRINK, metavar="N", help=f"runs to make a failing case smaller; default {SHRINK}"
    )
    sub.add_argument("-o", "--out", type=Path, default=Path("build/fuzz"), help="for failing cases; default build/fuzz")
    _add_simulator(sub)
    sub.set_defaults(call=fuzz)

    sub = commands.add_parser("replay", help="run one case that rasca fuzz saved")
    sub.add_argument("case", type=Path, metavar="CASE.json")
    sub.add_argument("--trace", type=Path, metavar="FILE.vcd", help="waveform; cxxrtl")
    _add_simulator(sub)
    sub.set_defaults(call=replay)


def _add_simulator(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--simulator",
        default="compiled",
        choices=("compiled", "cxxrtl", "icarus"),
        help="default compiled, our own translation; cxxrtl is Yosys', a tenth as fast",
    )
    add_json(sub)


def fuzz(args: argparse.Namespace) -> int:
    """Exit status 1 if a case fails."""
    from rasca_nn.errors import RascaError
    from rtl_gen.target import TargetError
    from sim.fuzz import random_case, shrink
    from sim.random_case import fails, run_case

    for name, least in (("cases", 1), ("seed", 0), ("shrink", 0)):
        if getattr(args, name) < least:
            raise RascaError(f"--{name} must be {least} or more, not {getattr(args, name)}")
    if args.out.exists() and not args.out.is_dir():
        raise RascaError(f"{args.out}: is a file; give --out a folder for failing cases")
    report: dict[str, Any] = {"seed": args.seed, "cases": 0, "compared": 0, "cycles": 0, "fault": None, "case": None}
    failing = None
    with progress(f"random cases on {args.simulator}") as tell:
        for number in range(args.cases):
            case = random_case(args.seed, number)
            try:
                outcome = run_case(case, args.simulator)
            except TargetError as error:
                # Every case is drawn to fit.
                raise RascaError(
                    f"case {number} of seed {args.seed} ({case.save(args.out)}) is refused: {error}"
                ) from None
            report["cases"] += 1
            report["compared"] += outcome.compared
            report["cycles"] += sum(frame.interval for frame in outcome.measured)
            if outcome.fault:
                failing = case
                break
            tell(number + 1, args.cases)
    if failing:
        with progress("making the failing case smaller") as tell:
            small = shrink(failing, lambda case: fails(case, args.simulator), args.shrink, tell)
        report["fault"] = run_case(small, args.simulator).fault
        report["case"] = str(small.save(args.out))
    if args.json:
        print_json(report)
    elif failing:
        print(f"case {report['cases'] - 1} of seed {args.seed} fails, made smaller: {report['fault']}")
        print(f"rasca replay {report['case']} --simulator {args.simulator}")
    else:
        print(
            f"{args.cases} cases of seed {args.seed} on {args.simulator}: {report['compared']:,} values compared, "
            f"0 mismatches, {report['cycles']:,} cycles, as estimated"
        )
    return 1 if failing else 0


def replay(args: argparse.Namespace) -> int:
    """Exit status 1 if the case fails."""
    from rasca_nn.errors import RascaError
    from sim.random_case import Case, run_case

    if args.trace and args.simulator == "icarus":
        raise RascaError("--trace takes --simulator cxxrtl")
    case = Case.load(args.case)
    if args.trace:
        args.trace.open("w").close()
    outcome = run_case(case, args.simulator, args.trace)
    if args.json:
        print_json(outcome.to_dict())
    else:
        rows = [
            (frame, name, getattr(estimated, name), getattr(measured, name))
            for frame, (measured, estimated) in enumerate(zip(outcome.measured, outcome.estimated, strict=False))
            for name in ("frame_cycles", "latency", "interval")
        ]
        print_table(("frame", "cycles", "estimated", "measured"), rows)
        print(f"{outcome.compared:,} values compared, {outcome.mismatches:,} mismatches")
        print(f"fails: {outcome.fault}" if outcome.fault else "passes")
    return 1 if outcome.fault else 0
