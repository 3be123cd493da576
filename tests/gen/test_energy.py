"""The energy estimate: it meets what was measured, and says nothing of what was not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtl_gen.energy import AT_WORK, IDLE, energy
from rtl_gen.target import load_target


@pytest.mark.parametrize(("clock", "power"), AT_WORK)
def test_a_design_that_never_rests_draws_what_was_measured(clock: int, power: float) -> None:
    found = energy(replace(load_target("up5k"), clock_mhz=clock), clock * 1_000_000)
    assert found is not None
    (rate,) = found["rates"]
    assert rate["frames_per_second"] == rate["at_work"] == 1
    assert rate["mw"] == found["at_work_mw"] == power
    assert found["mj_per_frame"] == pytest.approx(power)
    assert rate["saved_at_most_mw"] == 0


def test_a_design_that_always_rests_draws_what_was_measured() -> None:
    clock, power = IDLE
    found = energy(replace(load_target("up5k"), clock_mhz=clock), 1)
    assert found is not None
    one = found["rates"][0]
    assert one["mw"] == power
    assert one["saved_at_most_mw"] == pytest.approx(found["at_work_mw"] - power)


def test_rates() -> None:
    """Each frame costs the same more than rest; none is made faster than the clock allows."""
    found = energy(load_target("up5k"), 800_000)
    assert found is not None
    assert (found["always_mw"], found["nj_per_cycle"], found["nj_per_held_cycle"]) == (0.97, 0.801, 0.214)
    assert found["mj_per_frame"] == 0.673
    assert [rate["frames_per_second"] for rate in found["rates"]] == [1, 5, 30]
    one, five, thirty = (rate["mw"] for rate in found["rates"])
    assert (one, five, thirty) == (6.56, 8.44, 20.2)
    assert found["at_work_mw"] == 20.2
    assert [rate["saved_at_most_mw"] for rate in found["rates"]] == [13.63, 11.75, 0]
    found = energy(load_target("up5k"), 800_001)
    assert found is not None and [rate["frames_per_second"] for rate in found["rates"]] == [1, 5]


def test_nothing_is_said_of_other_parts() -> None:
    up5k = load_target("up5k")
    assert energy(load_target("ecp5-85f"), 400_000) is None
    assert energy(replace(up5k, multipliers=8), 400_000) is None
    assert energy(replace(up5k, array="systolic"), 400_000) is None
