"""A compiled bench: a component as CXXRTL with a driver in C++ that has clocks and pins of its own, kept in a cache."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib.wiring import Component

from fpga.tools import find
from sim.cxxrtl import PASSES, SPLIT, SimulationError, cache_folder, runtime_headers
from sim.split import split_eval

HEADERS = Path(__file__).parent
FLAGS = ("-std=c++17", "-DNDEBUG", "-w", '-DMODEL="design.cc"')


def compile_bench(
    unit: Component, driver: Path, *, defines: Sequence[str] = (), folder: Path | None = None, optimise: int = 1
) -> Path:
    """The program. `driver` includes MODEL, which defines `cxxrtl_design::p_rasca`. Raises SimulationError.

    Parameters
    ----------
    defines : macros for the driver.
    folder : the cache; :func:`sim.cxxrtl.cache_folder` by default.
    optimise : of the compiler, 0 to 3; less is compiled sooner and runs more slowly.
    """
    text = rtlil.convert(unit, name="rasca", emit_src=False)
    compiler, flags = find("c++").command, (*FLAGS, *(f"-D{name}" for name in defines), f"-O{optimise}")
    headers = [path.read_text() for path in sorted(HEADERS.glob("*.h"))]
    parts = [text, driver.read_text(), *headers, SPLIT.read_text(), PASSES, find("yosys").version, *compiler, *flags]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]
    folder = folder or cache_folder()
    program = (folder / f"{key}.{driver.stem}").resolve()
    if program.exists():
        return program
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name).resolve()
        (work / "design.il").write_text(text)
        script = f"read_rtlil design.il; hierarchy -top rasca; {PASSES}; write_cxxrtl -g0 design.cc"
        _call([*find("yosys").command, "-q", "-p", script], work)
        (source,) = split_eval((work / "design.cc").read_text(), 1, clocks=True)
        (work / "design.cc").write_text(source)
        include = [f"-I{path}" for path in (runtime_headers(), work, HEADERS)]
        _call([*compiler, *flags, *include, "-o", "bench", str(driver)], work)
        (work / "bench").replace(program)
    return program


def _call(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise SimulationError(f"{Path(command[0]).name} failed while building the simulator: {said[0]}")
