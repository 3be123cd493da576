"""Commands about boards and tools: bitstream, run, doctor."""

from __future__ import annotations

import argparse
from typing import Any

from rtl_gen.commands.output import add_json, print_json, print_table


def register(commands: Any) -> None:
    """Add this group's parsers."""
    sub = commands.add_parser("doctor", help="which tools are found, and how to install the others")
    add_json(sub)
    sub.set_defaults(call=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Exit status 1 if a tool that is required is missing or known bad."""
    from rtl_gen.doctor import examine

    findings = examine()
    if args.json:
        print_json([vars(finding) for finding in findings])
    else:
        columns = ("tool", "state", "version", "needed for", "where, or what to do")
        print_table(columns, [(f.tool, f.state, f.version, f.purpose, f.detail) for f in findings])
    return int(any(finding.state in ("missing", "bad") for finding in findings))
