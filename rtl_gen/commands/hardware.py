"""Commands about generated hardware: generate, sim."""

from __future__ import annotations

import argparse
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

from rtl_gen.commands.output import add_json, print_json, print_table, progress
from rtl_gen.commands.rule import add_rule, rule_from


def register(commands: Any) -> None:
    """Add this group's parsers."""
    sub = commands.add_parser("generate", help="accelerator of a model for a target: Verilog, memories, manifest")
    sub.add_argument("model", type=Path, help="integer model (.int8)")
    sub.add_argument("--target", default="ecp5-85f", help="built-in target or .toml file; default ecp5-85f")
    sub.add_argument("-o", "--out", required=True, type=Path, help="folder to make")
    sub.add_argument("--sensor", help="built-in sensor or .toml file that it must keep up with")
    sub.add_argument("--clock", type=float, metavar="MHZ", help="behind the sensor; default: the target's")
    add_json(sub)
    sub.set_defaults(call=generate)

    sub = commands.add_parser("sim", help="photos through a generated accelerator, compared with the integer model")
    sub.add_argument("folder", type=Path, help="folder made by rasca generate")
    sub.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    sub.add_argument(
        "--simulator",
        default="compiled",
        choices=("compiled", "cxxrtl", "icarus"),
        help="default compiled, our own translation; cxxrtl is Yosys', a tenth as fast",
    )
    sub.add_argument("--stream", action="store_true", help="the photos as one stream of frames, not each from reset")
    sub.add_argument("--trace", type=Path, metavar="FILE.vcd", help="waveform; one image, cxxrtl")
    sub.add_argument("--pictures", type=Path, metavar="DIR", help="where the PNGs go; default FOLDER/pictures")
    add_rule(sub)
    add_json(sub)
    sub.set_defaults(call=sim)


def generate(args: argparse.Namespace) -> None:
    """Generate and show the estimates."""
    from fpga.steps import Steps
    from rasca_nn.errors import RascaError
    from rtl_gen.generate import generate as generate_folder

    if args.clock is not None and args.sensor is None:
        raise RascaError("--clock is for --sensor; without one the target's clock counts")
    options = {"sensor": args.sensor, "clock_mhz": args.clock}
    with Steps() as steps:
        manifest = generate_folder(args.model, args.target, args.out, **options, report=steps.begin)
    if args.json:
        print_json(manifest)
        return
    cycles, clock, busy = manifest["cycles"], manifest["at_clock"], manifest["busy"]
    rows = [
        ("multipliers", manifest["multipliers"]),
        ("block RAMs", manifest["memory"]["block_rams"]),
        *([("SPRAMs", manifest["memory"]["sprams"])] if manifest["memory"]["sprams"] else []),
        ("RAM bits", manifest["memory"]["bits"]),
        ("cycles a frame, alone", cycles["frame"]),
        ("cycles a frame, in a stream", cycles["frame_in_stream"]),
        ("cycles from the last row to the decision", cycles["latency"]),
        ("multipliers busy in a stream, %", 100 * busy["frame_in_stream"]),
        (f"frames a second at {clock['mhz']} MHz", clock["frames_per_second"]),
        *_energy(manifest.get("energy")),
    ]
    print_table(("", "estimate"), rows, title=f"{manifest['preset']} on {manifest['target']}: {args.out}")
    if "camera" in manifest:
        show_camera(manifest["camera"])


def show_camera(found: dict[str, Any]) -> None:
    """How the accelerator stands to the sensor."""
    rule, latency = found["early_termination"], found["latency"]
    rows = [
        ("cycles in which the sensor sends the rows of a step", found["group_cycles"]),
        ("cycles of a step, at worst", found["step_cycles"]),
        ("margin, %", found["margin_percent"]),
        ("margin with early termination, %", rule["margin_percent"] if rule["keeps_up"] else "does not keep up"),
        ("places of the FIFO taken, at most", f"{found['fifo']['waiting']} of {found['fifo']['depth']}"),
        ("cycles from the last row to the decision", latency["cycles"]),
        ("us", latency["us"]),
        ("rows of the sensor", latency["rows"]),
    ]
    title = f"{found['sensor']}, {found['frames_per_second']:g} frames a second, at {found['clock_mhz']:g} MHz"
    print_table(("", "real time"), rows, title=title)


def _energy(found: dict[str, Any] | None) -> list[tuple[str, Any]]:
    """Rows about the energy, where something is known."""
    if not found:
        return []
    rows: list[tuple[str, Any]] = [("mJ a frame at work, by MARLANN's measurements", found["mj_per_frame"])]
    for rate in found["rates"]:
        about = f"mW at {rate['frames_per_second']}/s; saved at most, as the array is held between frames"
        rows.append((about, f"{rate['mw']}; {rate['saved_at_most_mw']}"))
    return rows


def sim(args: argparse.Namespace) -> int:
    """Exit status 1 if a value or the number of cycles differs."""
    from rasca_nn.errors import RascaError
    from rtl_gen.generate import load_generated
    from sim.picture import draw
    from sim.simulate import Icarus, compiled, simulate

    rule = rule_from(args)
    if args.trace and (args.simulator == "icarus" or len(args.images) != 1):
        raise RascaError("--trace takes one image and --simulator cxxrtl")
    pictures = args.pictures or args.folder / "pictures"
    if pictures.resolve() in {image.resolve().parent for image in args.images}:
        raise RascaError(f"{pictures}: holds the photos themselves; give --pictures another folder")
    build = load_generated(args.folder)
    native = args.simulator == "compiled"
    machine = partial(Icarus, build) if args.simulator == "icarus" else compiled(build, args.trace, native=native)
    with progress(f"simulating on {args.simulator}") as tell:
        found = simulate(build, args.images, machine, tell, stream=args.stream, rule=rule)
    for i, item in enumerate(found):
        again = sum(other.image.stem == item.image.stem for other in found[:i])
        picture = pictures / f"{item.image.stem}{f'-{again + 1}' if again else ''}.png"
        draw(item, picture)
        if not args.json:
            _show(item, picture)
    if args.json:
        print_json([item.to_dict() for item in found])
    return 0 if all(item.ok for item in found) else 1


def _against(cycles: int, estimated: int) -> str:
    return "as estimated" if cycles == estimated else f"but {estimated:,} were estimated"


def _show(item: Any, picture: Path) -> None:
    """One photo for people."""
    about, comparison = item.to_dict(), item.comparison
    person = f"probability of class 1 {about['probability']:.4f}"
    print(f"{item.image.name}: {about['label']} (class {item.klass}), {person}")
    print("  confidence after each row group: " + " ".join("-" if isnan(p) else f"{p:.2f}" for p in item.confidence))
    if item.groups < len(item.confidence):
        print(f"  decided after row group {item.step}, {item.groups} of {len(item.confidence)} computed")
    if item.without_rule is not None:
        print(f"  arrays at work in {item.active:,} cycles; without the rule the frame takes {item.without_rule:,}")
    late = f"{item.latency:,} after" if item.latency else "before the end of"
    print(
        f"  {item.cycles:,} cycles from the first pixel to the decision, {_against(item.cycles, item.estimated)}; "
        f"{late} the last row; multipliers {item.busy:.1%} busy"
    )
    if item.interval is not None:
        print(f"  {item.interval:,} since the decision before, {_against(item.interval, item.estimated_interval)}")
    print(f"  {comparison.compared:,} values of all layers and steps compared, {comparison.mismatches:,} mismatches")
    if comparison.first:
        print(f"  first mismatch: {comparison.first}")
    print(f"  picture: {picture}")
