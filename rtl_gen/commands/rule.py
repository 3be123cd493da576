"""The arguments of early termination, shared by the commands that simulate."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rasca_nn.termination import Rule


def add_rule(parser: argparse.ArgumentParser, default: str = "off unless --threshold is given") -> None:
    """The rule's arguments; none of them means that every row group is computed, unless ``default`` says otherwise."""
    group = parser.add_argument_group("early termination", default)
    group.add_argument("--threshold", type=float, metavar="P", help="decide at this confidence (paper: 0.99)")
    group.add_argument(
        "--consecutive", type=int, metavar="N", help="in so many steps in a row; default 1 (paper: 2, released: 1)"
    )
    group.add_argument(
        "--lower",
        type=float,
        metavar="P",
        help="after a step at this or less pass over a row group (released: 0.005)",
    )


def rule_from(args: argparse.Namespace) -> Rule | None:
    """The rule asked for. Raises RascaError for values out of range or without --threshold."""
    from rasca_nn.errors import RascaError
    from rasca_nn.termination import Rule

    if args.threshold is None:
        if args.consecutive is not None or args.lower is not None:
            raise RascaError("--consecutive and --lower need --threshold, the confidence to decide at")
        return None
    return Rule(args.threshold, 1 if args.consecutive is None else args.consecutive, args.lower)
