"""The boot loader and its flash reader at pin level on Icarus, against the flash model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import connect, flipped
from numpy.typing import NDArray

from fpga.flash_image import weight_image
from rasca_hw.boot import BootError, BootLoader
from rasca_hw.heartbeat import Heartbeat
from sim.flash_model import QUAD_ENABLE
from sim.icarus import IcarusError, run_bench, to_verilog
from sim.ice40 import netlist

HASH = 0x89ABCDEF
WAKE = 16
OFFSET = 0x21
RETRY = 32


class Loader(wiring.Component):
    """A boot loader with a heartbeat, and its ports."""

    def __init__(self, *, count: int, quad: bool) -> None:
        self.loader = BootLoader(model_hash=HASH, words=count, offset=OFFSET, quad=quad)
        ports = dict(self.loader.signature.members)
        super().__init__({name: ports[name] for name in ("flash", "load", "done", "error")})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.loader = loader = self.loader
        m.submodules.heartbeat = heartbeat = Heartbeat(short=WAKE, long=RETRY)
        connect(m, loader.flash, flipped(self.flash))
        connect(m, loader.load, flipped(self.load))
        m.d.comb += [
            loader.pulse.eq(heartbeat.short),
            loader.retry.eq(heartbeat.long),
            self.done.eq(loader.done),
            self.error.eq(loader.error),
        ]
        return m


def words(count: int, seed: int = 1) -> list[int]:
    return np.random.default_rng(seed).integers(0, 1 << 16, count).tolist()


def boot(
    *contents: bytes,
    count: int,
    quad: bool,
    broken_off: Sequence[int] = (),
    source: Callable[[wiring.Component], str] = to_verilog,
) -> dict[str, NDArray[Any]]:
    """One try for each content."""
    loader = Loader(count=count, quad=quad)
    size = max(map(len, contents))
    case = {
        "contents": np.stack([np.frombuffer(c.ljust(size, b"\xff"), np.uint8) for c in contents]),
        "offset": OFFSET,
        "wake": WAKE - 1,
        "limit": 1000 + 20 * size,
        "broken_off": np.array(broken_off or [0] * len(contents)),
    }
    return run_bench(source(loader), "boot", case)


def written(outcome: dict[str, NDArray[Any]], number: int) -> list[list[int]]:
    """Address and word of each write in a try."""
    rows = outcome["writes"]
    return rows[rows[:, 0] == number, 1:].tolist()


def check_whole(outcome: dict[str, NDArray[Any]], number: int, expected: list[int]) -> None:
    """The try succeeded, and each word came once, in order."""
    assert (outcome["done"][number], outcome["error"][number]) == (1, BootError.NONE)
    assert written(outcome, number) == [[i, word] for i, word in enumerate(expected)]


@pytest.mark.parametrize(("quad", "count"), [(False, 120), (True, 200), (True, 1)])
def test_warm_boot(quad: bool, count: int) -> None:
    """The image is copied, and after a warm boot the other one that is there then."""
    images = [weight_image(words(count, seed), model_hash=HASH) for seed in (1, 2)]
    outcome = boot(*images, count=count, quad=quad)
    for number in (0, 1):
        check_whole(outcome, number, words(count, number + 1))
    assert outcome["status_2"] == QUAD_ENABLE * quad
    # Four cycles a byte and no pause between; before it each command, with a pause of up to two pulses.
    byte, pauses, clocks = (4, 4, 72) if quad else (16, 2, 40)
    took = outcome["cycles"] - 2 * clocks - byte * len(images[0])
    assert all(pauses * WAKE < t < 2 * pauses * WAKE + 24 for t in took), took


def corrupted(image: bytes) -> list[bytes]:
    """The image with one byte changed, for each of its bytes."""
    changes = np.random.default_rng(5).integers(1, 256, len(image))
    return [image[:i] + bytes([image[i] ^ int(c)]) + image[i + 1 :] for i, c in enumerate(changes)]


def expected_error(place: int) -> BootError:
    """The error that a wrong byte at this place of an image is."""
    fields = {4: BootError.MISSING, 12: BootError.FOREIGN, 16: BootError.LENGTH}
    return next((error for end, error in fields.items() if place < end), BootError.CRC)


@pytest.mark.parametrize("quad", [False, True])
def test_each_corrupted_byte_is_found(quad: bool) -> None:
    """All at one loader, which goes on trying, and then recovers."""
    count = 6
    image = weight_image(words(count), model_hash=HASH)
    bad = corrupted(image)
    outcome = boot(*bad, image, count=count, quad=quad)
    assert outcome["done"].tolist() == [0] * len(bad) + [1]
    assert outcome["error"].tolist() == [*(expected_error(i) for i in range(len(bad))), BootError.NONE]
    check_whole(outcome, len(bad), words(count))
    for place in range(len(bad)):
        assert bool(written(outcome, place)) == (place >= 16), f"byte {place}"


def bad_images() -> dict[str, tuple[bytes, BootError]]:
    """By name: the image, and the error that it must give where one of 6 words is expected."""
    image = weight_image(words(6), model_hash=HASH)
    swapped = image[:16] + image[18:20] + image[16:18] + image[20:]
    return {
        "erased": (b"", BootError.MISSING),
        "zeros": (bytes(len(image)), BootError.MISSING),
        "another file": (b"\x7e\xaa\x99\x7e" + image[4:], BootError.MISSING),
        "shifted": (b"\xff" + image, BootError.MISSING),
        "another model": (weight_image(words(6), model_hash=HASH ^ 1 << 31), BootError.FOREIGN),
        "another version": (image[:7] + b"\x02" + image[8:], BootError.FOREIGN),
        "shorter": (weight_image(words(5), model_hash=HASH), BootError.LENGTH),
        "longer": (weight_image(words(7), model_hash=HASH), BootError.LENGTH),
        "much longer": (weight_image(words(6), model_hash=HASH)[:12] + b"\x00\x01" + image[14:], BootError.LENGTH),
        "words swapped": (swapped, BootError.CRC),
        "CRC zero": (image[:-4] + bytes(4), BootError.CRC),
        **{f"truncated to {n}": (image[:n], BootError.CRC) for n in (16, 17, 24, len(image) - 4, len(image) - 1)},
    }


def test_bad_images() -> None:
    """Every kind of bad image at one loader, then the good one."""
    kinds = bad_images()
    contents = [content for content, _ in kinds.values()]
    outcome = boot(*contents, weight_image(words(6), model_hash=HASH), count=6, quad=True)
    seen = dict(zip(kinds, outcome["error"].tolist(), strict=False))
    assert seen == {name: error for name, (_, error) in kinds.items()}
    check_whole(outcome, len(kinds), words(6))


@pytest.mark.slow
@pytest.mark.parametrize("quad", [False, True])
def test_netlist(quad: bool) -> None:
    """What Yosys makes of the loader for an UP5K finds each corrupted byte too, and copies what is right."""
    image = weight_image(words(6), model_hash=HASH)
    bad = corrupted(image)
    outcome = boot(*bad, image, count=6, quad=quad, source=netlist)
    assert outcome["error"].tolist() == [*(expected_error(i) for i in range(len(bad))), BootError.NONE]
    check_whole(outcome, len(bad), words(6))


@pytest.mark.parametrize("quad", [False, True])
def test_reset_at_any_time(quad: bool) -> None:
    """In the pauses, within commands and within the image, nothing of the first try is left."""
    image = weight_image(words(6), model_hash=HASH)
    broken_off = [1, 20, 29, 51, 124, 250, 333, 402]
    outcome = boot(*[image] * len(broken_off), count=6, quad=quad, broken_off=broken_off)
    for number in range(len(broken_off)):
        check_whole(outcome, number, words(6))


def test_the_model_refuses_lines_driven_from_both_sides() -> None:
    """A reader that does not let go of the lines would be found."""
    image = weight_image(words(6), model_hash=HASH)
    source = to_verilog(Loader(count=6, quad=True))
    stubborn = source.replace("assign flash__dq_enable = ", "assign flash__dq_enable = 4'hd | ")
    assert stubborn != source
    case = {"contents": np.frombuffer(image, np.uint8)[None], "offset": OFFSET, "wake": 0, "limit": 4000}
    with pytest.raises(IcarusError, match="driven from both sides"):
        run_bench(stubborn, "boot", {**case, "broken_off": np.zeros(1, int)})


@pytest.mark.parametrize("words", [0, 65537])
def test_wrong_parameters(words: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        BootLoader(model_hash=HASH, words=words)
