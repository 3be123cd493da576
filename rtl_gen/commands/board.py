"""Commands about boards and tools: bitstream, run, doctor."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fpga.boards import BOARDS
from fpga.protocol import BAUD
from rtl_gen.commands.hardware import show_camera
from rtl_gen.commands.output import add_json, print_json, print_table


def register(commands: Any) -> None:
    """Add this group's parsers."""
    sub = commands.add_parser("bitstream", help="demo bitstream of a model for a board, held to its budget")
    sub.add_argument("model", type=Path, help="integer model")
    sub.add_argument("--board", default="ecp5", help=f"{', '.join(BOARDS)}, ecp5 or ice40; default ecp5")
    sub.add_argument("--demo", default="uart", choices=("uart", "camera"), help="photos over the UART, or a camera")
    sub.add_argument("--sensor", help="mode of the camera, or a .toml file; default: the board's own")
    sub.add_argument("-o", "--out", required=True, type=Path, help="folder to make")
    sub.add_argument("--target", help="default: the board's own")
    sub.add_argument("--clock", type=float, metavar="MHZ", help="default: the board's own")
    sub.add_argument("--baud", type=int, help="of the UART; default: the board's own")
    sub.add_argument("--seed", type=int, default=1, help="of the placer; default 1")
    add_json(sub)
    sub.set_defaults(call=bitstream)

    sub = commands.add_parser("run", help="send photos to a board with the demo, print its decisions")
    sub.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    sub.add_argument("--port", required=True, help="serial port, for example /dev/ttyUSB0")
    sub.add_argument("--baud", type=int, default=BAUD, help=f"default {BAUD}")
    add_json(sub)
    sub.set_defaults(call=run)

    sub = commands.add_parser("watch", help="print what a board with the camera demo decides, until interrupted")
    sub.add_argument("--port", required=True, help="serial port, for example /dev/ttyUSB0")
    sub.add_argument("--baud", type=int, default=BAUD, help=f"default {BAUD}")
    sub.add_argument("--frames", type=int, metavar="N", help="end after so many")
    add_json(sub)
    sub.set_defaults(call=watch)

    sub = commands.add_parser("doctor", help="which tools are found, and how to install the others")
    add_json(sub)
    sub.set_defaults(call=doctor)


def bitstream(args: argparse.Namespace) -> None:
    """Build and show what it took."""
    from fpga.boards import board
    from fpga.build import PROGRAMMING_IMAGE, rows
    from rasca_nn.int8_file import Int8Model

    chosen = board(args.board)
    model = Int8Model.load(args.model)
    from fpga.bitstream import bitstream as build_bitstream
    from fpga.steps import Steps

    options = {"demo": args.demo, "sensor": args.sensor, "target": args.target, "baud": args.baud, "seed": args.seed}
    with Steps() as steps:
        report, limits = build_bitstream(model, chosen, args.out, clock_mhz=args.clock, steps=steps, **options)
    if args.json:
        print_json({**vars(report), "budget": limits, "out": str(args.out)})
        return
    title = f"{model.config.name} on {chosen.title}, {report.clock_mhz:g} MHz"
    print_table(("", "used", "budget", "device"), rows(report, limits), title=title)
    if report.camera:
        show_camera(report.camera)
    kept = f", which keeps {report.margin_ns:g} ns for the multipliers' real delay" if report.margin_ns else ""
    print(f"seed {report.seed}; asked {report.wanted_mhz:g} MHz{kept}")
    made = args.out / (PROGRAMMING_IMAGE if (args.out / PROGRAMMING_IMAGE).exists() else chosen.flow.bitstream)
    print(f"{made}; load it with: {' '.join(chosen.program)} {made}")
    command = "watch" if args.demo == "camera" else "run"
    print(f"then: rasca {command} --port PORT --baud {args.baud or chosen.baud}{' photo.jpg' * (command == 'run')}")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 if the accelerator flagged an error in a frame."""
    from fpga.host import Host, open_port

    host = Host(open_port(args.port, args.baud))
    decisions = [host.decide(image) for image in args.images]
    if args.json:
        print_json([{"class" if k == "klass" else k: v for k, v in vars(decision).items()} for decision in decisions])
    else:
        columns = ("image", "class", "probability of class 1", "step", "errors", "seconds")
        rows = [(d.image, d.klass, d.probability, d.step, d.errors, d.seconds) for d in decisions]
        print_table(columns, rows, title=f"model {host.identity.model:08x} on {args.port}")
    return int(any(decision.errors for decision in decisions))


def watch(args: argparse.Namespace) -> None:
    """A line a frame; with --json an object a line."""
    import json
    from itertools import islice

    from fpga.host import open_port
    from fpga.watch import watch as decisions
    from rasca_nn.errors import RascaError

    if args.frames is not None and args.frames < 1:
        raise RascaError(f"--frames must be 1 or more, not {args.frames}")
    for found in islice(decisions(open_port(args.port, args.baud)), args.frames):
        if args.json:
            about = {"frame": int(found.image), "class": found.klass, "probability": found.probability}
            print(json.dumps({**about, "errors": found.errors, "seconds": found.seconds}), flush=True)
        else:
            marked = f", marked: errors {found.errors}" if found.errors else ""
            print(f"{found.image:>5}  class {found.klass}, {found.probability:.3f}{marked}", flush=True)


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
