"""The command about sizes: count."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rtl_gen.commands.output import add_json, print_json, print_table

UNITS = {"KB": 1e3, "M": 1e6}
"""Of printed figures."""


def register(commands: Any) -> None:
    """Add this group's parser."""
    sub = commands.add_parser("count", help="weights, operations and memory, as the paper counts them")
    sub.add_argument("preset", nargs="?", help="count this one layer by layer (default: all presets, a line each)")
    kind = sub.add_mutually_exclusive_group()
    kind.add_argument("--target", help="beside it what the hardware generated for this target holds and does")
    kind.add_argument("--table1", action="store_true", help="memory as table 1 of the paper's supplement has it")
    kind.add_argument("--peers", action="store_true", help="other networks counted the same way, with their sources")
    kind.add_argument("--figure", type=Path, metavar="FILE.png", help="draw memory over resolution, print its table")
    add_json(sub)
    sub.set_defaults(call=count)


def count(args: argparse.Namespace) -> None:
    """Count one preset layer by layer, all, other networks, or memory over resolution."""
    from rasca_nn.errors import RascaError

    if args.preset and (args.peers or args.figure):
        raise RascaError(f"{'--peers' if args.peers else '--figure'} takes no preset")
    if args.target is not None and not args.preset:
        raise RascaError("--target takes one preset: rasca count PRESET --target TARGET")
    if args.peers:
        _peers(args.json)
    elif args.figure:
        _figure(args.figure, args.json)
    elif args.table1:
        _table1(args.preset, args.json)
    else:
        _presets(args.preset, args.target, args.json)


def _presets(name: str | None, target: str | None, as_json: bool) -> None:
    from rasca_nn.config import PRESETS, preset
    from rasca_nn.count import count as count_config

    counts = {n: count_config(preset(n)) for n in ([name] if name else PRESETS)}
    report = {n: counted.to_dict() for n, counted in counts.items()}
    if name and target is not None:
        from rtl_gen.account import account

        report[name]["hardware"] = account(preset(name), target)
    if as_json:
        print_json(report)
        return
    if name:
        about = ("layer, a step", "input", "output", "weights", "activations", "macs", "ops")
        rows = [
            (x.name, _shape(x.inputs), _shape(x.outputs), x.weights, x.activations, x.macs, x.ops)
            for x in counts[name].layers
        ]
        print_table(about, rows)
    columns = ("network, a frame", "steps", "weights KB", "peak KB", "macs M", "ops M")
    frames = [(n, c.steps, c.weights / 1e3, c.peak / 1e3, c.macs / 1e6, c.ops / 1e6) for n, c in counts.items()]
    print_table(columns, frames)
    if name and target is not None:
        _hardware(counts[name], report[name]["hardware"])


def _hardware(counted: Any, hardware: dict[str, Any]) -> None:
    from rtl_gen.account import beside

    columns = ("engine", "layer, a step", "weights", "stored", "products", "issued", "cycles")
    rows = [
        (
            layer["engine"],
            layer["layer"] + (", once a frame" if layer["once"] else ""),
            *(layer[key] for key in ("weight_bytes", "stored_bytes", "products", "issued", "cycles")),
        )
        for layer in hardware["layers"]
    ]
    print_table(columns, rows, title=f"on {hardware['target']}")
    memories = ("owner", "use", "words", "width", "bits", "block_rams", "sprams", "why")
    print_table(
        tuple(name.replace("_", " ") for name in memories),
        [tuple(memory[name] for name in memories) for memory in hardware["memories"]],
        title="what lives where",
    )
    print_table(("", "the paper's count", "generated hardware"), beside(counted, hardware), right=(1, 2))


