"""The demo with a camera, from the sensor's pins to the UART, the LEDs and the screen."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from math import exp
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import skimage
import torch
from amaranth.hdl import Array, ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from fpga.bars import Bars
from fpga.bitstream import camera_demo_for
from fpga.boards import board
from fpga.camera_demo import (
    ANSWERS,
    BLINK,
    BROKEN,
    CONFIGURED,
    IDENTITY_EVERY,
    LEDS,
    LOADED,
    LOST,
    MARKED,
    NO_PERSON,
    PERSON,
    SILENT,
    CameraDemo,
)
from fpga.flash_image import programming_image
from fpga.host import BoardError
from fpga.protocol import FAULT, IDENTITY, Fault, Identity, Kind, result
from fpga.screen import GREEN, MARGIN, RED, TRACK, ZOOM, Screen
from fpga.tmds import BITS, CHANNELS, CONTROL, Encoder, Serializer
from fpga.video import VGA, VideoMode
from fpga.watch import QUIET_S, watch
from rasca_hw.accelerator import Accelerator
from rasca_hw.boot import BootError, BootLoader
from rasca_hw.camera.sccb import RegisterSequence, Write
from rasca_hw.flash import PINS
from rasca_hw.spram import LOAD
from rasca_nn import integer
from rasca_nn.data import load_image
from rasca_nn.int8_file import Int8Model
from rtl_gen.camera import place
from rtl_gen.realtime import RealTimeError
from rtl_gen.sensor import WAIT, SensorError, load_sensor
from rtl_gen.target import load_target
from sim.camera import Image, Window, seen
from sim.flash_model import FlashModel
from sim.pins import stream
from tests.camera.demo_pins import DemoPins, decode, picture, symbols
from tests.camera.small import front_end, photo, small
from tests.camera.test_system import MODELS, expected, logits, sent, tiny
from tests.fpga.board_model import packet
from tests.fpga.stub import Loaded
from tests.fpga.test_demo import without_weights

SENSOR, WINDOW = small("ov7670-qvga", 36, 24, 10), Window(2, 3, 1, 32, 20)
MODE = VideoMode((72, 5, 9, 7), (48, 2, 2, 4))
LEVELS = 16
PHOTOS = Path(skimage.__file__).parent / "data"
CLOCK_MHZ = 79.3
"""Its edges and those of the screen's clock meet in every phase."""
BAUD, BUS = 8e6, 2.5e6
UP5K_GAP = 100
"""Clocks behind each line: of the time of a step of the tiny network an UP5K then has a third to spare."""
WRITES = [Write(0x12, 0x80), Write(0, 3, pause=True), Write(0x40, 0xD0), Write(0x15, 0)]


def length(margin: int, levels: int, scale: float) -> int:
    """Of a bar, from the probability of class 1."""
    return int(levels / (1 + exp(-margin * scale)))


def screen(image: Image, margins: list[int], scale: float) -> Image:
    """What must be on the screen: `image` is the sensor's picture, `margins` those after each row group."""
    coarse = image & np.array([0xE0, 0xE0, 0xC0], np.uint8)
    inside = np.zeros(image.shape[:2], bool)
    rows, columns = WINDOW.height * WINDOW.factor, WINDOW.width * WINDOW.factor
    inside[WINDOW.top : WINDOW.top + rows, WINDOW.left : WINDOW.left + columns] = True
    halved = coarse >> 1 & np.array([0x60, 0x60, 0x40], np.uint8)
    shown = np.where(inside[..., None], coarse, halved).repeat(ZOOM, 0).repeat(ZOOM, 1)
    left = shown.shape[1] - LEVELS - MARGIN
    shown[:, left - MARGIN :] = 0
    band = ZOOM * rows // len(margins)
    for step, margin in enumerate(margins):
        long = length(margin, LEVELS, scale)
        for y in range(ZOOM * WINDOW.top + step * band, ZOOM * WINDOW.top + (step + 1) * band - 1):
            for x in range(LEVELS):
                colour = TRACK if x >= long else GREEN if long >= LEVELS // 2 else RED
                shown[y, left + x] = [colour & 0xE0, colour << 3 & 0xE0, colour << 6 & 0xC0]
    # Bits below the highest ones repeat them.
    r, g, b = shown[..., 0], shown[..., 1], shown[..., 2]
    return np.stack([r | r >> 3 | r >> 6, g | g >> 3 | g >> 6, b | b >> 2 | b >> 4 | b >> 6], -1)


