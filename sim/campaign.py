"""`rasca faults`: many random faults through a small camera system, compiled, and a table of what came of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
import torch

from rasca_hw.camera.front_end import FrontEnd
from rasca_nn import integer
from rasca_nn.config import preset
from rasca_nn.int8_file import Int8Model
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import build
from rtl_gen.camera import Placement, front_end
from rtl_gen.sensor import load_sensor
from rtl_gen.target import load_target
from sim.camera import Image, Window, seen
from sim.faults import KINDS, FaultCase, draw, judge
from sim.pins import PinSimulator
from sim.sccb import KIND as SCCB
from sim.sccb import SccbSimulator
from sim.small_camera import photo, to_scale

CLOCK_MHZ = 60
"""A step then takes 93 % of the time that the sensor gives it."""
OPTIMISE = 2
MODEL_SEED = 3
"""Of a model that answers differently to different pictures; most random ones do not."""
PICTURES = 5
SENSORS = ("ov7670-qvga", "hm01b0-qvga-4bit")
"""Those whose registers are written on a noisy bus, in turns; the first one also sends the pictures."""


@dataclass(frozen=True)
class Verdict:
    """Of a case: "exact" or "marked", or what is wrong; `about` is enough to draw it again."""

    kind: str
    about: str
    said: str

    @property
    def ok(self) -> bool:
        return self.said in ("exact", "marked")


class Campaign:
    """The tiny network behind a small sensor; a good frame, one with a fault, a good frame.

    Parameters
    ----------
    change : makes another front end of the one that is simulated, for tests that break it.
    """

    def __init__(self, change: Callable[[FrontEnd], Any] = lambda unit: unit) -> None:
        model = random_int8_model(preset("tiny"), MODEL_SEED)
        made = build(model, load_target("small"))
        config = model.config
        self.model: Int8Model = model
        self.sensor = replace(to_scale(SENSORS[0], config.width + 4, config.height + 4), pclk_mhz=24)
        where = Placement(2, 2, 1)
        self.window = Window(where.left, where.top, where.factor, config.width, config.height)
        unit = change(front_end(self.sensor, config, where))
        self.machine = PinSimulator(unit, made.params, clock_mhz=CLOCK_MHZ, optimise=OPTIMISE)
        self.buses = [SccbSimulator(load_sensor(name)) for name in SENSORS]
        self.images = [photo(self.sensor, i) for i in range(PICTURES)]
        self.kinds = (*KINDS, SCCB)
        self._known: dict[bytes, tuple[int, ...]] = {}
        self._lock = Lock()
        answers = {self.answer(self.window.apply(seen(self.sensor, image))) for image in self.images}
        assert len(answers) == PICTURES, "a stale answer would go unnoticed"

    def answer(self, image: Image) -> tuple[int, ...]:
        """The integer model's logits for a picture of the network's size."""
        key = image.tobytes()
        with self._lock:
            if key not in self._known:
                last = integer.run(self.model, torch.from_numpy(np.ascontiguousarray(image[None])))[-1]
                self._known[key] = tuple(last["classifier.output"][0].tolist())
            return self._known[key]

    def case(self, seed: int, number: int) -> Verdict:
        """Runs case `number` of a seed; kinds take turns."""
        turn, place = divmod(number, len(self.kinds))
        if place == len(KINDS):
            bus = self.buses[turn % len(self.buses)]
            run = bus.run(bus.draw(seed, number))
            return Verdict(SCCB, f"seed {seed}, case {number}, {SCCB}, {bus.sensor.name}", bus.judge(run))
        drawn = draw(self.sensor, self.images, seed, number, [self.kinds[place]])
        return Verdict(drawn.kind, drawn.about, self.judge(drawn))

    def judge(self, case: FaultCase) -> str:
        """Runs a case at the sensor's pins."""
        run = self.machine.run(case.pairs, sleep=case.sleep, until=case.until, after_us=60)
        before = -1
        for r in run.results:
            # The result behind one that was lost unread says so; a reset counts from 0 again.
            lost = case.sleep and r.frame > before and r.errors
            if r.frame != before + 1 and not lost and not (case.kind == "reset" and r.frame == 0):
                return f"result {r.frame} comes after {before}"
            before = r.frame
        return judge(case, self.window, [(r.errors, r.logits) for r in run.results], self.answer)

    def run(self, seed: int, numbers: Iterable[int], jobs: int | None = None) -> Iterator[Verdict]:
        """Cases in their order, so many at a time as there are processors."""
        with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
            yield from pool.map(lambda number: self.case(seed, number), numbers)
