"""The register sequence on Icarus, with a model of the sensor on the bus."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rasca_hw.camera.sccb import RegisterSequence, Write
from rtl_gen.sensor import load_sensor, sensor_names
from sim.icarus import run_bench, to_verilog

CLOCK, BUS = 3_200_000, 100_000
BIT = CLOCK // BUS
WRITES = [Write(0x12, 0x80), Write(0, 20, pause=True), Write(0xA5, 0x5A)]
SENT = [(w.address, w.value) for w in WRITES if not w.pause]
NONE = np.zeros((0, 2), np.int64)


def sequence(
    *, writes: list[Write] = WRITES, wide: bool = False, device: int = 0x21, answers: int = 0x21, **case: Any
) -> dict[str, Any]:
    options = {name: case.pop(name) for name in ("check_ack", "retries") if name in case}
    unit = RegisterSequence(writes=writes, device=device, wide=wide, clock_hz=CLOCK, bus_hz=BUS, **options)
    given = {"device": answers, "wide": wide, "silent": np.array([], np.int64), "limit": 60_000}
    lines = dict.fromkeys(("low_scl", "low_sda", "high_sda"), NONE)
    return run_bench(to_verilog(unit), "sccb", {**given, **lines, "noise": np.array([], np.int64), **case})


def check(found: dict[str, Any], sent: list[tuple[int, int]] = SENT) -> None:
    assert (found["done"], found["error"]) == (1, 0)
    assert [tuple(row) for row in found["written"].tolist()] == sent


def test_sequence() -> None:
    """All registers in their order, each once; the pause takes its time."""
    found = sequence()
    check(found)
    assert found["transfers"] == len(SENT)
    symbols = 1 + len(SENT) * (1 + 27 + 1)
    assert symbols * BIT + 20 * CLOCK / 1e6 < found["cycles"] < symbols * BIT * 1.3 + 200


def test_wide_addresses() -> None:
    writes = [Write(0x0103, 1), Write(0x3059, 0x42)]
    check(sequence(writes=writes, wide=True), [(w.address, w.value) for w in writes])


def test_retries() -> None:
    """Transfers that are not acknowledged are made again, and only those."""
    found = sequence(silent=np.array([0, 2, 3]))
    check(found)
    assert found["transfers"] == len(SENT) + 3


def test_no_answer() -> None:
    """A sensor that stops answering: an error that names the register."""
    found = sequence(silent=np.arange(1, 40), retries=2)
    assert (found["done"], found["error"], found["failed"]) == (0, 1, 2)
    assert found["transfers"] == 1 + 1 + 2
    assert [tuple(row) for row in found["written"].tolist()] == SENT[:1]


def test_other_device() -> None:
    found = sequence(answers=0x22, retries=0)
    assert (found["done"], found["error"], found["failed"], found["transfers"]) == (0, 1, 0, 0)


def test_unchecked() -> None:
    """SCCB's ninth bit means nothing: without the check a deaf sensor is no error."""
    found = sequence(answers=0x22, check_ack=False)
    assert (found["done"], found["error"], len(found["written"])) == (1, 0, 0)


@pytest.mark.parametrize("line", ["low_scl", "low_sda", "high_sda"])
def test_stuck_line(line: str) -> None:
    """A line that never moves is an error after a limited time, not a success and not a hang."""
    found = sequence(**{line: np.array([[0, 1 << 40]])}, retries=1)
    assert (found["done"], found["error"], found["failed"]) == (0, 1, 0)


@pytest.mark.parametrize(
    ("line", "begin", "end"),
    [("low_scl", 15 * BIT, 18 * BIT + 2 * CLOCK // 1000), ("low_sda", 700, 999)],
)
def test_held_line(line: str, begin: int, end: int) -> None:
    """A sensor that holds scl for longer than it may, or sda: the transfer is made again."""
    check(sequence(**{line: np.array([[begin, end]])}))


def test_stretched_clock() -> None:
    """A sensor that holds scl for a while only makes it take longer."""
    plain, found = sequence(), sequence(low_scl=np.array([[15 * BIT, 18 * BIT + 7]]))
    check(found)
    assert plain["cycles"] + 2 * BIT < found["cycles"] < plain["cycles"] + 4 * BIT


def test_glitches() -> None:
    """Pulses of one cycle on either line, at distances of 3 to 20 cycles, are not seen."""
    found = sequence(noise=np.cumsum(np.random.default_rng(1).integers(3, 21, 6000)))
    check(found)
    assert found["transfers"] == len(SENT)


@pytest.mark.parametrize("name", sensor_names())
def test_sensors(name: str) -> None:
    """The built-in lists can be written, and begin with the reset."""
    sensor = load_sensor(name)
    writes = [Write(max(0, r.address), r.value, pause=r.address < 0) for r in sensor.registers]
    RegisterSequence(writes=writes, device=sensor.address, wide=sensor.wide_addresses, clock_hz=80e6)
    assert "reset" in sensor.registers[0].purpose.lower()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bus_hz": 400_000}, "bus_hz must be at most 100000, not 400000"),
        ({"device": 0x80}, "device must be 0 to 127"),
        ({"writes": []}, "at least one register"),
        ({"writes": [Write(0x100, 0)]}, "writes must be in range, not Write"),
        ({"retries": 16}, "retries must be 0 to 15"),
    ],
)
def test_refused(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"writes": WRITES, "device": 0x21, "wide": False, "clock_hz": CLOCK, "bus_hz": BUS}
    with pytest.raises(ValueError, match=message):
        RegisterSequence(**{**given, **change})