def test_pins_to_uart_and_screen(tmp_path: Any) -> None:
    """Registers are written, though the sensor is deaf until the second try of the second sequence; three frames in a
    row give the integer model's answers; the screen shows the last one.
    """
    made = tiny()
    model = made.model
    scale = float(np.float32(model.scales["classifier.output"]))
    identity = Identity(WINDOW.height, WINDOW.width, 2, made.params.model_hash, scale)
    front = front_end(SENSOR, WINDOW, made.params.rows)
    demo = CameraDemo(
        front,
        RegisterSequence(writes=WRITES, device=0x21, wide=False, clock_hz=CLOCK_MHZ * 1e6, bus_hz=BUS),
        Accelerator(made.params),
        identity,
        clock_hz=CLOCK_MHZ * 1e6,
        pclk_mhz=SENSOR.pclk_mhz,
        baud=BAUD,
        timeout_s=2e-5,
        screen=Screen(front.crop, steps=made.params.steps, levels=LEVELS, mode=MODE),
    )
    images = [photo(SENSOR, i) for i in range(3)]
    pins = stream(sent(SENSOR, images), round(1e6 / SENSOR.pclk_mhz))
    frame_us = sum(MODE.horizontal) * sum(MODE.vertical) / 25
    found = DemoPins(demo, tmp_path).run(pins, device=0x21, wide=False, after_us=2.2 * frame_us + 100, deaf=5)

    assert found.registers == [(w.address, w.value) for w in WRITES if not w.pause]
    assert found.ever >> SILENT & 1
    first, *results = found.replies
    assert first.kind == Kind.IDENTITY
    assert Identity.from_values(first.values) == identity
    answers = expected(made, SENSOR, WINDOW, images)
    assert [(r.values["frame"], r.values["errors"]) for r in results] == [(0, 0), (1, 0), (2, 0)]
    assert [(r.values["logit0"], r.values["logit1"]) for r in results] == answers
    assert [r.values["class"] for r in results] == [int(np.argmax(a)) for a in answers]
    person = int(answers[-1][1] > answers[-1][0])
    # Three results; the registers are written.
    lit = person << PERSON | (1 - person) << NO_PERSON | 1 << ANSWERS | 1 << CONFIGURED | 1 << LOADED
    assert found.leds & ~(1 << BLINK) == lit

    last = seen(SENSOR, images[-1])
    margins = margins_of(model, WINDOW.apply(last))
    assert len({length(m, LEVELS, scale) for m in margins}) > 1
    shown = picture(symbols(found.pairs), MODE)
    np.testing.assert_array_equal(shown, screen(last, margins, scale))


