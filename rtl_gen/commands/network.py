"""Commands about the network in floating point: presets, train, import."""

from __future__ import annotations

import argparse
import os
from collections.abc import Container, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from rtl_gen.commands.output import DATA_HELP, add_json, print_json, print_table


def register(commands: Any) -> None:
    """Add this group's parsers."""
    sub = commands.add_parser("presets", help="the networks known by name")
    add_json(sub)
    sub.set_defaults(call=presets)

    sub = commands.add_parser("train", help="train a preset on a folder of labelled photos")
    sub.add_argument("--preset", required=True)
    sub.add_argument("--data", required=True, type=Path, help=DATA_HELP)
    sub.add_argument("-o", "--out", required=True, type=Path, help="folder for weights, log and checkpoint")
    sub.add_argument("--cache", type=Path, help="folder that keeps the decoded photos")
    sub.add_argument("--init", type=Path, metavar="MODEL", help="float model to start from, where its weights fit")
    sub.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default auto: a GPU if any")
    add_options(sub)
    sub.set_defaults(call=train)

    sub = commands.add_parser("import", help="read a checkpoint of the released format")
    sub.add_argument("file", type=Path, help="what torch.save wrote; nothing in it is run")
    sub.add_argument("--preset", required=True)
    sub.add_argument("-o", "--out", required=True, type=Path, help="float model to write")
    sub.set_defaults(call=import_)


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


def add_options(
    parser: argparse.ArgumentParser, defaults: Mapping[str, Any] | None = None, *, without: Container[str] = ()
) -> None:
    """An argument for each field of the training options but those in ``without``; their meaning is described there."""
    from rasca_nn.options import Options, descriptions

    group = parser.add_argument_group("training options")
    about = descriptions()
    for field in fields(Options):
        if field.name in without:
            continue
        name = f"--{field.name.replace('_', '-')}"
        default = (defaults or {}).get(field.name, field.default)
        text = about[field.name].replace("%", "%%")
        if isinstance(default, bool):
            group.add_argument(name, default=default, action=argparse.BooleanOptionalAction, help=text)
        else:
            group.add_argument(name, default=default, type=type(default), help=f"{text} Default {default}.")


def options_from(args: argparse.Namespace) -> Any:
    """The training options given; raises RascaError for a value out of its range."""
    from rasca_nn.options import Options

    return Options(**{field.name: getattr(args, field.name) for field in fields(Options) if hasattr(args, field.name)})


def train(args: argparse.Namespace) -> None:
    """Train; an interrupted run goes on from its checkpoint."""
    from rasca_nn.config import preset

    config, options = preset(args.preset), options_from(args)
    from rasca_nn.train import train as train_network

    places = {"data": args.data, "out": args.out, "cache": args.cache, "init": args.init}
    out = train_network(config=config, options=options, device=args.device, **places)
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes one talks
        print(out)


def import_(args: argparse.Namespace) -> None:
    """Read a foreign checkpoint, write a float model."""
    from rasca_nn.config import preset

    config = preset(args.preset)
    from rasca_nn.float_file import save_float
    from rasca_nn.importer import import_checkpoint

    save_float(import_checkpoint(args.file, config), args.out)
    print(args.out)
