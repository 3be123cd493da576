"""The demo with a real accelerator at pin level: photos in over the UART, the integer model's answers out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch

from fpga.bitstream import demo_for
from fpga.demo import BROKEN, LOADED, Demo
from fpga.flash_image import programming_image, weight_image
from fpga.protocol import Fault, Identity, Kind, request
from rasca_hw.accelerator import Accelerator
from rasca_hw.boot import BootLoader
from rasca_hw.params import AcceleratorParams
from rasca_nn import integer
from rasca_nn.config import preset
from rasca_nn.data import load_image
from rasca_nn.int8_file import Int8Model
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import build
from rtl_gen.target import load_target
from sim.flash_model import FlashModel

from .pins import Pins
from .stub import IDENTITY, Loaded, Stub, expected

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
    demo, weights = demo_for(model, load_target(target), clock_hz=CLOCK_HZ, baud=BAUD, timeout_s=1e-4)
    assert not weights
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
    for number, reply, wanted in ((1, first, logits[0]), (3, second, logits[1])):
        assert reply.values == {
            "frame": number,
            "class": int(np.argmax(wanted)),
            "step": model.config.steps,
            "errors": 0,
            **{f"logit{n}": int(logit) for n, logit in enumerate(wanted)},
        }
    assert fault.values == {"frame": 2, "fault": Fault.CRC}
    if shipped:
        assert (first.values["class"], second.values["class"]) == (1, 0)
    assert short.values == {"frame": 4, "fault": Fault.TIMEOUT}


WEIGHTS = np.random.default_rng(7).integers(0, 1 << 16, 500).tolist()
HASH = 0x1234_5678


def flash_content(words, model_hash: int = HASH) -> bytearray:
    """A programming image."""
    return bytearray(programming_image(b"bitstream", weight_image(words, model_hash=model_hash)))


def test_weights_come_from_flash(tmp_path):
    """Photos are refused with the reason, and a LED is on, until the flash is right; then answers are."""
    loader = BootLoader(model_hash=HASH, words=len(WEIGHTS), quad=True)
    accelerator = Loaded(Stub(IDENTITY), WEIGHTS)
    demo = Demo(accelerator, IDENTITY, clock_hz=CLOCK_HZ, baud=BAUD, timeout_s=1e-4, loader=loader)
    good = flash_content(WEIGHTS)
    damaged = good.copy()
    damaged[-20] ^= 1
    flash = FlashModel(damaged)
    pins = Pins(demo, tmp_path, flash)
    image = np.random.default_rng(3).integers(0, 256, (IDENTITY.height, IDENTITY.width, 3), dtype=np.uint8)
    faults = []
    assert pins.send(request(Kind.IDENTIFY, frame=9))[0].kind == Kind.IDENTITY
    for content in (damaged, flash_content(WEIGHTS, HASH + 1), bytearray()):
        flash.content = content
        pins.send(b"")
        # A photo's bytes after its refused header are no packet: a second reply may follow.
        faults.append(pins.send(frame(1, image))[0].values)
        assert pins.leds >> LOADED & 0b11 == 1 << BROKEN - LOADED
    kinds = (Fault.WEIGHTS_DAMAGED, Fault.WEIGHTS_FOREIGN, Fault.WEIGHTS_MISSING)
    assert faults == [{"frame": 1, "fault": fault} for fault in kinds]

    flash.content = good
    pins.send(b"")
    assert pins.leds >> LOADED & 0b11 == 1
    (reply,) = pins.send(frame(2, image))
    assert (reply.values["logit0"], reply.values["logit1"]) == expected(image)
    assert (reply.values["frame"], reply.values["errors"]) == (2, 0)


def without_weights(params: AcceleratorParams) -> AcceleratorParams:
    """One engine, with zeros instead of what a loader brings."""
    (engine,) = params.engines
    empty = replace(
        engine,
        weights=((0,) * len(engine.weights[0]),),
        biases=(((0, 0),) * len(engine.biases[0]),),
        tables=tuple((0,) * len(table) for table in engine.tables),
    )
    return replace(params, engines=(empty,))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", *SHIPPED])
def test_boot_and_answer(name, tmp_path):
    """The UP5K's demo with its accelerator. What it has from the start is zeros: all that it knows comes from flash."""
    shipped = name in SHIPPED
    model = Int8Model.load(MODELS / f"{name}.int8") if shipped else random_int8_model(preset(name), seed=4)
    made = build(model, load_target("up5k"))
    params = without_weights(made.params)
    known, weights = demo_for(model, load_target("up5k"), clock_hz=CLOCK_HZ, baud=BAUD, quad=True)
    loader = BootLoader(model_hash=params.model_hash, words=len(made.image), quad=True)
    demo = Demo(Accelerator(params), known.bridge.identity, clock_hz=CLOCK_HZ, baud=BAUD, timeout_s=1e-4, loader=loader)
    pins = Pins(demo, tmp_path, FlashModel(bytearray(programming_image(b"bitstream", weights))))
    images = photos(model.config)
    logits = integer.logits(model, torch.from_numpy(images)).tolist()
    for _ in range(20):
        pins.send(b"")
        if pins.leds >> LOADED & 1:
            break
    for number, (image, wanted) in enumerate(zip(images, logits, strict=True)):
        (reply,) = pins.send(frame(number, image))
        assert (reply.values["frame"], reply.values["errors"]) == (number, 0)
        assert [reply.values[f"logit{n}"] for n in range(len(wanted))] == wanted
