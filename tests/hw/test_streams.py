"""Line buffer, feature link and result unit on Icarus, with idle cycles and back-pressure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rasca_hw.interfaces import Errors, confidence_layout, result_layout
from rasca_hw.lines import LineBuffer
from rasca_hw.link import FeatureLink
from rasca_hw.result import ResultUnit
from rasca_hw.termination import Rule
from rasca_nn.integer import normalise
from sim.frames import LAST, pixel_stream
from sim.icarus import IcarusError, run_bench, to_verilog, unpack
from tests.hw.player import split

WIDTH, ROWS, STEPS, COLUMNS, LINE_ROWS = 13, 3, 2, 4, 5
WORDS = 3 * -(-WIDTH // COLUMNS)
PATTERNS = [("none", "none"), ("bursts:7:3", "bursts:1:90")]


def errors(**flags: int) -> int:
    return Errors.const(flags).as_bits()


def frame(seed: int) -> NDArray[np.uint8]:
    """Rows that are used, and one that is not: it must be ignored."""
    return np.random.default_rng(seed).integers(0, 256, (ROWS * STEPS + 1, WIDTH, 3), dtype=np.uint8)


def lines(images: list[NDArray[np.uint32]], groups: int, idle: str, stall: str) -> dict[str, Any]:
    unit = LineBuffer(width=WIDTH, rows=ROWS, steps=STEPS, columns=COLUMNS, line_rows=LINE_ROWS)
    case = {"pixels": np.concatenate(images), "groups": groups, "rows": ROWS, "words": WORDS, "line_rows": LINE_ROWS}
    return run_bench(to_verilog(unit), "lines", {**case, "idle": idle, "stall": stall, "limit": 20000})


def stored(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The words of a frame's used rows, [words, lanes], as the integer model normalises them."""
    rows = normalise(torch.from_numpy(image[: ROWS * STEPS])).numpy()
    padded = np.zeros((len(rows), WORDS // 3 * COLUMNS, 3), np.int64)
    padded[:, :WIDTH] = rows
    return padded.transpose(0, 2, 1).reshape(-1, COLUMNS)


def words(outcome: dict[str, Any]) -> NDArray[np.int64]:
    return split([int.from_bytes(row.tobytes(), "little") for row in outcome["words"]], COLUMNS)


@pytest.mark.parametrize(("idle", "stall"), PATTERNS)
def test_lines(idle: str, stall: str) -> None:
    """Good frames with every byte value; pixels before a start of frame and rows that are not used are dropped."""
    images = [frame(0), frame(1), frame(2)]
    images[0].reshape(-1)[:256] = np.arange(min(256, images[0].size))[: images[0].size]
    outcome = lines([np.array([5, 6 | LAST], np.uint32), *map(pixel_stream, images)], 3 * STEPS, idle, stall)
    np.testing.assert_array_equal(outcome["errors"], [0, 0, 0])
    assert outcome["started"] == 3
    np.testing.assert_array_equal(words(outcome), np.concatenate([stored(i) for i in images]))


def bad_frame(kind: str) -> tuple[NDArray[np.uint32], int, int]:
    """Pixels of a bad frame, the errors it must have, and the groups it gives before the next frame."""
    lines = pixel_stream(frame(9)).reshape(-1, WIDTH)[: ROWS * STEPS]
    if kind == "short":
        lines[2, 6] |= LAST
        return np.delete(lines.reshape(-1), np.s_[2 * WIDTH + 7 : 3 * WIDTH]), errors(short_line=1), STEPS
    if kind == "long":
        more = np.insert(lines.reshape(-1), 2 * WIDTH, [3, 4, 5 | LAST])
        more[2 * WIDTH - 1] &= ~np.uint32(LAST)
        return more, errors(long_line=1), STEPS
    # Cut off: in the middle of the first group, of a line, between groups, and after the first pixel.
    kept = {"group": WIDTH, "line": 4 * WIDTH + 5, "between": ROWS * WIDTH, "pixel": 1}[kind]
    return lines.reshape(-1)[:kept], errors(truncated=1), 1 if kind in ("group", "between", "pixel") else STEPS


def test_bad_frames() -> None:
    """Every kind between good frames: the errors are said, and the good frames are exact."""
    pixels, flags, sizes, wanted = [], [], [], []
    full = ROWS * WORDS
    for i, kind in enumerate(("short", "long", "group", "line", "between", "pixel")):
        bad, expected, groups = bad_frame(kind)
        good = frame(i)
        pixels += [bad, pixel_stream(good)]
        flags += [expected, 0]
        sizes += [full] * groups + [0] * (groups < STEPS) + [full] * STEPS
        wanted += [None] * groups * full + list(stored(good))
    outcome = lines(pixels, len(sizes), "random:4:80", "random:5:50")
    assert outcome["errors"].tolist() == flags
    assert outcome["sizes"].tolist() == sizes
    got = words(outcome)
    assert len(got) == len(wanted)
    for i, (word, right) in enumerate(zip(got, wanted, strict=True)):
        if right is not None:
            np.testing.assert_array_equal(word, right, f"word {i}")


@pytest.mark.parametrize(("idle", "stall"), [("none", "none"), ("none", "random:1:60"), ("random:2:50", "bursts:5:9")])
def test_link(idle: str, stall: str) -> None:
    """Every word arrives once at its group's address, sets are full when all have; a cut waits for the sets before."""
    groups, size, step, base, depth = 2, 8, 20, 7, 16
    rng = np.random.default_rng(3)
    given = rng.integers(0, 1 << 32, (4, size, groups))
    unit = FeatureLink(groups=groups, columns=4, address_width=7, words=size * groups, step=step, depth=depth)
    addresses = base + rng.permutation(size)
    case = {"words": given, "addresses": addresses, "idle": idle, "stall": stall, "limit": 2000}
    outcome = run_bench(to_verilog(unit), "link", case)
    assert outcome["fulls"].tolist() == [size * groups * (i + 1) for i in range(len(given))]
    for i, words in enumerate(given):
        part = slice(i * size * groups, (i + 1) * size * groups)
        got = sorted(zip(outcome["address"][part].tolist(), outcome["word"][part].tolist(), strict=True))
        wanted = [(int(a) + g * step, int(w[g])) for a, w in zip(addresses, words, strict=True) for g in range(groups)]
        assert got == sorted(wanted), f"set {i}"


def decide(
    logits: NDArray[np.int64], lengths: list[int], stall: str, idle: str, pause: int, rule: int = 0
) -> dict[str, Any]:
    classes = logits.shape[2]
    flags = [0, errors(short_line=1), 0, errors(long_line=1), *[0] * len(lengths)][: len(lengths)]
    case = {
        "logits": logits,
        "lengths": np.array(lengths),
        "errors": np.array(flags),
        "pause": pause,
        "rule": str(rule),
    }
    unit = ResultUnit(classes=classes, steps=logits.shape[1])
    outcome = run_bench(to_verilog(unit), "result", {**case, "stall": stall, "idle": idle})
    return {
        "results": unpack(outcome["results"], result_layout(classes), classes),
        "confidences": unpack(outcome["confidences"], confidence_layout(classes), classes),
        "flags": flags,
        "decided": int(outcome["decided"]),
    }


@pytest.mark.parametrize(("classes", "idle", "stall"), [(2, "none", "none"), (5, "random:1:50", "random:6:40")])
def test_result(classes: int, idle: str, stall: str) -> None:
    """Ties go to the smaller class; all logits negative, and the ends of 32 bits."""
    rng = np.random.default_rng(classes)
    logits = rng.integers(-3, 3, (6, 3, classes))
    logits[1] -= 100
    logits[2, -1] = -(1 << 31)
    logits[3, -1, :2] = -(1 << 31), (1 << 31) - 1
    lengths = [3, 3, 3, 3, 2, 3]
    seen = decide(logits, lengths, stall, idle, 24)
    results = seen["results"]
    assert seen["decided"] == len(results) == len(lengths)
    np.testing.assert_array_equal(results["frame"], range(len(lengths)))
    np.testing.assert_array_equal(results["step"], lengths)
    np.testing.assert_array_equal(results["errors"], seen["flags"])
    whole = [f for f, n in enumerate(lengths) if n == 3]
    np.testing.assert_array_equal(results["logits"][whole], logits[whole, -1])
    # PyTorch's argmax does not promise the first of equals; numpy's does.
    np.testing.assert_array_equal(results["klass"][whole], logits[whole, -1].argmax(1))
    sent = [(t + 1, logits[f, t].tolist()) for f, n in enumerate(lengths) for t in range(n)]
    assert [(int(c["step"]), c["logits"].tolist()) for c in seen["confidences"]] == sent


@pytest.mark.parametrize("consecutive", [1, 2, 3])
@pytest.mark.parametrize("skips", [False, True])
def test_early_termination(consecutive: int, skips: bool) -> None:
    """Thresholds met exactly and missed by one, at every step of the frame, the last two included."""
    threshold, lower, steps, frames = 4, -3, 5, 40
    rng = np.random.default_rng(consecutive)
    logits = np.zeros((frames, steps, 3), np.int64)
    logits[..., 1] = rng.choice([threshold - 1, threshold, threshold + 5, 0, lower, lower + 1], (frames, steps))
    logits += rng.integers(-(1 << 30), 1 << 30, (frames, steps, 1))
    fields = {"enabled": 1, "skips": skips, "consecutive": consecutive, "threshold": threshold, "lower": lower}
    seen = decide(logits, [steps] * frames, "none", "none", 24, Rule.const(fields).as_bits())

    at, sent = [], []
    for frame in logits:
        streak, skip = 0, False
        for t, step in enumerate(frame):
            if skip:
                skip = False
                continue
            margin = step[1] - max(step[0], step[2])
            sent.append((t + 1, step.tolist()))
            decided = t
            streak = streak + 1 if margin >= threshold else 0
            if streak >= consecutive:
                break
            skip = skips and margin <= lower
        at.append(decided)
    assert len({*at}) > 1
    assert seen["decided"] == frames
    np.testing.assert_array_equal(seen["results"]["step"], np.array(at) + 1)
    np.testing.assert_array_equal(seen["results"]["logits"], logits[np.arange(frames), at])
    assert [(int(c["step"]), c["logits"].tolist()) for c in seen["confidences"]] == sent


def test_unread_result() -> None:
    """A reader that is too slow loses items, and the next result says so."""
    logits = np.arange(4 * 2 * 2).reshape(4, 2, 2)
    seen = decide(logits, [2] * 4, "bursts:1:40", "none", 12)
    overrun = errors(overrun=1)
    assert len(seen["confidences"]) < 8
    assert any(r["errors"] & overrun for r in seen["results"])


def test_bench_without_tests() -> None:
    """A module without tests is an error; cocotb itself would be content."""
    with pytest.raises(IcarusError, match=r"no test ran|no results|ended early"):
        run_bench(to_verilog(ResultUnit(classes=2, steps=2)), "case", {})
