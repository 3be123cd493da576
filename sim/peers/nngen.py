"""NNgen (PyPI, an open generator of CNN hardware) made to do what the heads engine does: cycles, resources.

Its environment is its own (`build/nngen`), made with pip at first use. Both go through the same synthesis; NNgen's
cycles are counted on Icarus, ours by the estimator, which the RTL equals. What is the same network and what is not:
nngen_heads.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fpga.synthesis import synthesise, synthesise_verilog
from fpga.tools import find
from rasca_hw.accelerator import make_engine
from rasca_nn.config import RaScaNetConfig
from rasca_nn.errors import RascaError
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import build
from rtl_gen.target import load_target

VERSION = "1.3.4"
SCRIPT = Path(__file__).with_name("nngen_heads.py")
KERNEL_COLUMNS = 3
PATIENCE = 3
"""Times the cycles that one multiplier would take, after which NNgen's design is taken to hang."""


@dataclass(frozen=True)
class Heads:
    """All heads' convolutions over one step: who made them, products a cycle and cycles, what they take."""

    by: str
    parallel: str
    multipliers: int
    products: int
    cycles: int
    takes: dict[str, int]

    @property
    def bound(self) -> int:
        """Cycles that the products take at least."""
        return -(-self.products // self.multipliers)


def environment() -> Path:
    """The Python of NNgen's environment, made where it is missing. Raises RascaError."""
    folder = Path(os.environ.get("RASCA_NNGEN", "build/nngen"))
    python = (folder / "bin" / "python").absolute()
    ready = folder / f".nngen-{VERSION}"
    if not ready.exists():
        _run([sys.executable, "-m", "venv", str(folder)], Path())
        _run([str(python), "-m", "pip", "install", "--quiet", f"nngen=={VERSION}"], Path())
        ready.touch()
    return python


def ours(config: RaScaNetConfig, target: str, *, synthesis: bool) -> Heads:
    """The heads engine of a target with two."""
    made = build(random_int8_model(config, seed=1), load_target(target))
    if len(made.engines) != 2:
        raise RascaError(f"target {target} has no engine of its own for the heads; use one with two, as ecp5-85f")
    engine = made.engines[0]
    params = engine.params
    array = params.array_products // params.products_per_multiplier
    takes = synthesise(make_engine(made.params, params), made.target.device) if synthesis else {}
    parallel = f"{params.groups} x {params.rows} x {params.columns}"
    return Heads(f"rasca, {target}", parallel, array, engine.products, engine.step_cycles, takes)


def nngen(
    config: RaScaNetConfig,
    products: int,
    par_in: int,
    par_out: int,
    *,
    synthesis: bool,
    device: str,
    tell: Callable[[str], None],
) -> Heads:
    """NNgen with so many input and output channels a cycle; the step has so many products. Raises RascaError where
    what it computes is wrong.
    """
    shapes = {
        "rows": config.rows,
        "width": config.width,
        "heads": config.heads,
        "channels": [3, *config.channels],
        "kernel_heights": list(config.kernel_heights),
        "par_in": par_in,
        "par_out": par_out,
        "limit": PATIENCE * products,
    }
    tell("NNgen's environment")
    python = environment()
    with tempfile.TemporaryDirectory(prefix="rasca-nngen-") as name:
        folder = Path(name)
        tell("NNgen generates")
        # Isolated: neither this package nor this folder, where `nngen` is something else, is seen there.
        _run([str(python), "-I", str(SCRIPT), json.dumps(shapes), str(folder)], folder)
        tell("NNgen on Icarus")
        (iverilog,) = find("iverilog").command
        _run([iverilog, "-g2005", "-o", "bench.vvp", "bench.v"], folder)
        said = _run([str(Path(iverilog).with_name("vvp")), "bench.vvp"], folder)
        found = re.search(r"cycles\s+(\d+)", said)
        if not found:
            raise RascaError(f"NNgen's design did not end within {shapes['limit']:,} cycles")
        if wrong := differences(folder):
            raise RascaError(f"NNgen's design gives {wrong} values that its evaluation does not")
        takes = {}
        if synthesis:
            tell("NNgen through Yosys")
            takes = synthesise_verilog((folder / "accelerator.v").read_text(), "accelerator", device)
    # Each convolution multiplies a whole kernel at once; those of equal kernels share the hardware.
    kernels = sum(height * KERNEL_COLUMNS for height in set(config.kernel_heights))
    parallel = f"{par_in} x {par_out} channels x kernel"
    return Heads(f"NNgen {VERSION}", parallel, par_in * par_out * kernels, products, int(found[1]), takes)


def differences(folder: Path) -> int:
    """Bytes of the results in the memory after the run that are not as expected."""
    lines = (line for line in (folder / "after.img").read_text().splitlines() if not line.startswith("//"))
    memory = [line.strip() for line in lines]
    places = json.loads((folder / "expected.json").read_text())
    return sum(
        memory[address + i] != f"{value & 0xFF:02x}" for address, values in places for i, value in enumerate(values)
    )


def _run(command: list[str], folder: Path) -> str:
    """What it says. Raises RascaError with its last line where it fails."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise RascaError(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        last = ((done.stderr or done.stdout).strip().splitlines() or ["it said nothing"])[-1]
        raise RascaError(f"{Path(command[0]).name} failed: {last}")
    return done.stdout