def _table1(name: str | None, as_json: bool) -> None:
    from rasca_nn.config import preset
    from rasca_nn.count import count as count_config
    from rasca_nn.supplement import PAPER_MACS, PAPER_WEIGHTS, PRINTED_PRESET, table1

    config = preset(name or PRINTED_PRESET)
    rows = table1(config)
    if as_json:
        print_json({config.name: {"table1": [asdict(row) for row in rows]}})
        return
    columns = ("module", "layer", "W", "I", "O", "KB, one head", "KB, printed", f"KB, heads: {config.heads}")
    cells = [
        (
            *(row.module, row.layer, row.weight, _shape(row.inputs), _shape(row.outputs)),
            *(_kilobytes(memory) for memory in (row.one_head, row.printed, row.all_heads)),
        )
        for row in rows
    ]
    print_table(columns, cells, title=f"{config.name}: table 1 of the supplement", right=range(5, 8))
    print("The table printed counts one head: its channel attention reads c + d channels, that of all heads cM + d.")
    if config.name == PRINTED_PRESET:
        counted = count_config(config)
        print(
            f"The paper prints {PAPER_WEIGHTS} KB of weights and {PAPER_MACS} M for two heads (its tables 1 and 3). "
            f"These layers give {counted.weights / 1e3:.2f} KB and {counted.ops / 1e6:.2f} M; what it counts beyond "
            "them is not published. The network its authors released has a larger projection."
        )


def _peers(as_json: bool) -> None:
    from rasca_nn.config import PRESETS
    from rasca_nn.count import count as count_config
    from rasca_nn.peer_networks import peers
    from rasca_nn.supplement import table2

    report = {peer.name: peer.to_dict() for peer in peers()}
    if as_json:
        print_json({"peers": report, "table2": [asdict(row) for row in table2()]})
        return
    keys = ("peak", "peak_split", "peak_split_by_channel", "peak_in_place")
    rows: list[tuple[str, ...]] = []
    for name, config in PRESETS.items():
        c = count_config(config)
        size = f"3 x {config.height} x {config.width}"
        rows.append((name, size, _kilobytes(c.weights / 1e3), f"{c.macs / 1e6:.2f}", _kilobytes(c.peak / 1e3), *"---"))
    for name, about in report.items():
        if about["layers"]:
            sizes = [_kilobytes(about[key] / 1e3) for key in keys]
            macs = f"{about['macs'] / 1e6:.2f}"
            rows.append((name, _shape(about["input"]), _kilobytes(about["weights"] / 1e3), macs, *sizes))
        else:
            rows.append((name, "missing", *["missing"] * 6))
    columns = ("network", "input", "weights KB", "macs M", "peak KB", "split in 6", "split by channel", "in place")
    print_table(columns, rows, right=range(2, 8))
    blocks = [(r.layer, _shape(r.inputs), _shape(r.outputs), f"{r.memory:.2f}", f"{r.printed:.2f}") for r in table2()]
    title = "MobileNetV2 0.35: table 2 of the supplement"
    print_table(("layer", "I", "O", "KB", "KB, printed"), blocks, title=title, right=(3, 4))
    figures = [
        (name, p["what"], f"{p['figure']:g} {p['unit']}", _counted(about, p), p["where"])
        for name, about in report.items()
        for p in about["printed"]
    ]
    print_table(("network", "what", "printed", "counted", "where it is printed"), figures, right=(2, 3))
    for name, about in report.items():
        print(f"{name}\n  source: {about['source']}")
        for label in ("notes", "missing"):
            for text in about[label]:
                print(f"  {label.removesuffix('s')}: {text}")


def _figure(out: Path, as_json: bool) -> None:
    from rasca_nn.figure import draw
    from rasca_nn.supplement import figure1

    points = figure1()
    draw(points, out)
    if as_json:
        print_json({"figure1": [asdict(point) for point in points], "picture": str(out)})
        return
    columns = ("input", "diagonal", "RaScaNet KB", "printed", "MobileNetV2 0.35 KB", "printed", "split in 6 KB")
    rows = [
        (
            f"{p.height} x {p.width}",
            f"{p.diagonal:.0f}",
            *(_kilobytes(p.rascanet), _kilobytes(p.rascanet_printed)),
            *(_kilobytes(p.mobilenet), _kilobytes(p.mobilenet_printed), _kilobytes(p.mobilenet_split)),
        )
        for p in points
    ]
    print_table(columns, rows, title="figure 1 of the supplement", right=range(1, 7))
    print(out)


def _shape(shape: Any) -> str:
    return " x ".join(map(str, shape))


def _kilobytes(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _counted(about: dict[str, Any], printed: dict[str, Any]) -> str:
    """The count of what is printed, in its unit."""
    value = about[printed["count"]] if printed["count"] else None
    return "-" if value is None else f"{value / UNITS[printed['unit']]:.4g} {printed['unit']}"
