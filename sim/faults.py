"""Faults at a sensor's pins: random ones from a seed, and what may come of them.

A case is a good frame, a frame with one fault, and a good frame. The good frames' results must be exact, and what comes
between must be exact for the picture that was sent, or be marked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtl_gen.sensor import Sensor
from sim.camera import HREF, RESET, VSYNC, Image, Window, frame_end, frame_pins, from_grey, from_rgb565, seen

Words = NDArray[np.uint16]
NO_CLOCK = 0
"""Period of a word that is a cycle of the accelerator and not of pclk; see sim/pins.cc."""


@dataclass(frozen=True)
class FaultCase:
    """Words and periods at the pins, and what must come.

    images : of the good frames, of which exact results must come, first and last.
    between : pictures of which results without marks may come between them, each once and in this order.
    marks : whether results between them may be marked.
    results : how many may come between them, at least and at most.
    first : whether the first good frame's result must come; a reset right behind it may lose it.
    sleep, until : one cycle after so many in which results are not read they are, and from that word on always.
    """

    kind: str
    about: str
    words: Words
    periods: NDArray[np.uint32]
    images: tuple[Image, Image]
    between: tuple[Image, ...]
    marks: bool
    results: tuple[int, int]
    first: bool = True
    sleep: int = 0
    until: int = 0

    @property
    def pairs(self) -> NDArray[np.uint32]:
        """As :meth:`sim.pins.PinSimulator.run` takes them."""
        return np.stack([self.words.astype(np.uint32), self.periods], axis=1)


@dataclass
class Bad:
    """The bad frame while it is made: parts as :func:`sim.camera.frame_pins` gives them, lines from 1 on.

    harmless : its picture if a result without marks may come of it.
    marks, results, first, sleep : see :class:`FaultCase`.
    """

    sensor: Sensor
    image: Image
    rng: np.random.Generator
    parts: list[Words]
    about: str = ""
    harmless: Image | None = None
    marks: bool = True
    results: tuple[int, int] = (1, 1)
    first: bool = True
    stops: list[tuple[int, int]] = field(default_factory=list)
    resets: tuple[int, int] | None = None
    sleep: int = 0

    def line(self) -> int:
        """A random line's part."""
        return int(self.rng.integers(1, self.sensor.height + 1))

    @property
    def length(self) -> int:
        """Clocks of a line's pixels."""
        return self.sensor.width * self.sensor.format.value.clocks

    def clock(self) -> tuple[int, int]:
        """A random clock of the frame: part and clock in it."""
        part = int(self.rng.integers(len(self.parts)))
        return part, int(self.rng.integers(len(self.parts[part])))


def missing_line(bad: Bad) -> None:
    at = bad.line()
    bad.about = f"line {at}"
    del bad.parts[at]


def silent_line(bad: Bad) -> None:
    """Its time passes, and href stays low."""
    at = bad.line()
    bad.about = f"line {at}"
    bad.parts[at] = np.full_like(bad.parts[at], bad.parts[at][-1])


def extra_line(bad: Bad) -> None:
    at = bad.line()
    bad.about = f"line {at} twice"
    bad.parts.insert(at, bad.parts[at])


def short_line(bad: Bad) -> None:
    at, lost = bad.line(), int(bad.rng.integers(1, bad.length + 1))
    bad.about = f"line {at}, {lost} clocks"
    begin = int(bad.rng.integers(bad.length - lost + 1))
    bad.parts[at] = np.delete(bad.parts[at], np.s_[begin : begin + lost])


def long_line(bad: Bad) -> None:
    at, more = bad.line(), int(bad.rng.integers(1, 2 * bad.sensor.width))
    bad.about = f"line {at}, {more} clocks"
    begin = int(bad.rng.integers(bad.length))
    bad.parts[at] = np.insert(bad.parts[at], begin, np.repeat(bad.parts[at][begin], more))


def vsync(bad: Bad) -> None:
    """A pulse of vsync after the first line, at any clock: two frames, of which the second may have no line."""
    part = int(bad.rng.integers(2, len(bad.parts)))
    at, length = int(bad.rng.integers(len(bad.parts[part]))), int(bad.rng.integers(1, 9))
    bad.about = f"part {part}, clock {at}, {length} clocks"
    bad.parts[part] = bad.parts[part].copy()
    bad.parts[part][at : at + length] ^= VSYNC
    # Behind the last line's pixels it ends the frame a little early.
    bad.marks = part < bad.sensor.height or (part == bad.sensor.height and at < bad.length)
    bad.harmless, bad.results = (None, (1, 2)) if bad.marks else (bad.image, (1, 1))


def href(bad: Bad) -> None:
    """A glitch of href at any clock."""
    part, at = bad.clock()
    length = int(bad.rng.integers(1, 4))
    bad.about = f"part {part}, clock {at}, {length} clocks"
    bad.parts[part] = bad.parts[part].copy()
    bad.parts[part][at : at + length] ^= HREF


def stopped_clock(bad: Bad) -> None:
    for _ in range(int(bad.rng.integers(1, 4))):
        bad.stops.append((int(bad.rng.integers(sum(map(len, bad.parts)))), int(bad.rng.integers(1, 40)) * 1_000_000))
    bad.about = ", ".join(f"clock {at} for {time // 1_000_000} us" for at, time in bad.stops)
    bad.harmless, bad.marks = bad.image, False


