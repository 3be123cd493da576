"""The energy estimate: it meets what was measured, and says what it cannot say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtl_gen.energy import MEASURED, energy
from rtl_gen.target import load_target


@pytest.mark.parametrize(("clock", "power"), MEASURED)
def test_a_design_that_never_rests_draws_what_was_measured(clock: int, power: float) -> None:
    found = energy(replace(load_target("up5k"), clock_mhz=clock), clock * 1_000_000)
    assert found is not None
    (rate,) = found["rates"]
    assert rate["frames_per_second"] == rate["at_work"] == 1
    assert rate["no_gating_mw"] == rate["perfect_gating_mw"] == power
    assert rate["saved_mw_at_most"] == 0


def test_rates() -> None:
    """Twice the frames, twice what goes beyond the part that is always drawn; none faster than the clock allows."""
    found = energy(load_target("up5k"), 800_000)
    assert found is not None
    assert found["always_mw"] == 1.0 and found["nj_per_cycle"] == 0.8 and found["mj_per_frame"] == 0.64
    assert [rate["frames_per_second"] for rate in found["rates"]] == [1, 5, 30]
    one, five, thirty = (rate["perfect_gating_mw"] for rate in found["rates"])
    assert (one, five, thirty) == (1.64, 4.2, 20.2)
    assert {rate["no_gating_mw"] for rate in found["rates"]} == {20.2}
    found = energy(load_target("up5k"), 800_001)
    assert found is not None and [rate["frames_per_second"] for rate in found["rates"]] == [1, 5]


def test_nothing_is_said_of_other_parts() -> None:
    assert energy(load_target("ecp5-85f"), 400_000) is None
    assert energy(replace(load_target("up5k"), multipliers=8), 400_000) is None
