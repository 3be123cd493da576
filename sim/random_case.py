"""A random network with random numbers on a random target, as one small JSON file that can be run again.

What a case leaves out follows from its seed: weights, biases and pictures are made again from it, bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fpga.names import nearest
from rasca_hw.counters import REGISTERS
from rasca_nn.config import RaScaNetConfig
from rasca_nn.errors import RascaError
from rasca_nn.int8_file import Int8Model
from rasca_nn.random_model import Kind, random_int8_model
from rasca_nn.termination import Rule
from rtl_gen.build import Build, build
from rtl_gen.estimate import FrameCycles, estimate
from rtl_gen.target import Target, TargetError, target_from_dict
from sim.compare import Trace, compare
from sim.cxxrtl import Run, SimulationError, Simulator, compile_simulator
from sim.frames import pixel_stream
from sim.simulate import Icarus, cycle_limit, settings, traces

Pictures = Literal["zeros", "full", "spike", "checker", "gradient", "noise"]
"""All black, all white, one white pixel, a chess board, a ramp, every byte random; from the simplest on."""
SIMULATORS = ("compiled", "cxxrtl", "icarus")


MAX_SEED = 2**32 - 1
MAX_FRAMES = 8
TITLE = "rasca-case"


class CaseError(RascaError):
    """A case file that cannot be used; one line."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run of the accelerator.

    Parameters
    ----------
    config, target : the network, and what it is mapped to.
    weights : of the made-up model, see :data:`rasca_nn.random_model.Kind`.
    images : what is on the pictures, see :data:`Pictures`.
    seed : of weights and pictures, 0 to 2^32 - 1.
    frames : pictures in the stream, 1 to 8; the first comes after a reset, the others without a pause.
    rule : early termination; None for none.
    """

    config: RaScaNetConfig
    target: Target
    weights: Kind
    images: Pictures
    seed: int
    frames: int
    rule: Rule | None

    def __post_init__(self) -> None:
        for name, known in (("weights", get_args(Kind)), ("images", get_args(Pictures))):
            if getattr(self, name) not in known:
                raise CaseError(nearest(name, str(getattr(self, name)), known))
        for name, low, high in (("seed", 0, MAX_SEED), ("frames", 1, MAX_FRAMES)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise CaseError(f"{name} must be an integer from {low} to {high}, not {value!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the file; lists where the configuration has tuples."""
        plain: dict[str, Any] = json.loads(json.dumps({"format": TITLE, **asdict(self)}))
        return plain

    @classmethod
    def from_dict(cls, data: Any) -> Case:
        """The inverse of :meth:`to_dict`. Raises RascaError for what does not fit, naming it."""
        if not isinstance(data, dict) or data.get("format") != TITLE:
            raise CaseError(f"not a case: it has no format {TITLE!r}")
        values = {key: value for key, value in data.items() if key != "format"}
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise CaseError(nearest("key", key, known))
        for key in known:
            if key not in values:
                raise CaseError(f"{key} is missing")
        for key in ("config", "target", *(["rule"] if values["rule"] is not None else [])):
            if not isinstance(values[key], dict):
                raise CaseError(f"{key} must be an object, not {values[key]!r}")
        values["config"] = RaScaNetConfig.from_dict(values["config"])
        values["target"] = target_from_dict(values["target"])
        if values["rule"] is not None:
            values["rule"] = Rule.from_dict(values["rule"])
        return cls(**values)

    @classmethod
    def load(cls, path: Path) -> Case:
        """From a file. Raises RascaError, with the file's name, for one that is no case."""
        try:
            data = json.loads(path.read_text())
        except (ValueError, RecursionError):
            raise CaseError(f"{path}: not a case: no JSON") from None
        try:
            return cls.from_dict(data)
        except (ValueError, RascaError, RecursionError) as error:
            raise CaseError(f"{path}: {error}") from None

    def save(self, folder: Path) -> Path:
        """Into the folder, made where it is missing, under a name that follows from the content."""
        text = json.dumps(self.to_dict(), indent=2) + "\n"
        path = folder / f"case-{hashlib.sha256(text.encode()).hexdigest()[:8]}.json"
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def model(self) -> Int8Model:
        """The made-up integer model."""
        return random_int8_model(self.config, self.seed, self.weights)

    def pictures(self) -> NDArray[np.uint8]:
        """The frames, uint8 [frames, height, width, 3]."""
        rng = np.random.default_rng(self.seed)
        shape = (self.frames, self.config.height, self.config.width, 3)
        frame, y, x, colour = np.indices(shape)
        if self.images == "noise":
            return rng.integers(0, 256, shape, dtype=np.uint8)
        if self.images == "gradient":
            return (3 * x + 7 * y + 40 * colour + 90 * frame).astype(np.uint8)
        if self.images == "checker":
            return (255 * ((x + y + frame) % 2)).astype(np.uint8)
        made = np.full(shape, 255 if self.images == "full" else 0, np.uint8)
        if self.images == "spike":
            for one in made:
                one[tuple(int(rng.integers(size)) for size in one.shape[:2])] = 255
        return made


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    `compared` values of all layers, steps and frames and of the results, and how many differ; `measured` and
    `estimated` cycles, one a frame; `fault` says in one line what is wrong first, None where nothing is.
    """

    compared: int
    mismatches: int
    measured: tuple[FrameCycles, ...]
    estimated: tuple[FrameCycles, ...]
    fault: str | None

    def to_dict(self) -> dict[str, Any]:
        """The keys of `rasca replay --json`."""
        return json.loads(json.dumps(asdict(self)))


def run_case(case: Case, simulator: str = "compiled", vcd: Path | None = None) -> Outcome:
    """Runs a case through the RTL and compares everything.

    A simulation that fails, or hangs, is an outcome; so is a program error in generator or model.

    Raises
    ------
    RascaError
        Where the target does not take the network, or a tool is missing.
    """
    estimated: tuple[FrameCycles, ...] = ()
    try:
        made = build(case.model(), case.target)
        pictures = case.pictures()
        expected, ran = traces(made.model, pictures, case.rule)
        # Writing a register takes a cycle, in which the engines are at work already.
        rule = settings(made.model, case.rule)
        estimated = tuple(estimate(made, case.frames, ran.tolist() if case.rule else None, start=len(rule)))
        run = _run(made, pictures, rule, simulator, vcd)
        return _judge(made, run, expected, ran, estimated)
    except SimulationError as error:
        fault = str(error)
    except (RascaError, OSError, MemoryError):
        raise
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
    return Outcome(0, 0, (), estimated, " ".join(fault.split()))


def fails(case: Case, simulator: str) -> bool:
    """Whether something is wrong with a case; there is nothing wrong with a refusal."""
    try:
        return run_case(case, simulator).fault is not None
    except TargetError:
        return False


def _run(made: Build, pictures: NDArray[np.uint8], rule: dict[int, int], simulator: str, vcd: Path | None) -> Run:
    pixels = np.concatenate([pixel_stream(picture) for picture in pictures])
    limit = cycle_limit(made, len(pictures))
    if simulator == "icarus":
        return Icarus(made).run(pixels, len(pictures), limit=limit, settings=rule)
    # Each case is another design, so that nothing is gained by keeping what was compiled.
    with tempfile.TemporaryDirectory(prefix="rasca-case-") as folder:
        native = simulator == "compiled"
        library = compile_simulator(made.params, vcd=vcd is not None, native=native, brief=True, folder=Path(folder))
        machine = Simulator(made.params, vcd=vcd, library=library)
        return machine.run(pixels, len(pictures), limit=limit, settings=rule)


def _judge(
    made: Build,
    run: Run,
    expected: list[list[Trace]],
    ran: NDArray[np.bool_],
    estimated: tuple[FrameCycles, ...],
) -> Outcome:
    """Layers, then results, then cycles."""
    comparisons = compare(made, run, expected)
    faults = [f"frame {f}: {c.first}" for f, c in enumerate(comparisons) if c.first]
    compared = sum(c.compared for c in comparisons)
    mismatches = sum(c.mismatches for c in comparisons)

    names = ("frame", "class", "step", "errors", "logits")
    for f, (result, steps) in enumerate(zip(run.results, expected, strict=True)):
        logits = steps[-1]["classifier.output"].ravel().tolist()
        wanted = (f, int(np.argmax(logits)), int(np.flatnonzero(ran[f])[-1]) + 1, 0, logits)
        got = [result[key].tolist() for key in ("frame", "klass", "step", "errors", "logits")]
        for name, value, right in zip(names, got, wanted, strict=True):
            compared += 1
            mismatches += value != right
            if value != right:
                faults.append(f"frame {f}: {name} of the result: expected {right}, got {value}")

    cycles = [field.name for field in fields(FrameCycles)]
    measured = tuple(
        FrameCycles(**{name: int(registers[REGISTERS.index(name)]) for name in cycles}) for registers in run.counters
    )
    for f, (count, guess) in enumerate(zip(measured, estimated, strict=True)):
        for name in cycles:
            value, right = getattr(count, name), getattr(guess, name)
            if value != right:
                faults.append(f"frame {f}: {name}: estimated {right}, measured {value}")
    return Outcome(compared, mismatches, measured, estimated, faults[0] if faults else None)