def stuck_data(bad: Bad) -> None:
    """A data line that keeps its level from some line on: nobody can know, the result is that of what was sent."""
    at, line = bad.line(), int(bad.rng.integers(bad.sensor.format.value.lines))
    level = int(bad.rng.integers(2))
    bad.about = f"D[{line}] at {level} from line {at}"
    for part in range(at, len(bad.parts)):
        words = bad.parts[part]
        bad.parts[part] = words | np.uint16(1 << line) if level else words & np.uint16(0xFFFF ^ (1 << line))
    lines = np.stack([part[: bad.length] & 0xFF for part in bad.parts[1 : bad.sensor.height + 1]])
    bad.harmless, bad.marks = decode(bad.sensor, lines), False


def reset(bad: Bad) -> None:
    at, cycles = int(bad.rng.integers(sum(map(len, bad.parts)))), int(bad.rng.integers(1, 20))
    bad.about = f"clock {at} for {cycles} cycles"
    bad.resets = (at, cycles)
    # Between frames it may cost nothing, or the result of the frame before.
    bad.harmless, bad.marks, bad.results, bad.first = bad.image, False, (0, 1), at >= len(bad.parts[0])


def unread(bad: Bad) -> None:
    """Results that are read for one cycle in many, until the end of the frame behind; then another good one comes."""
    bad.sleep = int(bad.rng.integers(1, 25)) * 1000
    bad.about = f"{bad.sleep} cycles"
    bad.harmless, bad.results = bad.image, (0, 2)


KINDS: dict[str, Callable[[Bad], None]] = {
    "missing line": missing_line,
    "silent line": silent_line,
    "extra line": extra_line,
    "short line": short_line,
    "long line": long_line,
    "vsync in mid-frame": vsync,
    "href glitch": href,
    "pclk stops": stopped_clock,
    "stuck data": stuck_data,
    "reset": reset,
    "results unread": unread,
}


def decode(sensor: Sensor, lines: NDArray[Any]) -> Image:
    """The picture of what is on the data lines in each clock, [h, clocks]."""
    bus = sensor.format.value
    shifts = np.arange(bus.clocks) * bus.lines
    if sensor.high_first:
        shifts = shifts[::-1]
    parts = lines.reshape(len(lines), sensor.width, bus.clocks).astype(np.int64) & ((1 << bus.lines) - 1)
    values = (parts << shifts).sum(-1)
    return from_grey(values.astype(np.uint8)) if bus.grey else from_rgb565(values.astype(np.uint16))


def draw(sensor: Sensor, images: Sequence[Image], seed: int, number: int, kinds: Sequence[str] = ()) -> FaultCase:
    """Case `number` of a seed: kinds take turns, everything else is random. `images`: pictures to choose from."""
    rng = np.random.default_rng([seed, number])
    names = kinds or tuple(KINDS)
    kind = names[number % len(names)]
    first, middle, last, further = (images[i] for i in rng.permutation(len(images))[:4])
    bad = Bad(sensor, seen(sensor, middle), rng, frame_pins(sensor, middle))
    KINDS[kind](bad)
    before = np.concatenate(frame_pins(sensor, first))
    words = np.concatenate([before, *bad.parts, *frame_pins(sensor, last)])
    until = len(words) if bad.sleep else 0
    between = [] if bad.harmless is None else [bad.harmless]
    if bad.sleep:
        between.append(seen(sensor, last))
        last = further
        words = np.concatenate([words, *frame_pins(sensor, last)])
    words = np.concatenate([words, frame_end(sensor)])
    periods = np.full(len(words), round(5e5 / sensor.pclk_mhz) * 2, np.uint32)
    for at, time in bad.stops:
        periods[len(before) + at] = time
    if bad.resets:
        at, cycles = len(before) + bad.resets[0], bad.resets[1]
        words = np.insert(words, at, [RESET] * cycles + [0])
        periods = np.insert(periods, at, [NO_CLOCK] * (cycles + 1))
    return FaultCase(
        kind=kind,
        about=f"seed {seed}, case {number}, {kind}: {bad.about}",
        words=words,
        periods=periods,
        images=(seen(sensor, first), seen(sensor, last)),
        between=tuple(between),
        marks=bad.marks,
        results=bad.results,
        first=bad.first,
        sleep=bad.sleep,
        until=until,
    )


def judge(case: FaultCase, window: Window, found: Sequence[tuple[int, Any]], answer: Callable[[Image], Any]) -> str:
    """ "exact" or "marked", or what is wrong.

    Parameters
    ----------
    found : flags and answer of each result, in order.
    answer : what must come of a window without flags.
    """
    first, last = (answer(window.apply(image)) for image in case.images)
    if not found:
        return "no result"
    if found[-1] != (0, last):
        return "the good frame behind it is not exact"
    between = found[:-1]
    if between and between[0] == (0, first):
        between = between[1:]
    elif case.first:
        return "the good frame before it is not exact"
    sent = iter([answer(window.apply(image)) for image in case.between])
    for i, (flags, got) in enumerate(between):
        # `in` takes from `sent` what lies before: the order counts.
        if not flags and got not in sent:
            return f"result {i} between the good frames is wrong and not marked"
    if not case.results[0] <= len(between) <= case.results[1]:
        return f"{len(between)} results between the good frames"
    marked = any(flags for flags, _ in between)
    if marked and not case.marks:
        return "marked without need"
    return "marked" if marked else "exact"


def table(verdicts: Iterable[tuple[str, str]]) -> list[tuple[str, int, int, int, int]]:
    """For each kind of (kind, verdict): cases, marked, exact, wrong."""
    counts: dict[str, Counter[str]] = {}
    for kind, verdict in verdicts:
        counts.setdefault(kind, Counter())[verdict if verdict in ("marked", "exact") else "wrong"] += 1
    return [(kind, c.total(), c["marked"], c["exact"], c["wrong"]) for kind, c in counts.items()]
