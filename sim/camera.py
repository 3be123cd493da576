"""Cameras without hardware: the integer model of the front end, and sensors that send a picture at their pins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtl_gen.sensor import Sensor

Image = NDArray[np.uint8]
"""[h, w, 3], red first."""

PIXEL, LINE, FRAME = 0, 1, 2
"""Kinds of events, see :class:`rasca_hw.camera.interfaces.Kind`."""
BAD = 1 << 26
"""An event's flag of something lost before it."""


@dataclass(frozen=True)
class Window:
    """What of a sensor's frame becomes the network's: `height` x `width` boxes of `factor` x `factor` pixels."""

    left: int
    top: int
    factor: int
    width: int
    height: int

    def apply(self, image: Image) -> Image:
        """Each box's mean, rounded half up."""
        rows = slice(self.top, self.top + self.factor * self.height)
        columns = slice(self.left, self.left + self.factor * self.width)
        boxes = image[rows, columns].astype(np.int64)
        boxes = boxes.reshape(self.height, self.factor, self.width, self.factor, 3)
        return np.floor(boxes.mean((1, 3)) + 0.5).astype(np.uint8)


def to_rgb565(image: Image) -> NDArray[np.uint16]:
    """The picture as a sensor sends it, [h, w]: the lower bits are left out."""
    r, g, b = (image[..., i].astype(np.uint16) for i in range(3))
    return ((r >> 3) << 11 | (g >> 2) << 5 | b >> 3).astype(np.uint16)


def from_rgb565(words: NDArray[np.uint16]) -> Image:
    """Bytes of a colour of n bits: its bits, and below them its highest ones again."""
    r, g, b = words >> 11, words >> 5 & 63, words & 31
    return np.stack([r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2], axis=-1).astype(np.uint8)


def to_grey(image: Image) -> NDArray[np.uint8]:
    """Luma of ITU-R BT.601, [h, w]."""
    return np.round(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


def from_grey(grey: NDArray[np.uint8]) -> Image:
    """Three equal colours."""
    return np.repeat(grey[..., None], 3, axis=-1)


def line_events(line: Image) -> list[int]:
    """A line's pixels, [w, 3], and its end, as payloads of :class:`rasca_hw.camera.interfaces.Event`."""
    pixels: list[int] = (line.astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])).tolist()
    return [*pixels, LINE << 24]


def frame_events(image: Image) -> list[int]:
    """A frame's lines and its end."""
    return [event for line in image for event in line_events(line)] + [FRAME << 24]


# --- pins -----------------------------------------------------------------------------------------------------

HREF, VSYNC, RESET = 1 << 8, 1 << 9, 1 << 10
"""Bits of a clock's word above D[7:0]; `RESET` is the accelerator's, not the sensor's."""


def data_words(sensor: Sensor, line: Image) -> NDArray[np.uint16]:
    """D[7:0] in each clock of a line of the picture, [w, 3]."""
    bus = sensor.format.value
    values = to_grey(line).astype(np.uint16) if bus.grey else to_rgb565(line)
    shifts = np.arange(bus.clocks) * bus.lines
    if sensor.high_first:
        shifts = shifts[::-1]
    return (values[:, None] >> shifts & ((1 << bus.lines) - 1)).reshape(-1).astype(np.uint16)


def seen(sensor: Sensor, image: Image) -> Image:
    """The picture as it arrives: with the colours that the sensor's format leaves."""
    return from_grey(to_grey(image)) if sensor.format.value.grey else from_rgb565(to_rgb565(image))


def levels(sensor: Sensor, active: bool, blank: bool) -> int:
    """href and vsync at their pins."""
    return HREF * (active == sensor.href_active) | VSYNC * (blank == sensor.vsync_blank)


def frame_pins(sensor: Sensor, image: Image) -> list[NDArray[np.uint16]]:
    """A frame as it leaves the sensor, in parts: the time between frames, each line with the blanking behind it, and
    the time after the last line. In each clock of pclk a word: D[7:0], HREF, VSYNC.
    """
    if image.shape != (sensor.height, sensor.width, 3):
        raise ValueError(f"the picture must be {sensor.height} x {sensor.width} x 3, not {image.shape}")
    between = np.full(sensor.blank_clocks + sensor.before_clocks, levels(sensor, False, False), np.uint16)
    between[: sensor.blank_clocks] = levels(sensor, False, True)
    parts = [between]
    for line in image:
        words = data_words(sensor, line)
        part = np.full(sensor.line_clocks, levels(sensor, False, False), np.uint16)
        part[: len(words)] = words | levels(sensor, True, False)
        parts.append(part)
    parts.append(np.full(sensor.after_clocks, levels(sensor, False, False), np.uint16))
    return parts


def frame_end(sensor: Sensor) -> NDArray[np.uint16]:
    """The beginning of the time between frames, which ends the one before."""
    return np.full(min(sensor.blank_clocks, 16), levels(sensor, False, True), np.uint16)


def jitter(clocks: int, period: float, share: float, rng: np.random.Generator) -> NDArray[np.uint32]:
    """Periods of pclk in picoseconds, each up to that share longer or shorter; even."""
    return (np.round(period / 2 * rng.uniform(1 - share, 1 + share, clocks)) * 2).astype(np.uint32)


# --- the control bus ------------------------------------------------------------------------------------------


class ControlSlave:
    """A sensor's SCCB or I2C side: called with the bus' levels as often as they may change.

    Attributes
    ----------
    written : (address, value) of each register that was written whole, in order.
    transfers : starts that named this device.
    silent : numbers of transfers that are not acknowledged, and not taken.
    """

    def __init__(self, device: int, wide: bool, *, silent: set[int] | None = None) -> None:
        self.device = device
        self.bytes = 3 + wide
        self.silent = silent or set()
        self.written: list[tuple[int, int]] = []
        self.transfers = 0
        self._before = (True, True)
        self._bits: list[int] | None = None
        self._pull = False

    def step(self, scl: bool, sda: bool) -> bool:
        """Whether the slave pulls sda low now."""
        was_scl, was_sda = self._before
        self._before = (scl, sda)
        if scl and was_scl and sda != was_sda:
            if sda:
                self._stop()
            self._bits = None if sda else []
            self._pull = False
        elif scl and not was_scl and self._bits is not None:
            self._bits.append(int(sda))
        elif was_scl and not scl and self._bits is not None:
            self._pull = len(self._bits) % 9 == 8 and self._acknowledges()
        return self._pull

    def _values(self) -> list[int]:
        """Bytes so far, the device's first."""
        bits = self._bits or []
        bytes_ = [bits[i : i + 8] for i in range(0, len(bits) - 7, 9)]
        return [int("".join(map(str, byte)), 2) for byte in bytes_]

    def _acknowledges(self) -> bool:
        values = self._values()
        mine = values[0] == self.device << 1
        self.transfers += mine and len(values) == 1
        return mine and self.transfers - 1 not in self.silent

    def _stop(self) -> None:
        values = self._values()
        # The rising clock before a stop adds a bit.
        whole = len(values) == self.bytes and len(self._bits or []) in (9 * self.bytes, 9 * self.bytes + 1)
        if whole and values[0] == self.device << 1 and self.transfers - 1 not in self.silent:
            self.written.append((int.from_bytes(bytes(values[1:-1]), "big"), values[-1]))
