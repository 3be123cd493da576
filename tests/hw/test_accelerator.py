"""The whole accelerator on Icarus: every word that an engine writes equals the integer model's, with no tolerance."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rasca_hw.interfaces import Errors
from rasca_nn.config import preset
from rasca_nn.int8_file import Int8Model
from sim.compare import compare
from sim.frames import BUBBLE, LAST, pixel_stream
from sim.icarus import ECP5, to_verilog
from sim.top import TracedAccelerator
from tests.hw.whole import BROADCAST, PACKED, SINGLE, Whole

TARGETS = {
    "two-engines": "small",
    "packed": str(PACKED),
    "single-engine": str(SINGLE),
    "broadcast": str(BROADCAST),
}
RELEASED = Path(__file__).parents[2] / "models" / "released-105x120.int8"


@cache
def tiny(target: str) -> Whole:
    return Whole.random(preset("tiny"), TARGETS[target])


@pytest.mark.parametrize(
    ("target", "frames", "idle", "stall"),
    [
        ("two-engines", 2, "none", "none"),
        ("two-engines", 2, "bursts:32:60", "random:8:5"),
        ("packed", 2, "none", "random:8:5"),
        ("single-engine", 2, "random:7:50", "bursts:1:50"),
        ("broadcast", 2, "random:3:70", "bursts:2:70"),
    ],
)
def test_frames(target: str, frames: int, idle: str, stall: str) -> None:
    """Frames in a row, with a camera and a reader of different habits."""
    whole = tiny(target)
    run, comparisons = whole.check(frames, idle=idle, stall=stall)
    steps = whole.build.params.steps
    for comparison in comparisons:
        assert comparison.mismatches == 0, str(comparison.first)
        assert comparison.compared > 1000
    assert run.results["frame"].tolist() == list(range(frames))
    assert run.results["step"].tolist() == [steps] * frames
    assert run.results["errors"].tolist() == [0] * frames
    logits = run.confidences["logits"][steps - 1 :: steps][:frames]
    np.testing.assert_array_equal(run.results["logits"], logits)
    np.testing.assert_array_equal(run.results["klass"], logits.argmax(1))
    last = whole.build.engines[-1]
    assert run.counters[1:, -1].tolist() == [steps * last.products] * (frames - 1)
    assert run.counters[-1, 2] == sum(e.params.multipliers for e in whole.build.engines)


@pytest.mark.parametrize("target", ["two-engines", "packed"])
def test_ecp5(target: str) -> None:
    """Multipliers and carry chains as an ECP5 has them: one whole frame."""
    whole = tiny(target)
    _, (comparison,) = whole.check(1, source=to_verilog(TracedAccelerator(whole.build.params), ECP5))
    assert comparison.mismatches == 0, str(comparison.first)
    assert comparison.compared > 1000


def bad_frame(kind: str, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint32], int]:
    """Pixels of the kind of bad frame, and the flags its result must have."""
    width = image.shape[1]
    lines = pixel_stream(image).reshape(-1, width)
    if kind == "short":
        lines[6, 9] |= LAST
        return np.delete(lines.reshape(-1), np.s_[6 * width + 10 : 7 * width]), Errors.const(
            {"short_line": 1}
        ).as_bits()
    if kind == "long":
        lines[7, -1] &= ~np.uint32(LAST)
        longer = np.insert(lines.reshape(-1), 8 * width, [1, 2, 3 | LAST])
        return longer, Errors.const({"long_line": 1}).as_bits()
    kept = {"mid-line": 7 * width + 11, "between groups": 5 * width, "pause": 10 * width, "late": 18 * width}[kind]
    # With a pause the engines wait for the next group's rows when the next frame begins.
    pause = np.full(20_000 if kind == "pause" else 0, BUBBLE, np.uint32)
    return np.append(lines.reshape(-1)[:kept], pause), Errors.const({"truncated": 1}).as_bits()


@pytest.mark.parametrize(
    ("target", "kinds"),
    [
        ("two-engines", ["short", "mid-line", "pause", "long", "between groups"]),
        ("single-engine", ["late", "pause", "mid-line"]),
    ],
)
def test_bad_frames(target: str, kinds: list[str]) -> None:
    """Each bad frame is marked, and the good frame behind them is exact."""
    whole = tiny(target)
    *bad, good = whole.images(len(kinds) + 1)
    frames = [bad_frame(kind, image) for kind, image in zip(kinds, bad, strict=True)]
    pixels = np.concatenate([*(p for p, _ in frames), pixel_stream(good)])
    run = whole.run(pixels, len(kinds) + 1, idle="random:3:90")
    assert run.results["errors"].tolist() == [*(flags for _, flags in frames), 0]
    assert run.results["frame"].tolist() == list(range(len(kinds) + 1))
    (comparison,) = compare(whole.build, whole.last_frame(run), [whole.traces(good)])
    assert comparison.mismatches == 0, str(comparison.first)
    np.testing.assert_array_equal(run.results["logits"][-1], whole.traces(good)[-1]["classifier.output"])


def test_released_frame() -> None:
    """A whole frame of released-105x120 on the ECP5-85F."""
    whole = Whole(Int8Model.load(RELEASED), "ecp5-85f")
    run, (comparison,) = whole.check(1)
    assert comparison.mismatches == 0, str(comparison.first)
    assert comparison.compared > 100_000
    assert run.results["step"].tolist() == [whole.model.config.steps]
