"""Random faults at the pins: never a wrong answer without its flag, and the next good frame exact."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sim.camera import Window
from sim.faults import KINDS, FaultCase, draw, judge, table
from sim.frames import pixel_stream
from sim.icarus import run_bench, to_verilog
from tests.camera.small import front_end, given_frames, photo, pixel_words, small
from tests.camera.test_system import CLOCK_MHZ, logits, simulator, tiny

SMALL, SMALL_WINDOW, ROWS = small("ov7670-qvga", 9, 8), Window(1, 1, 1, 6, 6), 3
FRONT = [kind for kind in KINDS if kind not in ("reset", "results unread")]
"""Faults of which the front end alone can show what comes."""
PERIOD = 30_000
"""Of pclk in picoseconds at most, here: the simulator is slow, and stops are longer elsewhere."""
CASES = 20
CAMPAIGN = 330


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
def test_campaign() -> None:
    """All kinds through the whole accelerator, compiled; 5,000 cases are a matter of CAMPAIGN alone."""
    sensor, window = replace(small("ov7670-qvga", 36, 24, 10), pclk_mhz=24), Window(2, 2, 1, 32, 20)
    made = tiny()
    machine = simulator(made, sensor, window)
    images = [photo(sensor, i) for i in range(5)]
    known: dict[bytes, tuple[int, ...]] = {}

    def answer(image: np.ndarray) -> tuple[int, ...]:
        key = image.tobytes()
        if key not in known:
            known[key] = logits(made.model, image)
        return known[key]

    def verdict(case: FaultCase) -> str:
        run = machine.run(case.pairs, reads=case.reads, after_us=60 + 3 * case.reads[1] / CLOCK_MHZ)
        return judge(case, window, [(r.errors, r.logits) for r in run.results], answer)

    verdicts = []
    for number in range(CAMPAIGN):
        case = draw(sensor, images, 2, number)
        said = verdict(case)
        assert said in ("exact", "marked"), f"{case.about}: {said}"
        verdicts.append((case.kind, said))
    for row in table(verdicts):
        print(row)


def test_judge() -> None:
    """What is wrong is called wrong."""
    images = [photo(SMALL, i) for i in range(5)]
    case = draw(SMALL, images, 1, 0, ["missing line"])
    first, last = (SMALL_WINDOW.apply(image).tobytes() for image in case.images)
    good, end = (0, first), (0, last)

    def said(*results: tuple[int, bytes]) -> str:
        return judge(case, SMALL_WINDOW, results, lambda image: image.tobytes())

    assert said(good, (4, b""), end) == "marked"
    assert said(good, end) == "not marked"
    assert "wrong" in said(good, (0, b"other"), end)
    assert "behind" in said(good, (4, b""), (1, last))
    assert "before" in said((4, b""), end)
    assert said() == "no result"
