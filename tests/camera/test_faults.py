"""Random faults at the pins: never a wrong answer without its flag, and the next good frame exact."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from rasca_hw.camera.crop import Hold
from rasca_hw.camera.front_end import FrontEnd
from rasca_hw.camera.sccb import RegisterSequence
from rtl_gen.camera import register_sequence
from rtl_gen.sensor import load_sensor
from sim.camera import Window
from sim.campaign import CLOCK_MHZ, Campaign
from sim.faults import KINDS, NO_CLOCK, draw, judge, table
from sim.frames import pixel_stream
from sim.icarus import run_bench, to_verilog
from sim.sccb import CLOCK_HZ, SccbSimulator, as_written
from sim.sccb import KIND as SCCB
from tests.camera.small import front_end, given_frames, photo, pixel_words, small

SMALL, SMALL_WINDOW, ROWS = small("ov7670-qvga", 9, 8), Window(1, 1, 1, 6, 6), 3
FRONT = [kind for kind in KINDS if kind not in ("reset", "results unread")]
"""Faults of which the front end alone can show what comes."""
PERIOD = 30_000
"""Of pclk in picoseconds at most, here: the simulator is slow, and stops are longer elsewhere."""
CASES = 20
CAMPAIGN = 240


@cache
def front_source() -> str:
    return to_verilog(front_end(SMALL, SMALL_WINDOW, ROWS))


@pytest.mark.slow
def test_front_end() -> None:
    """Each kind at the front end on Icarus, as the row interface sees its pixels."""
    images = [photo(SMALL, i) for i in range(5)]
    cases = [draw(SMALL, images, 1, number, FRONT) for number in range(CASES)]
    words = np.concatenate([case.words for case in cases])
    periods = np.concatenate([np.minimum(case.periods, PERIOD) for case in cases])
    given = {"words": words, "periods": periods, "falling": False, "stall": "random:1:70", "after": 400}
    found = run_bench(front_source(), "pins", {**given, "sink": "pixels", "ones": ""})
    seen = given_frames(pixel_words(found["payloads"]), SMALL_WINDOW, ROWS)
    results = [(flags, () if flags else tuple(pixels.tolist())) for flags, pixels in seen]
    # A case's frames begin behind the one that must be its last.
    verdicts, at = [], 0
    for case in cases:
        last = (0, tuple(pixel_stream(SMALL_WINDOW.apply(case.images[1])).tolist()))
        assert last in results[at + 1 :], f"{case.about}: the good frame behind it is not exact"
        end = results.index(last, at + 1) + 1
        verdict = judge(case, SMALL_WINDOW, results[at:end], lambda image: tuple(pixel_stream(image).tolist()))
        assert verdict in ("exact", "marked"), f"{case.about}: {verdict}"
        verdicts.append((case.kind, verdict))
        at = end
    assert at == len(results)
    rows = table(verdicts)
    assert {kind for kind, *_ in rows} == set(FRONT)
    assert all(wrong == 0 for *_, wrong in rows)
    assert sum(marked for _, _, marked, _, _ in rows) > CASES // 2


@pytest.mark.slow
def test_drifting_resets() -> None:
    """Resets at any time while pclk drifts past multiples of the other clock's period, with jitter: the domains leave
    it in any order, and the next whole frame is exact.
    """
    campaign = Campaign()
    clock = 1e6 / CLOCK_MHZ
    for number in range(40):
        case = draw(campaign.sensor, campaign.images, 3, number, ["reset"])
        rng = np.random.default_rng(number)
        drift = clock * np.linspace(*(rng.permutation([2.7, 4.2])), len(case.periods))
        periods = (drift * rng.uniform(0.9, 1.1, len(drift)) / 2).astype(np.uint32) * 2
        drifting = replace(case, periods=np.where(case.periods == NO_CLOCK, NO_CLOCK, periods).astype(np.uint32))
        assert campaign.judge(drifting) in ("exact", "marked"), case.about


@pytest.mark.slow
def test_campaign() -> None:
    """All kinds through the whole accelerator and on the control bus, compiled; `rasca faults` runs more."""
    verdicts = list(Campaign().run(2, range(CAMPAIGN)))
    assert [f"{v.about}: {v.said}" for v in verdicts if not v.ok] == []
    assert {v.kind for v in verdicts} == {*KINDS, SCCB}


def early(unit: FrontEnd) -> FrontEnd:
    """A crop that gives the window's last pixel before it knows that the frame was right."""
    unit.crop.hold = Hold.LINE
    return unit


