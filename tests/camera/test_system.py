"""From the sensor's pins to the result: equal to the integer model on the same crop."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

from rasca_hw.camera.system import CameraAccelerator
from rasca_hw.interfaces import result_layout
from rasca_nn import integer
from rasca_nn.config import preset
from rasca_nn.int8_file import Int8Model
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import Build, build
from rtl_gen.sensor import Sensor, load_sensor
from rtl_gen.target import load_target
from sim.camera import Image, Window, frame_end, frame_pins, jitter, seen
from sim.icarus import run_bench, to_verilog
from sim.pins import PinSimulator, stream
from tests.camera.small import front_end, photo, small

CLOCK_MHZ = 80
SEED = 10
"""Of a model that answers differently to different pictures; most random ones do not."""
MODELS = Path(__file__).parents[2] / "models"


@cache
def tiny() -> Build:
    return build(random_int8_model(preset("tiny"), SEED), load_target("small"))


def simulator(made: Build, sensor: Sensor, window: Window, **options: int) -> PinSimulator:
    unit = front_end(sensor, window, made.params.rows, **options)
    return PinSimulator(unit, made.params, clock_mhz=CLOCK_MHZ)


def logits(model: Int8Model, image: Image) -> tuple[int, ...]:
    """Of the integer model, after the last step."""
    last = integer.run(model, torch.from_numpy(np.ascontiguousarray(image[None])))[-1]
    return tuple(last["classifier.output"][0].tolist())


SENSOR, WINDOW = small("ov7670-qvga", 36, 22, 10), Window(3, 1, 1, 32, 20)


def sent(sensor: Sensor, images: list[Image]) -> NDArray[np.uint16]:
    """Frames in a row without a gap, and the end of the last one."""
    return np.concatenate([*(p for image in images for p in frame_pins(sensor, image)), frame_end(sensor)])


def expected(made: Build, sensor: Sensor, window: Window, images: list[Image]) -> list[tuple[int, ...]]:
    return [logits(made.model, window.apply(seen(sensor, image))) for image in images]


@pytest.mark.slow
def test_icarus() -> None:
    """Two frames, as Verilog."""
    made = tiny()
    images = [photo(SENSOR, i) for i in range(2)]
    words = sent(SENSOR, images)
    periods = jitter(len(words), 34_000, 0.3, np.random.default_rng(1))
    source = to_verilog(CameraAccelerator(front_end(SENSOR, WINDOW, made.params.rows), made.params))
    case = {"words": words, "periods": periods, "falling": False, "after": 2000, "stall": "none"}
    found = run_bench(source, "pins", {**case, "sink": "results", "ones": "confidences__ready"})
    results = [result_layout(2).from_bits(int.from_bytes(payload.tobytes(), "little")) for payload in found["payloads"]]
    assert [(r.frame, r.errors.as_bits()) for r in results] == [(0, 0), (1, 0)]
    assert [(r.logits[0], r.logits[1]) for r in results] == expected(made, SENSOR, WINDOW, images)
    assert results[0].logits[0] != results[1].logits[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ov7670-qvga", "hm01b0-qvga-4bit", "hm01b0-qvga-1bit"])
def test_frames(name: str) -> None:
    """Many frames in a row, compiled, with a jittering clock and the window halved."""
    sensor, window = small(name, 66, 43), Window(1, 3, 2, 32, 20)
    made = tiny()
    images = [photo(sensor, i) for i in range(8)]
    words = sent(sensor, images)
    periods = jitter(len(words), 42_000, 0.2, np.random.default_rng(1))
    run = simulator(made, sensor, window).run(stream(words, periods))
    assert [(r.frame, r.errors) for r in run.results] == [(i, 0) for i in range(8)]
    assert [r.logits for r in run.results] == expected(made, sensor, window, images)
    assert len({r.logits for r in run.results}) > 4
    assert not run.spoiled and not run.overflow


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ov7670-qvga", "hm01b0-8bit"])
def test_released(name: str) -> None:
    """Two whole frames of real photos, with the sensor's own timing, through released-105x120."""
    made = build(Int8Model.load(MODELS / "released-105x120.int8"), load_target("ecp5-85f"))
    sensor, window = load_sensor(name), Window(40, 15, 2, 120, 105)
    images = [data.astronaut()[:244, 100:424], data.chelsea()[40:284, 60:384]]
    images = [image[: sensor.height, : sensor.width] for image in images]
    words = sent(sensor, images)
    periods = jitter(len(words), 1e6 / sensor.pclk_mhz, 0.1, np.random.default_rng(1))
    run = simulator(made, sensor, window).run(stream(words, periods), after_us=1000)
    assert [(r.frame, r.errors) for r in run.results] == [(0, 0), (1, 0)]
    assert [r.logits for r in run.results] == expected(made, sensor, window, images)
