"""Commands about the network: presets, count, train, import, quantize, evaluate."""

from __future__ import annotations

import argparse
from typing import Any

from rtl_gen.commands.output import add_json, print_json, print_table


def register(commands: Any) -> None:
    """Add this group's parsers."""
    sub = commands.add_parser("presets", help="the networks known by name")
    add_json(sub)
    sub.set_defaults(call=presets)


def presets(args: argparse.Namespace) -> None:
    """List the presets of :mod:`rasca_nn.config`."""
    from rasca_nn.config import PRESETS

    if args.json:
        print_json({name: config.to_dict() for name, config in PRESETS.items()})
        return
    columns = ("preset", "input", "steps", "heads", "channels", "hidden", "spatial", "projection", "classifier")
    rows = [
        (
            name,
            f"{c.height}x{c.width}",
            c.steps,
            c.heads,
            " ".join(map(str, c.channels)),
            c.hidden,
            c.spatial_attention,
            c.projection,
            c.classifier_hidden or "direct",
        )
        for name, c in PRESETS.items()
    ]
    print_table(columns, rows)
