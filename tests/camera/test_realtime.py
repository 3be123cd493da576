"""Whether an accelerator keeps up with a sensor: computed, and where the line lies in simulation."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from re import search

import pytest

from rasca_nn.int8_file import Int8Model
from rtl_gen.build import build
from rtl_gen.camera import Placement, place
from rtl_gen.realtime import CLOCK_MHZ as CLOCKS
from rtl_gen.realtime import RealTime, RealTimeError, keep_up, real_time
from rtl_gen.sensor import Sensor, load_sensor, sensor_names
from rtl_gen.target import load_target
from sim.camera import Window
from sim.pins import stream
from tests.camera.small import photo, small
from tests.camera.test_system import CLOCK_MHZ, MODELS, expected, sent, simulator, tiny

WINDOW, DEPTH = Window(2, 1, 1, 32, 20), 16


def sensor(gap: int) -> Sensor:
    """A fast sensor with `gap` clocks behind each line."""
    return replace(small("hm01b0-8bit", 36, 22, gap), pclk_mhz=32, name=f"gap {gap}")


PLACE = Placement(WINDOW.left, WINDOW.top, WINDOW.factor)


def judged(gap: int, rule: bool = False, clock_mhz: float = CLOCK_MHZ) -> RealTime:
    return real_time(tiny(), sensor(gap), PLACE, clock_mhz=clock_mhz, depth=DEPTH, rule=rule)


def faster(factor: int, period: int) -> tuple[Sensor, Placement]:
    """A sensor whose boxes come faster than the crop takes them, with that period of pclk in picoseconds."""
    made = small("hm01b0-8bit", 36 * factor, 22 * factor, 80)
    return replace(made, pclk_mhz=1e6 / period), Placement(2, 1, factor)


def keeps_up(gap: int, clock_mhz: float = CLOCK_MHZ) -> RealTime:
    """Raises RealTimeError."""
    return keep_up(tiny(), sensor(gap), PLACE, clock_mhz=clock_mhz, depth=DEPTH)


def tightest() -> int:
    """The smallest gap that is accepted."""
    return bisect_left(range(200), True, key=lambda gap: gap > 0 and judged(gap).fits)


def test_refused() -> None:
    """One line between accepted and refused, and an error with numbers and the remedy."""
    gap = tightest()
    fits = [judged(g).fits for g in (1, gap - 2, gap - 1, gap, gap + 1, 80)]
    assert fits == [False, False, False, True, True, True]
    assert keeps_up(gap) == judged(gap)
    with pytest.raises(
        RealTimeError, match=r"a step takes \d+ cycles at 80 MHz, .* % more than .* gap 1 sends its rows"
    ):
        keeps_up(1)


@pytest.mark.parametrize("clock_mhz", [1, 20.5, 31, 35, 79])
def test_remedy(clock_mhz: float) -> None:
    """The clock that an error asks for does, and one of a MHz less does not."""
    gap = tightest()
    with pytest.raises(RealTimeError) as refused:
        keeps_up(gap, clock_mhz)
    found = search(r"; use a clock of (\d+) MHz or more, ", str(refused.value))
    assert found
    enough = int(found[1])
    assert keeps_up(gap, enough).fits
    assert enough - 1 <= clock_mhz or not judged(gap, clock_mhz=enough - 1).fits


def test_no_remedy() -> None:
    """A sensor for which no clock is fast enough, one whose pixels come too fast outside the window, odd clocks."""
    for clock_mhz, remedy in ((20, "a slower pclk"), (1000, "a larger array, more line_rows")):
        with pytest.raises(RealTimeError, match=f"; use {remedy}"):
            keep_up(tiny(), replace(sensor(1), pclk_mhz=500), PLACE, clock_mhz=clock_mhz, depth=DEPTH)
    wide = replace(sensor(1), width=36 * 100, line_clocks=36 * 500, pclk_mhz=40)
    with pytest.raises(
        RealTimeError, match=r"a pixel in 0\.95 cycles at 38 MHz.*; use a clock of 40 MHz or more, or a"
    ):
        keep_up(tiny(), wide, PLACE, clock_mhz=38, depth=1024)
    for clock_mhz in (0, 0.5, 1e-12, -80, 1001, float("nan"), float("inf")):
        with pytest.raises(RealTimeError, match=f"must be {CLOCKS[0]} to {CLOCKS[1]} MHz, not "):
            judged(80, clock_mhz=clock_mhz)


def test_rule() -> None:
    """A step that waits for the verdict on the one before takes longer."""
    assert judged(60, rule=True).step_cycles > judged(60).step_cycles


@pytest.mark.parametrize(
    ("name", "factor", "model"),
    [("ov7670-qvga", 1, "released-210x240"), *((name, 2, "released-105x120") for name in sensor_names())],
)
def test_sensors(name: str, factor: int, model: str) -> None:
    """The built-in sensors before the demo's accelerator, with early termination or without."""
    made = build(Int8Model.load(MODELS / f"{model}.int8"), load_target("ecp5-85f"))
    for rule in (False, True):
        found = keep_up(made, load_sensor(name), Placement(8, 8, factor), rule=rule)
        assert found.margin > 0
        # Those on their way through the FIFO.
        assert found.waiting <= 5


def test_up5k() -> None:
    """At the boards' 24 MHz the demo's mode of the sensor is kept up with, and that with the shortest lines refused."""
    made = build(Int8Model.load(MODELS / "released-105x120.int8"), load_target("up5k"))

    def standing(name: str) -> RealTime:
        chosen = load_sensor(name)
        return keep_up(made, chosen, place(chosen, made.model.config), clock_mhz=24)

    assert 0 < standing("hm01b0-qvga-8bit-27fps").margin < 5
    with pytest.raises(
        RealTimeError, match=r"at 24 MHz, .* % more than the 15040 in which hm01b0-qvga-8bit sends its rows"
    ):
        standing("hm01b0-qvga-8bit")


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


@pytest.mark.slow
@pytest.mark.parametrize("factor", [2, 4])
def test_line_of_boxes_is_right(factor: int) -> None:
    """Where a row's end waits longest: the fastest accepted pclk loses nothing, one 3 % faster does.

    The line is drawn for the worst phase of the two clocks, of which a simulation has one.
    """

    def fits(period: int) -> bool:
        return real_time(tiny(), *faster(factor, period), clock_mhz=CLOCK_MHZ, depth=DEPTH).fits

    step = 50
    slowest = bisect_left(range(15_000, 30_000, step), True, key=fits)
    period = 15_000 + step * slowest
    assert slowest > 0 and not fits(period - step)
    chosen, where = faster(factor, period)
    window = Window(where.left, where.top, factor, 32, 20)
    images = [photo(chosen, i) for i in range(3)]
    machine = simulator(tiny(), chosen, window, depth=DEPTH)
    run = machine.run(stream(sent(chosen, images), period))
    assert not run.overflow and [r.errors for r in run.results] == [0] * 3
    assert [r.logits for r in run.results] == expected(tiny(), chosen, window, images)
    run = machine.run(stream(sent(chosen, images), round(period * 0.97)))
    assert run.overflow and any(r.errors for r in run.results)
