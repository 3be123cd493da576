"""What the flow of the iCE40 makes, cell by cell with Yosys' own models: whole frames, and a known miscompile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
import torch
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray

from rasca_hw.accelerator import Accelerator
from rasca_hw.multiplier import PAIR_LATENCY, MultiplierPair
from rasca_hw.serial_tail import bias_lanes, table_lanes, weight_width
from rasca_hw.spram import BLOCK_BITS, BLOCK_WORDS, BLOCKS
from rasca_nn import integer
from rasca_nn.config import preset
from rasca_nn.data import load_image
from rasca_nn.int8_file import Int8Model
from rasca_nn.random_model import random_int8_model
from rtl_gen.build import Build, build
from rtl_gen.target import load_target
from sim.cxxrtl import Run
from sim.frames import pixel_stream
from sim.icarus import run_accelerator, run_bench
from sim.ice40 import netlist
from sim.netlist import run_netlist
from sim.simulate import cycle_limit
from tests.hw.player import lanes, to_bytes

RELEASED = Path(__file__).parents[2] / "models" / "released-105x120.int8"
SMALL = replace(preset("tiny"), name="small", height=10, width=16, heads=1, channels=(1, 1, 1, 1), hidden=2)


def image_words(made: Build) -> list[tuple[int, int]]:
    """(address, word) of the image, without the zeros between its parts."""
    engine, image = made.params.engines[0], made.image
    lanes = weight_width(engine) // BLOCK_BITS
    sizes = (len(engine.weights[0]) * lanes, len(bias_lanes(engine)), len(table_lanes(engine)))
    places: list[int] = []
    for size in sizes:
        start = -(-(places[-1] + 1 if places else 0) // BLOCK_WORDS) * BLOCK_WORDS
        places += range(start, start + size)
    assert places[-1] == len(image) - 1
    return [(place, image[place]) for place in places]


def check(made: Build, photos: NDArray[np.uint8], run: Run) -> None:
    """Results and confidences are the integer model's."""
    steps = [s["classifier.output"].numpy() for s in integer.run(made.model, torch.from_numpy(photos))]
    logits = np.stack(steps, 1)
    np.testing.assert_array_equal(run.confidences["logits"].reshape(logits.shape), logits)
    assert run.confidences["step"].tolist() == [*range(1, len(steps) + 1)] * len(photos)
    np.testing.assert_array_equal(run.results["logits"], logits[:, -1])
    np.testing.assert_array_equal(run.results["klass"], logits[:, -1].argmax(1))
    assert run.results["frame"].tolist() == [*range(len(photos))]
    assert not run.results["errors"].any()


def test_frames() -> None:
    """Two frames in a row on Icarus, where what nobody wrote is X, and no X gets as far as a result."""
    made = build(random_int8_model(SMALL, seed=4), load_target("up5k"))
    source = netlist(Accelerator(made.params))
    photos = np.random.default_rng(4).integers(0, 256, (2, SMALL.height, SMALL.width, 3), np.uint8)
    pixels = np.concatenate([pixel_stream(photo) for photo in photos])
    limit = cycle_limit(made, 2)
    run = run_accelerator(made.params, pixels, 2, limit=limit, source=source, load=image_words(made), traced=False)
    check(made, photos, run)


@pytest.mark.slow
def test_released_frame() -> None:
    """A person and a cat through the shipped network; the memories held something else before."""
    made = build(Int8Model.load(RELEASED), load_target("up5k"))
    config = made.model.config
    folder = Path(skimage.__file__).parent / "data"
    photos = np.stack([load_image(folder / f"{n}.png", config.height, config.width) for n in ("astronaut", "chelsea")])
    pixels = np.concatenate([pixel_stream(photo) for photo in photos])
    old = np.random.default_rng(1).integers(0, 1 << BLOCK_BITS, BLOCKS * BLOCK_WORDS)
    load = [*enumerate(old.tolist()), *image_words(made)]
    source = netlist(Accelerator(made.params))
    run = run_netlist(source, made.params, pixels, 2, load=load, limit=cycle_limit(made, 2))
    check(made, photos, run)
    assert run.results["klass"].tolist() == [1, 0]


CORNERS = [-128, -127, -1, 0, 1, 85, 127]


class Behind(wiring.Component):
    """Two registers behind a multiply: what `synth_ice40 -dsp` turned into y = 0."""

    def __init__(self) -> None:
        super().__init__({"a": In(signed(8)), "b": In(signed(8)), "y": Out(signed(16))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        p = Signal(signed(16))
        m.d.sync += [p.eq(self.a * self.b), self.y.eq(p)]
        return m


class Flat(wiring.Component):
    """A pair of multipliers with ports of plain bits: a, b and the product, lane 0 lowest; `hold` keeps it."""

    def __init__(self) -> None:
        super().__init__({"a": In(16), "b": In(16), "hold": In(1), "y": Out(32)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.pair = pair = MultiplierPair()
        m.d.comb += [
            pair.a.as_value().eq(self.a),
            pair.b.as_value().eq(self.b),
            pair.enable.eq(~self.hold),
            self.y.eq(pair.product.as_value()),
        ]
        return m


def play(
    component: wiring.Component, a: NDArray[np.int64], b: NDArray[np.int64], **others: tuple[list[int], int]
) -> tuple[str, NDArray[np.int16]]:
    """The netlist, and `y` in the cycle of each row of lanes of a and b, as lanes."""
    source = netlist(component)
    ports = {"a": (lanes(a), 8 * a.shape[1]), "b": (lanes(b), 8 * b.shape[1]), **others}
    case = {f"in_{name}": to_bytes(values, bits) for name, (values, bits) in ports.items()}
    y = run_bench(source, "pipeline", {**case, "outputs": "y", "cycles": len(a)})["y"]
    return source, y.view("<i2")


def padded(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """With zeros for the cycles in which the last products come."""
    return np.pad(rows, ((0, PAIR_LATENCY), (0, 0)))


def test_registers_behind_a_multiply() -> None:
    """None of them is lost."""
    a, b = (side.reshape(-1, 1) for side in np.meshgrid(CORNERS, CORNERS))
    source, y = play(Behind(), padded(a), padded(b))
    assert "SB_MAC16" not in source
    np.testing.assert_array_equal(y[PAIR_LATENCY:], a * b)


def test_multiplier_pair() -> None:
    """One block makes both products; both at their corners, in every combination with something else in the other."""
    a, b = (side.reshape(-1) for side in np.meshgrid(CORNERS, CORNERS))
    other = np.random.default_rng(1).permutation(len(a))
    a, b = (np.stack([side, side[other]], 1) for side in (a, b))
    source, y = play(Flat(), padded(a), padded(b), hold=([0] * len(padded(a)), 1))
    top = source.partition("endmodule")[0]
    assert top.count("SB_MAC16") == 1 and top.count("SB_DFF") == 0
    np.testing.assert_array_equal(y[PAIR_LATENCY:], a * b)


def test_multiplier_pair_holds() -> None:
    """Both rows of registers, as long as it is told to."""
    rng = np.random.default_rng(2)
    a, b = rng.integers(-128, 128, (2, 300, 2))
    hold = rng.integers(0, 2, len(a))
    expected = np.zeros_like(a)
    operands = product = np.zeros(2, int)
    for cycle in range(len(a)):
        expected[cycle] = product
        if not hold[cycle]:
            product, operands = operands, a[cycle] * b[cycle]
    _, y = play(Flat(), a, b, hold=(hold.tolist(), 1))
    np.testing.assert_array_equal(y, expected)
