"""The demo with a real accelerator at pin level: photos in over the UART, the integer model's answers out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage
import torch

from fpga.bitstream import demo_for
from fpga.protocol import Fault, Identity, Kind, request
from rasca_nn import integer
from rasca_nn.config import preset
from rasca_nn.data import load_image
from rasca_nn.int8_file import Int8Model
from rasca_nn.random_model import random_int8_model
from rtl_gen.target import load_target

from .pins import Pins

MODELS = Path(__file__).parents[2] / "models"
SHIPPED = ("released-105x120",)
CLOCK_HZ = 80e6
BAUD = 8e6  # faster than the board's, for the simulation's sake


def photos(config) -> np.ndarray:
    """A person, a cat, a cup."""
    folder = Path(skimage.__file__).parent / "data"
    names = ("astronaut.png", "chelsea.png", "coffee.png")
    return np.stack([load_image(folder / name, config.height, config.width) for name in names])


def frame(number: int, photo: np.ndarray) -> bytes:
    """The request for a photo."""
    height, width, _ = photo.shape
    return request(Kind.FRAME, frame=number, height=height, width=width, pixels=photo.tobytes())


@pytest.mark.parametrize(
    ("name", "target"), [("tiny", "small"), pytest.param("released-105x120", "ecp5-85f", marks=pytest.mark.slow)]
)
def test_answers_are_the_integer_models(name, target, tmp_path):
    """Identity, a good photo, one with a changed byte, a good one after it, one that lacks its last byte."""
    shipped = name in SHIPPED
    model = Int8Model.load(MODELS / f"{name}.int8") if shipped else random_int8_model(preset(name), seed=4)
    demo = demo_for(model, load_target(target), clock_hz=CLOCK_HZ, baud=BAUD, timeout_s=1e-4)
    pins = Pins(demo, tmp_path)
    images = photos(model.config)
    logits = integer.logits(model, torch.from_numpy(images)).tolist()

    changed = bytearray(frame(2, images[1]))
    changed[100] ^= 4
    replies = pins.send(
        request(Kind.IDENTIFY, frame=9),
        frame(1, images[0]),
        bytes(changed),
        frame(3, images[1]),
        frame(4, images[2])[:-1],
    )
    identity, first, fault, second, short = replies
    assert Identity.from_values(identity.values) == demo.bridge.identity
    for number, reply, expected in ((1, first, logits[0]), (3, second, logits[1])):
        assert reply.values == {
            "frame": number,
            "class": int(np.argmax(expected)),
            "step": model.config.steps,
            "errors": 0,
            **{f"logit{n}": int(logit) for n, logit in enumerate(expected)},
        }
    assert fault.values == {"frame": 2, "fault": Fault.CRC}
    if shipped:
        assert (first.values["class"], second.values["class"]) == (1, 0)
    assert short.values == {"frame": 4, "fault": Fault.TIMEOUT}
