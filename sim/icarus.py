"""The event-driven simulator: Amaranth -> Verilog -> Icarus, driven by cocotb benches (:mod:`sim.benches`).

Slower than the compiled simulator by three orders of magnitude, but it runs the Verilog that is shipped, and one
unit alone.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import verilog
from amaranth.lib import data, wiring
from numpy.typing import NDArray

from fpga.flows import Platform
from fpga.tools import find
from rasca_hw.interfaces import confidence_layout, result_layout
from rasca_hw.params import AcceleratorParams
from rasca_nn.errors import RascaError
from rtl_gen.collector import resting
from sim.cxxrtl import Run, SimulationError, register_count
from sim.top import TracedAccelerator

TOP = "rasca"
CASE = "RASCA_CASE"
"""Environment variable that names the case file of a bench; the bench's outcome goes beside it."""

BUILD_ARGS = ("-g2005",)
"""With the runner's -g2012 Amaranth's `always @*` blocks stay at X until an input changes."""

Arrays = Mapping[str, Any]
"""A case or an outcome: named arrays, numbers and strings, as in an .npz file."""


class IcarusError(SimulationError):
    """A bench could not be built, failed, or did not run."""


ECP5 = Platform("LFE5U-85F")
MULT18X18D, CCU2C = (Path(__file__).with_name(f"{name}.v") for name in ("mult18x18d", "ccu2c"))


def to_verilog(component: wiring.Component, platform: Platform | None = None) -> str:
    """The component as Verilog, top module `rasca`; for an ECP5 with the models of its cells."""
    # Amaranth asks the environment which Yosys to use; the wheel beside it needs no installation.
    os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
    with resting():
        text = verilog.convert(component, name=TOP, platform=platform, emit_src=False, strip_internal_attrs=True)
    return text + MULT18X18D.read_text() + CCU2C.read_text() if platform == ECP5 else text


def run_bench(source: str, bench: str, case: Arrays, *, folder: Path | None = None) -> dict[str, NDArray[Any]]:
    """Runs the tests of the module `sim.benches.<bench>` on a Verilog text.

    Parameters
    ----------
    source : Verilog with a top module `rasca`.
    case : what the bench reads with :func:`sim.benches.case.load`.
    folder : where to build (new, kept); a temporary folder by default.

    Returns
    -------
    What the bench stored with :func:`sim.benches.case.store`.

    Raises
    ------
    ToolMissing
        Without Icarus; the message says how to install it.
    IcarusError
        If Icarus refuses the source, a test fails, or no test ran.
    """
    find("iverilog")
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="rasca-icarus-") as name:
            return run_bench(source, bench, case, folder=Path(name))
    # Here and not above: the runner looks for libpython when it is imported.
    from cocotb_tools.runner import get_runner

    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rasca.v").write_text(source)
    np.savez(folder / "case.npz", **case)
    results = folder / "results.xml"
    log = folder / "bench.log"
    runner = get_runner("icarus")
    try:
        runner.build(
            sources=[folder / "rasca.v"],
            hdl_toplevel=TOP,
            build_dir=folder / "build",
            build_args=list(BUILD_ARGS),
            timescale=("1ns", "1ps"),
            always=True,
            log_file=folder / "build.log",
        )
    except subprocess.CalledProcessError:
        raise IcarusError(f"Icarus refused the Verilog: {_last_line(folder / 'build.log')}") from None
    try:
        runner.test(
            test_module=f"sim.benches.{bench}",
            hdl_toplevel=TOP,
            build_dir=folder / "build",
            test_dir=folder,
            results_xml=str(results),
            extra_env={CASE: str(folder / "case.npz"), "COCOTB_ANSI_OUTPUT": "0", "PYTHONWARNINGS": "default"},
            log_file=log,
        )
    except (subprocess.CalledProcessError, RuntimeError, SystemExit) as error:
        if not results.exists():
            raise IcarusError(f"bench {bench} ended early: {error}; {_last_line(log)}") from None
    check_results(results, bench, log)
    outcome = folder / "outcome.npz"
    if not outcome.exists():
        return {}
    with np.load(outcome) as stored:
        return dict(stored)


