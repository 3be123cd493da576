"""Sensors: what arrives at a camera's pins in each of its modes, read from sensors.toml or a file of the same form."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from fpga.names import nearest
from rasca_hw.camera.pixels import Format
from rasca_nn.errors import RascaError

BUILT_IN = Path(__file__).with_name("sensors.toml")
WAIT = -1
"""Address of an entry of `registers` that is a pause, in microseconds."""
MAX_WAIT_US = 1_000_000
MAX_SIZE = 4096
MAX_FRAME_CLOCKS = 1 << 24
LIMITS = {
    "xclk_mhz": (0.1, 500),
    "pclk_mhz": (0.1, 500),
    "width": (1, MAX_SIZE),
    "height": (1, MAX_SIZE),
    "address": (1, 0x7F),
}
"""Of numbers; those of clocks are from 1 to those of a frame."""


class SensorError(RascaError):
    """A sensor that is unknown or malformed; the message is one line."""


@dataclass(frozen=True)
class Register:
    """A register's address and value, or a pause (address :data:`WAIT`, value in microseconds), and what it is for."""

    address: int
    value: int
    purpose: str


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """A sensor in one of its modes; see sensors.toml for the fields."""

    name: str
    format: Format
    high_first: bool
    vsync_blank: bool
    href_active: bool
    falling: bool
    width: int
    height: int
    xclk_mhz: float
    pclk_mhz: float
    line_clocks: int
    blank_clocks: int
    before_clocks: int
    after_clocks: int
    address: int
    wide_addresses: bool
    registers: tuple[Register, ...]

    def at(self, xclk_mhz: float) -> Sensor:
        """The sensor with another clock."""
        return replace(self, xclk_mhz=xclk_mhz, pclk_mhz=self.pclk_mhz * xclk_mhz / self.xclk_mhz)

    @property
    def frame_clocks(self) -> int:
        """Clocks of pclk from one frame's start to the next's."""
        return self.blank_clocks + self.before_clocks + self.height * self.line_clocks + self.after_clocks

    @property
    def frames_per_second(self) -> float:
        return self.pclk_mhz * 1e6 / self.frame_clocks


def sensor_names() -> list[str]:
    """The built-in sensors."""
    return list(tomllib.loads(BUILT_IN.read_text()))


def load_sensor(name: str) -> Sensor:
    """A built-in sensor by name, or the only one in a .toml file. Raises SensorError."""
    path = Path(name)
    if path.suffix != ".toml":
        built_in = tomllib.loads(BUILT_IN.read_text())
        if name not in built_in:
            raise SensorError(nearest("sensor", name, built_in) + ", or a .toml file")
        return _sensor(name, _whole(name, built_in[name]))
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise SensorError(f"sensor file {name}: {error}") from None
    if len(tables) != 1:
        raise SensorError(f"sensor file {name} must hold one table, not {len(tables)}")
    ((name, table),) = tables.items()
    return _sensor(name, _whole(name, table))


def _whole(name: str, table: Any) -> Any:
    """The table with what it has from the built-in sensor that it is like. Raises SensorError."""
    if not isinstance(table, dict) or "like" not in table:
        return table
    built_in = tomllib.loads(BUILT_IN.read_text())
    like = table["like"]
    if not isinstance(like, str) or like not in built_in:
        raise SensorError(f"sensor {name}: like: {nearest('sensor', str(like), built_in)}")
    model = _whole(like, built_in[like])
    places = [register[0] for register in model["registers"]]
    registers = list(model["registers"])
    for register in _registers(name, table.get("registers", [])):
        if places.count(register.address) != 1:
            raise SensorError(
                f"sensor {name}: {like} does not have register {register.address:#x} once; use a whole list"
            )
        registers[places.index(register.address)] = [register.address, register.value, register.purpose]
    changed = {key: value for key, value in table.items() if key != "like"}
    return {**model, **changed, "registers": registers}


def sensor_to_dict(sensor: Sensor) -> dict[str, Any]:
    """The sensor's table, and its name."""
    registers = [[r.address, r.value, r.purpose] for r in sensor.registers]
    return {**asdict(sensor), "format": sensor.format.name.lower(), "registers": registers}


def sensor_from_dict(table: Any) -> Sensor:
    """The inverse. Raises SensorError."""
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise SensorError(f"sensor: must be a table with a name, not {table!r}")
    return _sensor(table["name"], {k: v for k, v in table.items() if k != "name"})


def _sensor(name: str, table: Any) -> Sensor:
    if not isinstance(table, dict):
        raise SensorError(f"sensor {name} must be a table, not {table!r}")
    known = [f.name for f in fields(Sensor) if f.name != "name"]
    for key in table:
        if key not in known:
            raise SensorError(f"sensor {name}: {nearest('key', key, known)}")
    for key in known:
        if key not in table:
            raise SensorError(f"sensor {name}: {key} is missing")
    values = {key: _value(name, key, value) for key, value in table.items()}
    sensor = Sensor(name=name, **values)
    line = sensor.width * sensor.format.value.clocks
    if sensor.line_clocks <= line:
        raise SensorError(f"sensor {name}: line_clocks must be more than the line's {line}, not {sensor.line_clocks}")
    if sensor.frame_clocks > MAX_FRAME_CLOCKS:
        raise SensorError(f"sensor {name}: a frame may take {MAX_FRAME_CLOCKS} clocks, not {sensor.frame_clocks}")
    wide = [i for i, register in enumerate(sensor.registers) if register.address > 0xFF]
    if wide and not sensor.wide_addresses:
        raise SensorError(f"sensor {name}: register {wide[0]} has an address of two bytes; wide_addresses must be true")
    return sensor


def _value(name: str, key: str, value: Any) -> Any:
    """A key's value, checked. Raises SensorError."""

    def refuse(wanted: str) -> SensorError:
        return SensorError(f"sensor {name}: {key} must be {wanted}, not {value!r}")

    if key == "format":
        formats = [f.name.lower() for f in Format]
        if value not in formats:
            raise refuse(f"one of {', '.join(formats)}")
        return Format[value.upper()]
    if key == "registers":
        return _registers(name, value)
    if key in ("high_first", "vsync_blank", "href_active", "falling", "wide_addresses"):
        if not isinstance(value, bool):
            raise refuse("true or false")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float if key.endswith("_mhz") else int):
        raise refuse("a number")
    low, high = LIMITS.get(key, (1, MAX_FRAME_CLOCKS))
    if not low <= value <= high:
        raise refuse(f"{low} to {high}")
    return value


def _registers(name: str, entries: Any) -> tuple[Register, ...]:
    """The register list, checked. Raises SensorError."""
    found = []
    for i, entry in enumerate(entries if isinstance(entries, list) else [entries]):
        types = [type(part) for part in entry] if isinstance(entry, list) else []
        if types != [int, int, str]:
            raise SensorError(f'sensor {name}: register {i} must be [address, value, "purpose"], not {entry!r}')
        address, value, purpose = entry
        limit = MAX_WAIT_US if address == WAIT else 0xFF
        if not WAIT <= address <= 0xFFFF or not 0 <= value <= limit:
            raise SensorError(f"sensor {name}: register {i} has an address or value out of range: {entry!r}")
        found.append(Register(address, value, purpose))
    return tuple(found)
