"""Whether an accelerator keeps up with a sensor: computed, and where the line lies in simulation."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace

import pytest

from rasca_nn.int8_file import Int8Model
from rtl_gen.build import build
from rtl_gen.realtime import RealTime, RealTimeError, check_real_time, real_time
from rtl_gen.sensor import Sensor, load_sensor
from rtl_gen.target import load_target
from sim.camera import Window
from sim.pins import stream
from tests.camera.small import photo, small
from tests.camera.test_system import CLOCK_MHZ, MODELS, expected, sent, simulator, tiny

WINDOW, DEPTH = Window(2, 1, 1, 32, 20), 16


def sensor(gap: int) -> Sensor:
    """A fast sensor with `gap` clocks behind each line."""
    return replace(small("hm01b0-8bit", 36, 22, gap), pclk_mhz=32, name=f"gap {gap}")


def judged(gap: int, rule: bool = False) -> RealTime:
    place = {"left": WINDOW.left, "top": WINDOW.top, "factor": WINDOW.factor}
    return real_time(tiny(), sensor(gap), **place, clock_mhz=CLOCK_MHZ, depth=DEPTH, rule=rule)


def tightest() -> int:
    """The smallest gap that is accepted."""
    return bisect_left(range(200), True, key=lambda gap: gap > 0 and judged(gap).fits)


def test_refused() -> None:
    """One line between accepted and refused, and an error with numbers and the remedy."""
    gap = tightest()
    fits = [judged(g).fits for g in (1, gap - 2, gap - 1, gap, gap + 1, 80)]
    assert fits == [False, False, False, True, True, True]
    assert check_real_time(judged(gap)).waiting <= DEPTH
    with pytest.raises(
        RealTimeError, match=r"a step takes \d+ cycles at 80 MHz, .* % more than .* gap 1 sends its rows"
    ):
        check_real_time(judged(1))


def test_rule() -> None:
    """A step that waits for the verdict on the one before takes longer."""
    assert judged(60, rule=True).step_cycles > judged(60).step_cycles


@pytest.mark.parametrize(
    ("name", "factor", "model"),
    [("ov7670-qvga", 1, "released-210x240"), ("hm01b0-qvga-1bit", 2, "released-105x120")],
)
def test_sensors(name: str, factor: int, model: str) -> None:
    """The built-in sensors before the demo's accelerator, with early termination or without."""
    made = build(Int8Model.load(MODELS / f"{model}.int8"), load_target("ecp5-85f"))
    for rule in (False, True):
        found = check_real_time(real_time(made, load_sensor(name), left=8, top=8, factor=factor, rule=rule))
        assert found.margin > 0
        assert found.waiting == 0


@pytest.mark.slow
def test_line_is_right() -> None:
    """The tightest accepted sensor loses nothing; the first refused one does, and says so."""
    gap = tightest()
    for accepted in (True, False):
        tight = sensor(gap if accepted else gap - 1)
        images = [photo(tight, i) for i in range(4)]
        run = simulator(tiny(), tight, WINDOW, depth=DEPTH).run(stream(sent(tight, images), 31_250))
        assert bool(run.overflow) != accepted
        errors = [r.errors for r in run.results]
        if accepted:
            assert errors == [0] * 4
            assert [r.logits for r in run.results] == expected(tiny(), tight, WINDOW, images)
        else:
            assert any(errors)
