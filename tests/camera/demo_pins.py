"""The demo with a camera, compiled, at its pins; and what is on its screen."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fpga.camera_demo import CameraDemo
from fpga.protocol import Reply, ReplyReader
from fpga.tmds import BITS, CHANNELS, CLOCK, CONTROL, CYCLES
from fpga.video import VideoMode
from rasca_hw.uart import FRACTION
from sim.compiled_bench import compile_bench
from sim.flash_model import FlashModel

HARNESS = Path(__file__).with_name("demo.cc")
PIXEL_PS, SHIFT_PS = 40_000, 8_000


@dataclass(frozen=True)
class Seen:
    """What came out: registers written, packets, LEDs at the end and those that ever were lit, and the pairs of bits
    for a screen, uint8 [cycles].
    """

    registers: list[tuple[int, int]]
    replies: list[Reply]
    leds: int
    ever: int
    pairs: NDArray[np.uint8]


class DemoPins:
    """A compiled demo; `folder` is for what it writes, `flash` at the pins of one with a loader."""

    def __init__(self, demo: CameraDemo, folder: Path, flash: FlashModel | None = None) -> None:
        self.demo = demo
        self.folder = folder
        self.flash = flash
        defines = [*(["SCREEN"] if demo.screen else []), *(["FLASH"] if flash else [])]
        self.program = compile_bench(demo, HARNESS, defines=defines)

    def run(self, pairs: NDArray[np.uint32], *, device: int, wide: bool, after_us: float, deaf: int = 0) -> Seen:
        """The sensor is `deaf` to so many transfers, and sends `pairs` (:func:`sim.pins.stream`) once it is configured;
        the bits are of the time behind.
        """
        demo = self.demo
        sequence = demo.sequence
        registers = sum(not write.pause for write in sequence.writes)
        numbers = [round(1e12 / demo.clock_hz), PIXEL_PS, SHIFT_PS, device, int(wide), deaf, registers]
        command = [self.program, *numbers, demo.time / FRACTION, round(after_us * 1e6), self.folder / "bits"]
        lines = [line.split() for line in self._call([str(c) for c in command], pairs.tobytes()).splitlines()]
        raw = bytes(int(line[1]) for line in lines if line[0] == "byte")
        return Seen(
            registers=[(int(line[1]), int(line[2])) for line in lines if line[0] == "register"],
            replies=ReplyReader().feed(raw),
            leds=int(lines[-1][1]),
            ever=int(lines[-1][2]),
            pairs=np.fromfile(self.folder / "bits", np.uint8),
        )

    def _call(self, command: list[str], given: bytes) -> str:
        """Runs the program, and answers for the flash meanwhile; what it printed."""
        if not self.flash:
            return subprocess.run(command, input=given, capture_output=True, check=True).stdout.decode()
        words, printed = self.folder / "words", self.folder / "printed"
        words.write_bytes(given)
        ours, theirs = socket.socketpair()
        with ours, words.open("rb") as source, printed.open("wb") as sink:
            with theirs:
                command.append(str(theirs.fileno()))
                program = subprocess.Popen(command, stdin=source, stdout=sink, pass_fds=[theirs.fileno()])
            with program:
                try:
                    while pins := ours.recv(4):
                        ours.send(bytes([self.flash.step(*pins)]))
                except BaseException:
                    program.kill()
                    raise
        assert program.returncode == 0
        return printed.read_text()


def symbols(pairs: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pairs of bits to symbols, [n, channels], by the clock's pair of wires."""
    streams = np.stack([pairs >> (2 * c + i) & 1 for c in range(CHANNELS + 1) for i in range(2)])
    bits = streams.reshape(CHANNELS + 1, 2, -1).transpose(0, 2, 1).reshape(CHANNELS + 1, -1).astype(np.int64)
    start = int(np.flatnonzero(np.diff(bits[-1]) == 1)[0]) + 1
    count = (bits.shape[1] - start) // BITS
    words = bits[:, start : start + count * BITS].reshape(CHANNELS + 1, count, BITS) @ (1 << np.arange(BITS))
    assert (words[-1] == CLOCK).all(), "the clock's wires are not regular"
    assert CYCLES * 2 == BITS
    return words[:-1].T


def decode(symbol: int) -> int:
    """A colour's byte."""
    word = symbol ^ (0xFF if symbol >> 9 & 1 else 0)
    byte = word & 1
    for i in range(1, 8):
        change = (word >> i ^ word >> (i - 1)) & 1
        byte |= (change if symbol >> 8 & 1 else 1 - change) << i
    return byte


def picture(words: NDArray[np.int64], mode: VideoMode) -> NDArray[np.uint8]:
    """The first whole frame of symbols, [h, w, 3], red first; checks the blanking and both syncs."""
    control = np.isin(words, CONTROL)
    assert (control.all(1) == control.any(1)).all(), "the channels differ in what is picture"
    shown = ~control.all(1)
    syncs = np.array([CONTROL.index(word) if blank else 3 for word, blank in zip(words[:, 0], ~shown, strict=True)])
    width, height = sum(mode.horizontal), sum(mode.vertical)
    # The frame begins where vsync's pulse has ended and its back porch is over.
    ends = np.flatnonzero(np.diff((syncs >> 1).astype(int)) == 1) + 1
    begin = next(end for end in ends.tolist() if end + mode.vertical[3] * width + height * width <= len(words))
    begin += mode.vertical[3] * width
    frame = slice(begin, begin + width * height)
    wanted = np.zeros((height, width), bool)
    wanted[: mode.height, : mode.width] = True
    np.testing.assert_array_equal(shown[frame].reshape(height, width), wanted)
    x, y = np.arange(width), np.arange(height)
    for bit, place, parts in ((0, x[None, :], mode.horizontal), (1, y[:, None], mode.vertical)):
        first = parts[0] + parts[1]
        pulse = (place >= first) & (place < first + parts[2])
        level = (syncs[frame].reshape(height, width) >> bit & 1) == 0
        np.testing.assert_array_equal(level, pulse & ~wanted)
    colours = np.array([[decode(int(s)) for s in row] for row in words[frame][wanted.reshape(-1)]], np.uint8)
    return colours.reshape(mode.height, mode.width, CHANNELS)[..., ::-1]