@pytest.mark.slow
def test_broken_hardware_is_found() -> None:
    """A campaign over hardware with a bug does not pass, and names the kinds of fault that show it."""
    wrong = {v.kind for v in Campaign(early).run(1, range(60)) if not v.ok}
    assert "missing line" in wrong


def test_noise() -> None:
    """Noise on the control bus: written as wanted, or flagged."""
    bus = SccbSimulator(load_sensor("hm01b0-8bit"))
    said = Counter(bus.judge(bus.run(bus.draw(1, number))) for number in range(40))
    assert said.keys() == {"exact", "marked"}
    assert said["exact"] > said["marked"]


def test_broken_sequence_is_found() -> None:
    """A sequence that does not look for acknowledges says that all is well when it is not."""
    sensor = load_sensor("hm01b0-8bit")
    writes = register_sequence(sensor, CLOCK_HZ).writes
    options = {"device": sensor.address, "wide": sensor.wide_addresses, "clock_hz": CLOCK_HZ}
    bus = SccbSimulator(sensor, RegisterSequence(writes=writes, **options, check_ack=False))
    said = [bus.judge(bus.run(bus.draw(1, number))) for number in range(120)]
    assert any("registers are not as they must be" in what for what in said)


@pytest.mark.parametrize(
    ("written", "fine"),
    [
        ([(1, 2), (3, 4), (1, 5)], True),
        ([(1, 2), (1, 2), (3, 4), (1, 5)], True),
        ([(1, 2), (3, 255), (3, 4), (1, 5)], True),
        ([(1, 2), (3, 4), (3, 255), (1, 5)], False),
        ([(1, 2), (1, 5)], False),
        ([(1, 2), (9, 9), (3, 4), (1, 5)], False),
        ([(3, 4), (1, 2), (1, 5)], False),
        ([(1, 2), (3, 4), (1, 5), (1, 6)], False),
    ],
)
def test_as_written(written: list[tuple[int, int]], fine: bool) -> None:
    assert as_written(written, [(1, 2), (3, 4), (1, 5)]) == fine


def test_judge() -> None:
    """What is wrong is called wrong."""
    images = [photo(SMALL, i) for i in range(5)]

    def judged(kind: str, *results: tuple[int, bytes | str]) -> str:
        """A good frame's picture by its place: "first", "sent" or "then" between them, "last"."""
        case = draw(SMALL, images, 1, 1, [kind])
        names = dict(zip(("sent", "then"), case.between, strict=False))
        names |= dict(zip(("first", "last"), case.images, strict=True))
        answers = {name: SMALL_WINDOW.apply(image).tobytes() for name, image in names.items()}
        given = [(flags, answers.get(str(of), b"other")) for flags, of in results]
        return judge(case, SMALL_WINDOW, given, lambda image: image.tobytes())

    first, sent, then, last, marked, other = (0, "first"), (0, "sent"), (0, "then"), (0, "last"), (4, ""), (0, "other")
    assert judged("missing line", first, marked, last) == "marked"
    assert "0 results" in judged("missing line", first, last)
    assert "2 results" in judged("missing line", first, marked, marked, last)
    assert judged("vsync in mid-frame", first, marked, marked, last) == "marked"
    for stale in (first, last, other):
        assert "wrong" in judged("missing line", first, stale, last)
        assert "wrong" in judged("stuck data", first, stale, last)
    assert "behind" in judged("missing line", first, marked, (1, "last"))
    assert "behind" in judged("missing line", first, marked, first)
    assert "before" in judged("missing line", marked, last)
    assert judged("missing line") == "no result"
    assert judged("stuck data", first, sent, last) == "exact"
    assert judged("stuck data", first, marked, last) == "marked without need"
    assert judged("reset", first, last) == judged("reset", first, sent, last) == "exact"
    assert "before" in judged("reset", last)
    assert judged("results unread", first, sent, then, last) == "exact"
    assert judged("results unread", first, sent, marked, last) == "marked"
    assert "wrong" in judged("results unread", first, then, sent, last)
    assert "wrong" in judged("results unread", first, sent, sent, last)
    assert "behind" in judged("results unread", first, sent, then)
