"""From a sensor and a network to the hardware between them: the window, the front end, the register sequence."""

from __future__ import annotations

from dataclasses import dataclass

from rasca_hw.camera.crop import FACTORS, Crop, Hold
from rasca_hw.camera.dvp import DEPTH, Dvp
from rasca_hw.camera.front_end import FrontEnd
from rasca_hw.camera.sccb import BUS_HZ, MIN_QUARTER, RegisterSequence, Write
from rasca_nn.config import RaScaNetConfig
from rtl_gen.sensor import Sensor, SensorError


@dataclass(frozen=True)
class Placement:
    """Where the network's frame lies in the sensor's: first column and row, and pixels of the sensor a pixel."""

    left: int
    top: int
    factor: int


def place(sensor: Sensor, config: RaScaNetConfig) -> Placement:
    """The largest window that is served, in the middle. Raises SensorError where the network's frame is larger."""
    height, width = config.height, config.width
    fitting = [f for f in FACTORS if width * f <= sensor.width and height * f <= sensor.height]
    if not fitting:
        raise SensorError(
            f"sensor {sensor.name} sends {sensor.height} x {sensor.width}, which is less than the network's "
            f"{height} x {width}; use another mode or network"
        )
    factor = max(fitting)
    return Placement((sensor.width - width * factor) // 2, (sensor.height - height * factor) // 2, factor)


def dvp(sensor: Sensor, depth: int = DEPTH) -> Dvp:
    """The receiver of what the sensor sends."""
    return Dvp(
        format=sensor.format,
        high_first=sensor.high_first,
        vsync_blank=sensor.vsync_blank,
        href_active=sensor.href_active,
        depth=depth,
    )


def front_end(
    sensor: Sensor, config: RaScaNetConfig, where: Placement, *, hold: Hold = Hold.FRAME, depth: int = DEPTH
) -> FrontEnd:
    """Pins of the sensor to pixels of the network."""
    crop = Crop(
        sensor_width=sensor.width,
        sensor_height=sensor.height,
        left=where.left,
        top=where.top,
        factor=where.factor,
        width=config.width,
        height=config.height,
        rows=config.rows,
        hold=hold,
    )
    return FrontEnd(dvp(sensor, depth), crop, falling=sensor.falling)


def register_sequence(sensor: Sensor, clock_hz: float) -> RegisterSequence:
    """Writes the sensor's registers, on a slower bus where the clock is too slow for the usual one. Raises SensorError
    where it has none.
    """
    if not sensor.registers:
        raise SensorError(f"sensor {sensor.name} has no registers; give it one that is written at the start")
    bus_hz = min(BUS_HZ, clock_hz / (4 * MIN_QUARTER))
    writes = [Write(max(0, r.address), r.value, pause=r.address < 0) for r in sensor.registers]
    return RegisterSequence(
        writes=writes, device=sensor.address, wide=sensor.wide_addresses, clock_hz=clock_hz, bus_hz=bus_hz
    )