def check_results(results: Path, bench: str, log: Path) -> None:
    """Raises IcarusError unless at least one test ran and all passed; cocotb itself is content where none ran."""
    if not results.exists():
        raise IcarusError(f"bench {bench} left no results; {_last_line(log)}")
    tests = list(ElementTree.parse(results).iter("testcase"))
    ran = [t for t in tests if t.find("skipped") is None]
    if not ran:
        raise IcarusError(f"bench {bench}: no test ran")
    for test in ran:
        for kind in ("failure", "error"):
            found = test.find(kind)
            if found is not None:
                said = found.get("message") or found.get("error_msg") or (found.text or "").strip() or _last_line(log)
                raise IcarusError(f"bench {bench}, {test.get('name')}: {said}")


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return lines[-1] if lines else "no message"


def run_accelerator(
    params: AcceleratorParams,
    pixels: NDArray[np.uint32],
    frames: int,
    *,
    limit: int,
    idle: str = "none",
    stall: str = "none",
    settings: Mapping[int, int] | None = None,
    later: Mapping[int, Mapping[int, int]] | None = None,
    source: str | None = None,
    load: Sequence[tuple[int, int]] = (),
    traced: bool = True,
    folder: Path | None = None,
) -> Run:
    """The whole accelerator, as :meth:`sim.cxxrtl.Simulator.run` does it.

    Parameters
    ----------
    pixels : see :func:`sim.frames.pixel_stream`.
    frames : results to wait for.
    idle, stall : patterns (:mod:`sim.benches.streams`) of cycles without a pixel, and without ready for results and
        confidences.
    settings : registers to write before (:mod:`rasca_hw.counters`).
    later : likewise, after so many pixels.
    source : Verilog of :class:`~sim.top.TracedAccelerator` where it is not the generated one (mutations).
    load : (address, lane) to write first, for memories that a boot loader fills.
    traced : whether the source has the outputs of the trace.

    Raises
    ------
    IcarusError
        Also if the results have not come after `limit` cycles.
    """
    text = source if source is not None else to_verilog(TracedAccelerator(params))
    case = {
        "pixels": np.asarray(pixels, np.uint32),
        "frames": frames,
        "limit": limit,
        "idle": idle,
        "stall": stall,
        "registers": register_count(params),
        "settings": np.array(list((settings or {}).items()), np.int64).reshape(-1, 2),
        "later": np.array(
            [(at, *pair) for at, values in (later or {}).items() for pair in values.items()], np.int64
        ).reshape(-1, 3),
        "load": np.array(load, np.int64).reshape(-1, 2),
        "traces": np.array(
            [(e, g) for e, engine in enumerate(params.engines) for g in range(engine.groups) if traced]
        ).reshape(-1, 2),
    }
    outcome = run_bench(text, "accelerator", case, folder=folder)
    columns = params.engines[0].columns
    writes = np.zeros(
        len(outcome["cycle"]),
        [("cycle", "<u8"), ("address", "<u2"), ("trace", "u1"), ("instruction", "u1"), ("word", "u1", columns)],
    )
    for name in ("cycle", "address", "trace", "instruction"):
        writes[name] = outcome[name]
    writes["word"] = outcome["word"].reshape(-1, columns)
    classes = params.classes
    return Run(
        writes=writes,
        results=unpack(outcome["results"], result_layout(classes), classes),
        confidences=unpack(outcome["confidences"], confidence_layout(classes), classes),
        counters=outcome["counters"].astype(np.uint32).reshape(-1, register_count(params)),
        cycles=int(outcome["cycles"]),
    )


def unpack(payloads: NDArray[Any], layout: data.StructLayout, classes: int) -> NDArray[Any]:
    """Payloads, uint8 [items, bytes] with the lowest bits first, as a structured array; logits int32 [classes]."""
    names = [name for name, _ in layout if name != "logits"]
    out = np.zeros(len(payloads), [*((name, "<i4") for name in names), ("logits", "<i4", (classes,))])
    for i, payload in enumerate(payloads):
        item = layout.from_bits(int.from_bytes(payload.tobytes(), "little"))
        for name in names:
            value = item[name]
            out[name][i] = value.as_bits() if isinstance(value, data.Const) else value
        out["logits"][i] = [item.logits[c] for c in range(classes)]
    return out


__all__ = ["CASE", "IcarusError", "RascaError", "check_results", "run_accelerator", "run_bench", "to_verilog", "unpack"]
