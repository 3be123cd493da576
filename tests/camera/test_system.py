"""From the sensor's pins to the result, compiled: equal to the integer model on the same crop."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from rasca_nn import integer
from rasca_nn.config import preset
from rasca_nn.int8_file import Int8Model
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import Build, build
from rtl_gen.sensor import Sensor
from rtl_gen.target import load_target
from sim.camera import Image, Window, frame_end, frame_pins, jitter, seen
from sim.pins import PinSimulator, stream
from tests.camera.small import front_end, photo, small

CLOCK_MHZ = 80


@cache
def tiny() -> Build:
    return build(random_int8_model(preset("tiny"), 1), load_target("small"))


def simulator(made: Build, sensor: Sensor, window: Window, **options: int) -> PinSimulator:
    unit = front_end(sensor, window, made.params.rows, **options)
    return PinSimulator(unit, made.params, clock_mhz=CLOCK_MHZ)


def logits(model: Int8Model, image: Image) -> tuple[int, ...]:
    """Of the integer model, after the last step."""
    last = integer.run(model, torch.from_numpy(np.ascontiguousarray(image[None])))[-1]
    return tuple(last["classifier.output"][0].tolist())


SENSORS = {
    "rgb565": (small("ov7670-qvga", 42, 26, 40), Window(3, 2, 1, 32, 20)),
    "grey1, halved": (small("hm01b0-qvga-1bit", 66, 43, 40), Window(1, 3, 2, 32, 20)),
}


@pytest.mark.parametrize("name", SENSORS)
def test_frames(name: str) -> None:
    """Frames in a row without a gap, with a jittering clock: each result is the integer model's."""
    sensor, window = SENSORS[name]
    made = tiny()
    images = [photo(sensor, i) for i in range(4)]
    words = np.concatenate([*(p for image in images for p in frame_pins(sensor, image)), frame_end(sensor)])
    periods = jitter(len(words), 1e6 / sensor.pclk_mhz, 0.2, np.random.default_rng(1))
    run = simulator(made, sensor, window).run(stream(words, periods))
    assert [r.frame for r in run.results] == [0, 1, 2, 3]
    assert [r.errors for r in run.results] == [0] * 4
    assert [r.logits for r in run.results] == [logits(made.model, window.apply(seen(sensor, i))) for i in images]
    assert len({r.logits for r in run.results}) == 4
    assert not run.spoiled and not run.overflow