class LateLoader(wiring.Component):
    """Fails at first; at the 12th `retry` it writes the words and is done."""

    def __init__(self, words: list[int]) -> None:
        self.words = words
        super().__init__(
            {
                "flash": Out(PINS),
                "pulse": In(1),
                "retry": In(1),
                "load": Out(LOAD),
                "done": Out(1),
                "error": Out(BootError, init=BootError.CRC),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        tries = Signal(range(13))
        m.d.comb += [
            self.load.write.eq((tries == 12) & ~self.done),
            self.load.lane.eq(Array(self.words)[self.load.address]),
        ]
        with m.If(self.retry & (tries != 12)):
            m.d.sync += tries.eq(tries + 1)
        with m.If(self.load.write):
            m.d.sync += [
                self.load.address.eq(self.load.address + 1),
                self.done.eq(self.load.address == len(self.words) - 1),
                self.error.eq(BootError.NONE),
            ]
        return m


@pytest.mark.slow
def test_weights_that_come_late(tmp_path: Any) -> None:
    """A grey sensor, no screen: without weights the board says why; from the next whole frame on it answers."""
    made = tiny()
    sensor = small("hm01b0-qvga-8bit-27fps", 36, 24, 10)
    words = list(range(100, 120))
    demo = CameraDemo(
        front_end(sensor, WINDOW, made.params.rows),
        RegisterSequence(writes=WRITES, device=0x24, wide=True, clock_hz=CLOCK_MHZ * 1e6, bus_hz=BUS),
        Loaded(Accelerator(made.params), words),
        Identity(WINDOW.height, WINDOW.width, 2, made.params.model_hash, 0.5),
        clock_hz=CLOCK_MHZ * 1e6,
        pclk_mhz=sensor.pclk_mhz,
        baud=BAUD,
        timeout_s=2e-5,
        loader=cast(BootLoader, LateLoader(words)),
    )
    images = [photo(sensor, i) for i in range(5)]
    pins = stream(sent(sensor, images), round(1e6 / sensor.pclk_mhz))
    found = DemoPins(demo, tmp_path).run(pins, device=0x24, wide=True, after_us=100)

    first, *replies = found.replies
    assert first.kind == Kind.IDENTITY
    faults = [r for r in replies if r.kind == Kind.FAULT]
    assert replies[: len(faults)] == faults
    assert len(faults) > 2 and {r.values["fault"] for r in faults} == {Fault.WEIGHTS_DAMAGED}
    results = replies[len(faults) :]
    assert 2 <= len(results) < len(images)
    answers = expected(made, sensor, WINDOW, images)[-len(results) :]
    assert [(r.values["logit0"], r.values["logit1"]) for r in results] == answers
    assert [(r.values["frame"], r.values["errors"]) for r in results] == [(n, 0) for n in range(len(results))]
    lights = {place for place in range(LEDS) if found.leds >> place & 1}
    assert LOADED in lights and not {BROKEN, LOST} & lights


@pytest.mark.slow
def test_up5k(tmp_path: Any) -> None:
    """The demo of the UP5K's boards as it is built, but for a tiny network and a small picture: registers of the
    board's sensor, weights from flash, the answers on the UART. All that the accelerator knows comes from flash.
    """
    chosen = board("icebreaker")
    camera, target = chosen.camera, load_target(chosen.target)
    assert camera is not None
    model = tiny().model
    whole = load_sensor(camera.sensor)
    sensor = replace(small(camera.sensor, 36, 24, UP5K_GAP), registers=whole.registers)
    sensor = sensor.at(camera.xclk_mhz(camera.clock_mhz))
    options: dict[str, Any] = {"clock_hz": camera.clock_mhz * 1e6, "baud": chosen.baud, "timeout_s": 5e-3}
    known, weights, _ = camera_demo_for(model, target, sensor, quad=chosen.quad, **options)
    demo = CameraDemo(
        known.front_end,
        known.sequence,
        Accelerator(without_weights(known.core.accelerator.params)),
        known.identity,
        pclk_mhz=sensor.pclk_mhz,
        loader=known.core.loader,
        **options,
    )
    images = [photo(sensor, i) for i in range(3)]
    flash = FlashModel(programming_image(b"bitstream", weights))
    pins = stream(sent(sensor, images), round(1e6 / sensor.pclk_mhz))
    found = DemoPins(demo, tmp_path, flash).run(pins, device=sensor.address, wide=True, after_us=2000)

    assert found.registers == [(r.address, r.value) for r in sensor.registers if r.address != WAIT]
    first, *results = found.replies
    assert first.kind == Kind.IDENTITY
    assert Identity.from_values(first.values) == demo.identity
    window = Window(**vars(place(sensor, model.config)), width=model.config.width, height=model.config.height)
    answers = [logits(model, window.apply(seen(sensor, image))) for image in images]
    assert [(r.values["frame"], r.values["errors"]) for r in results] == [(0, 0), (1, 0), (2, 0)]
    assert [(r.values["logit0"], r.values["logit1"]) for r in results] == answers
    assert len(set(answers)) == len(answers)
    lights = {place for place in range(LEDS) if found.leds >> place & 1}
    assert {LOADED, CONFIGURED} < lights and not {BROKEN, SILENT, LOST, MARKED} & lights


@pytest.mark.slow
def test_released(tmp_path: Any) -> None:
    """The ULX3S' demo with released-105x120, without its screen: the sensor's own registers, size and timing, a
    photo of a person and one of a cat, pins to UART.
    """
    chosen = board("ecp5")
    camera = chosen.camera
    assert camera is not None
    model = Int8Model.load(MODELS / "released-105x120.int8")
    sensor = load_sensor(camera.sensor).at(camera.xclk_mhz(camera.clock_mhz))
    clock_hz = camera.clock_mhz * 1e6
    demo, _, standing = camera_demo_for(model, load_target(chosen.target), sensor, clock_hz=clock_hz, timeout_s=1e-4)
    photos = [load_image(PHOTOS / name, sensor.height, sensor.width) for name in ("camera.png", "chelsea.png")]
    pins = stream(sent(sensor, photos), round(1e6 / sensor.pclk_mhz))
    after_us = 500 + standing["latency"]["us"]
    found = DemoPins(demo, tmp_path).run(pins, device=sensor.address, wide=False, after_us=after_us)

    assert found.registers == [(r.address, r.value) for r in sensor.registers if r.address != WAIT]
    window = Window(**vars(place(sensor, model.config)), width=model.config.width, height=model.config.height)
    first, *results = found.replies
    assert first.kind == Kind.IDENTITY
    assert Identity.from_values(first.values) == demo.identity
    answers = [logits(model, window.apply(seen(sensor, image))) for image in photos]
    assert [(r.values["frame"], r.values["errors"]) for r in results] == [(0, 0), (1, 0)]
    assert [(r.values["logit0"], r.values["logit1"]) for r in results] == answers
    assert [r.values["class"] for r in results] == [1, 0]


def margins_of(model: Int8Model, image: Image) -> list[int]:
    """Logit of class 1 less that of class 0 after each row group of a picture of the network's size."""
    steps = integer.run(model, torch.from_numpy(np.ascontiguousarray(image[None])))
    return [int(logit[1] - logit[0]) for logit in (step["classifier.output"][0] for step in steps)]


def simulate(unit: Any, testbench: Any, domains: tuple[str, ...] = ("sync",)) -> None:
    top = Module()
    top.submodules.unit = unit
    for name in domains:
        if name != "sync":
            top.domains += ClockDomain(name)
    simulator = Simulator(top)
    for name in domains:
        simulator.add_clock(1e-6, domain=name)
    simulator.add_testbench(testbench)
    simulator.run()


def test_symbols() -> None:
    """Every byte comes back from its symbol; ones and zeros never differ by more than ten; outside, the controls."""
    rng = np.random.default_rng(1)
    given = [*range(256), *rng.integers(0, 256, 600).tolist(), *[0] * 40, *[0x10] * 40, *[0xFF] * 40]
    found: list[int] = []

    async def testbench(ctx: Any) -> None:
        ctx.set(encoder.active, 1)
        for byte in given:
            ctx.set(encoder.byte, byte)
            await ctx.tick("pixel")
            found.append(ctx.get(encoder.symbol))
        ctx.set(encoder.active, 0)
        for control in (0, 1, 2, 3, 3, 3):
            ctx.set(encoder.control, control)
            await ctx.tick("pixel")
            found.append(ctx.get(encoder.symbol))

    encoder = Encoder()
    simulate(encoder, testbench, ("pixel",))
    words = found[1 : 1 + len(given)]
    assert [decode(word) for word in words] == given
    surplus = np.cumsum([2 * word.bit_count() - 10 for word in words])
    assert np.abs(surplus).max() <= 10
    assert found[1 + len(given) :] == [*CONTROL, CONTROL[3]]


@pytest.mark.parametrize("late", [0, 1, 3, 5, 7])
def test_serializer(late: int) -> None:
    """Whatever the phase between the two clocks, each symbol leaves whole, once, in its order."""
    rng = np.random.default_rng(late)
    given = rng.integers(0, 1 << BITS, (30, CHANNELS)).tolist()
    found: list[int] = []

    async def send(ctx: Any) -> None:
        for row in given:
            for i, symbol in enumerate(row):
                ctx.set(unit.symbols[i], symbol)
            await ctx.tick("pixel")

    async def receive(ctx: Any) -> None:
        for _ in range(5 * len(given) + 20):
            _, _, *pairs = await ctx.tick("shift").sample(*unit.tmds)
            found.append(sum(int(pair) << 2 * i for i, pair in enumerate(pairs)))

    unit = Serializer()
    top = Module()
    top.submodules.unit = unit
    top.domains += [ClockDomain("pixel"), ClockDomain("shift")]
    simulator = Simulator(top)
    simulator.add_clock(40e-9, domain="pixel")
    simulator.add_clock(8e-9, phase=4e-9 + late * 1e-9, domain="shift")
    simulator.add_testbench(send)
    simulator.add_testbench(receive)
    simulator.run()
    sent = symbols(np.array(found[10:], np.uint8)).tolist()
    start = given.index(sent[0])
    assert start < 6
    assert sent[: len(given) - start] == given[start:]


@pytest.mark.parametrize("scale", [0.25, 1e-3, 1e-12])
def test_bars(scale: float) -> None:
    """The length is the probability's, also at and beside the thresholds, and where logits are at their limits."""
    levels = 16
    margins = [0, 1, -1, (1 << 32) - 1, 1 - (1 << 32)]
    margins += [m for t in Bars(levels=levels, scale=scale).thresholds for m in (t - 1, t)]
    found = []

    async def testbench(ctx: Any) -> None:
        for i, margin in enumerate(margins):
            high = max(-(1 << 31), min((1 << 31) - 1, margin))
            item = ctx.get(bars.confidences.payload)
            assert item is not None
            ctx.set(bars.confidences.payload.step, i % 8 + 1)
            ctx.set(bars.confidences.payload.logits[1], high)
            ctx.set(bars.confidences.payload.logits[0], high - margin)
            ctx.set(bars.confidences.valid, 1)
            await ctx.tick()
            ctx.set(bars.confidences.valid, 0)
            while not ctx.get(bars.valid):
                await ctx.tick()
            found.append((ctx.get(bars.step), ctx.get(bars.length)))
            await ctx.tick()

    bars = Bars(levels=levels, scale=scale)
    margins = [m for m in margins if abs(m) < 1 << 32]
    simulate(bars, testbench)
    counts = [sum(m >= t for t in bars.thresholds) for m in margins]
    assert found == [(i % 8, count) for i, count in enumerate(counts)]
    if scale == 0.25:
        near = [(m, n) for m, n in zip(margins, counts, strict=True) if abs(m) < 100]
        assert [n for _, n in near] == [length(m, levels, scale) for m, _ in near]


def test_refused() -> None:
    """Screens of another size, a demo that a board does not have, an accelerator that does not keep up."""
    unit = front_end(SENSOR, WINDOW, 5)
    with pytest.raises(ValueError, match="mode must be twice the sensor's size, not 640 x 480"):
        Screen(unit.crop, steps=4, levels=LEVELS, mode=VGA)
    with pytest.raises(ValueError, match="levels must be less than 64, not 64"):
        Screen(unit.crop, steps=4, levels=64, mode=MODE)
    camera = board("ecp5").camera
    assert camera is not None
    with pytest.raises(RealTimeError, match="ov7670-qvga"):
        camera_demo_for(tiny().model, load_target("small"), load_sensor(camera.sensor), clock_hz=1e6, baud=1e4)
    with pytest.raises(SensorError, match="hm01b0-8bit sends 244 x 324; the board's screen shows 240 x 320"):
        camera_demo_for(tiny().model, load_target("small"), load_sensor("hm01b0-8bit"), clock_hz=6e7, with_screen=True)


class Raw:
    """A port on which these bytes come, some at a time, and then nothing."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def read(self, size: int) -> bytes:
        part, self.raw = self.raw[:7], self.raw[7:]
        return part


def test_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results from the first identity on, with their probability; then an error that says what to look at."""
    identity = Identity(20, 32, 2, 1, 0.5)
    head = packet(Kind.IDENTITY, IDENTITY.pack(**identity.values(), frame=0))
    answers = [
        packet(
            Kind.RESULT, result(2).pack(**{"frame": n, "class": 1, "step": 4, "errors": n, "logit0": 0, "logit1": 2})
        )
        for n in range(3)
    ]
    monkeypatch.setattr("fpga.watch.QUIET_S", 0.01)
    broken = packet(Kind.FAULT, FAULT.pack(frame=0, fault=Fault.WEIGHTS_FOREIGN))
    with pytest.raises(BoardError, match="its flash holds another model's weights"):
        next(watch(Raw(head + broken + answers[0])))
    stream_of = watch(Raw(answers[0] + head + answers[1] + b"noise" + answers[2]))
    found = [next(stream_of), next(stream_of)]
    assert [(d.image, d.klass, d.errors) for d in found] == [("1", 1, 1), ("2", 1, 2)]
    assert found[0].probability == pytest.approx(1 / (1 + exp(-1)))
    with pytest.raises(BoardError, match="is the camera connected"):
        next(stream_of)


def test_watch_waits_for_an_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """For longer than `QUIET_S` as long as results come."""
    head = packet(Kind.IDENTITY, IDENTITY.pack(**Identity(20, 32, 2, 1, 0.5).values(), frame=0))
    fields = {"class": 1, "step": 4, "errors": 0, "logit0": 0, "logit1": 2}
    before, behind = (packet(Kind.RESULT, result(2).pack(frame=n, **fields)) for n in (1, 2))
    seconds = count()
    monkeypatch.setattr("fpga.watch.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    found = next(watch(Raw(IDENTITY_EVERY * before + head + behind)))
    assert found.image == "2"
    assert found.seconds > QUIET_S
