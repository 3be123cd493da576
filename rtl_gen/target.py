"""Targets: the hardware a model is mapped to, read from targets.toml or a file of the same form."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rasca_nn.errors import RascaError

BUILT_IN = Path(__file__).with_name("targets.toml")
RUNS = ("heads", "back", "all")
ARRAYS = ("systolic", "broadcast")
BROADCAST_COLUMNS = (8, 16, 32)
DEFAULTS = {
    "array": ARRAYS[0],
    "spram_blocks": 0,
    "activation_words": 0,
    "products_per_multiplier": 1,
    "lut_multipliers": 0,
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
RESERVED = {"lines", "link", "result", "counters"}
"""Names of the accelerator's other parts."""
MAX_CLOCK_MHZ = 1000
MAX_LINE_ROWS = 255
"""What the line buffer counts to."""


class TargetError(RascaError):
    """A target that is unknown, malformed, or too small; the message is one line."""


class TooSmall(TargetError):
    """A target that has `excess` less of a `resource` (its name in the target) than a model takes."""

    def __init__(self, resource: str, excess: int, message: str) -> None:
        super().__init__(resource, excess, message)
        self.resource = resource
        self.excess = excess

    def __str__(self) -> str:
        return str(self.args[-1])


@dataclass(frozen=True)
class EngineTarget:
    """One engine: its name, what it runs ("heads", "back" or "all"), and its array's rows."""

    name: str
    runs: str
    rows: int


@dataclass(frozen=True)
class Target:
    """See targets.toml for the fields."""

    name: str
    device: str
    multipliers: int
    block_rams: int
    luts: int
    clock_mhz: int
    array: str
    columns: int
    line_rows: int
    spram_blocks: int
    activation_words: int
    products_per_multiplier: int
    lut_multipliers: int
    engines: tuple[EngineTarget, ...]


def wide_multipliers(device: str) -> bool:
    """Whether a device's multipliers are of 18 x 18 bits or more, as those of unknown ones are taken to be."""
    return not device.lower().startswith("ice40")


def legal_name(text: str) -> str:
    """A target's name from a text that begins with one."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:64]


def target_names() -> list[str]:
    """The built-in targets."""
    return list(tomllib.loads(BUILT_IN.read_text()))


def load_target(name: str) -> Target:
    """A built-in target by name, or the only one in a .toml file. Raises TargetError."""
    path = Path(name)
    if path.suffix == ".toml":
        try:
            tables = tomllib.loads(path.read_text())
        except OSError as error:
            raise TargetError(f"target file {name}: {error.strerror}") from None
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
            raise TargetError(f"target file {name}: {error}") from None
        if len(tables) != 1:
            raise TargetError(f"target file {name} must hold one table, not {len(tables)}")
        ((name, table),) = tables.items()
        return _target(name, table)
    tables = tomllib.loads(BUILT_IN.read_text())
    if name not in tables:
        near = difflib.get_close_matches(name, tables, n=1, cutoff=0.0)[0]
        raise TargetError(
            f"unknown target {name!r}; nearest is {near!r}, known are {', '.join(tables)}, or a .toml file"
        )
    return _target(name, tables[name])


def target_from_dict(table: dict[str, Any]) -> Target:
    """The inverse of :func:`to_dict`. Raises TargetError."""
    if not isinstance(table.get("name"), str):
        raise TargetError(f"target: name must be a text, not {table.get('name')!r}")
    return _target(table["name"], {k: v for k, v in table.items() if k != "name"})


def to_dict(target: Target) -> dict[str, Any]:
    """As JSON and TOML hold it."""
    return {**asdict(target), "engines": [asdict(engine) for engine in target.engines]}


def to_toml(target: Target) -> str:
    """A file that :func:`load_target` reads."""
    table = to_dict(target)
    return f"[{table.pop('name')}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(inner)}' for key, inner in value.items())} }}"
    return json.dumps(value)


def _target(name: str, table: Any) -> Target:
    if not isinstance(table, dict):
        raise TargetError(f"target {name} must be a table, not {table!r}")
    values = _checked(f"target {name}", Target, {"name": name, **DEFAULTS, **table})
    engines = values["engines"]
    if not isinstance(engines, list) or not all(isinstance(e, dict) for e in engines):
        raise TargetError(f"target {name}: engines must be a list of tables")
    parsed = tuple(EngineTarget(**_checked(f"target {name}, engine", EngineTarget, e)) for e in engines)
    target = Target(**{**values, "engines": parsed})
    runs = [e.runs for e in parsed]
    if runs not in (["all"], ["heads", "back"]):
        raise TargetError(f'target {name}: engines must run ["all"] or ["heads", "back"], not {runs}')
    for kind, label in (("target", name), *(("engine", e.name) for e in parsed)):
        if not NAME.fullmatch(label):
            raise TargetError(f"target {name!r}: name of the {kind} must be letters, digits, - and _, not {label!r}")
    if reserved := {e.name for e in parsed} & RESERVED:
        raise TargetError(f"target {name}: an engine cannot be called {min(reserved)!r}; that name is taken")
    if len({e.name for e in parsed}) != len(parsed):
        raise TargetError(f"target {name}: two engines have the same name")
    if target.array not in ARRAYS:
        raise TargetError(f"target {name}: array must be {' or '.join(ARRAYS)}, not {target.array!r}")
    for key in ("multipliers", "block_rams", "luts"):
        if getattr(target, key) < 1:
            raise TargetError(f"target {name}: {key} must be 1 or more, not {getattr(target, key)}")
    for key in ("spram_blocks", "activation_words"):
        if getattr(target, key) < 0:
            raise TargetError(f"target {name}: {key} must be 0 or more, not {getattr(target, key)}")
    if target.activation_words and len(parsed) > 1:
        raise TargetError(f"target {name}: activation_words is for one engine that runs all, not {len(parsed)}")
    if not 1 <= target.clock_mhz <= MAX_CLOCK_MHZ:
        raise TargetError(f"target {name}: clock_mhz must be 1 to {MAX_CLOCK_MHZ}, not {target.clock_mhz}")
    if not 1 <= target.line_rows <= MAX_LINE_ROWS:
        raise TargetError(f"target {name}: line_rows must be 1 to {MAX_LINE_ROWS}, not {target.line_rows}")
    if not 2 <= target.columns <= 64:
        raise TargetError(f"target {name}: columns must be 2 to 64, not {target.columns}")
    if target.array == "broadcast" and target.columns not in BROADCAST_COLUMNS:
        allowed = ", ".join(map(str, BROADCAST_COLUMNS))
        raise TargetError(f"target {name}: columns of a broadcast array must be {allowed}, not {target.columns}")
    for engine in parsed:
        if not 1 <= engine.rows <= min(16, target.columns):
            limit = min(16, target.columns)
            raise TargetError(f"target {name}: rows of engine {engine.name} must be 1 to {limit}, not {engine.rows}")
        if target.array == "broadcast" and engine.rows & (engine.rows - 1):
            raise TargetError(
                f"target {name}: rows of a broadcast array must be a power of two, not {engine.rows} ({engine.name})"
            )
    _check_multipliers(target)
    return target


def _check_multipliers(target: Target) -> None:
    """Raises TargetError for a way to use multipliers that the device or the arrays do not have."""
    name, products, luts = target.name, target.products_per_multiplier, target.lut_multipliers
    if products not in (1, 2):
        raise TargetError(f"target {name}: products_per_multiplier must be 1 or 2, not {products}")
    for key, value, usual in (("products_per_multiplier", products, 1), ("lut_multipliers", luts, 0)):
        if target.array == "broadcast" and value != usual:
            raise TargetError(f"target {name}: {key} of a broadcast array must be {usual}, not {value}")
    if products > 1 and not wide_multipliers(target.device):
        raise TargetError(
            f"target {name}: products_per_multiplier must be 1, not {products}: the multipliers of {target.device} are "
            "narrower than 18 x 18 bits"
        )
    for engine in target.engines:
        if engine.rows % products:
            raise TargetError(
                f"target {name}: two rows share a multiplier, so rows must be even, not {engine.rows} ({engine.name})"
            )
    if not 0 <= luts <= target.engines[-1].rows:
        raise TargetError(f"target {name}: lut_multipliers must be 0 to {target.engines[-1].rows}, not {luts}")


def _checked(where: str, kind: type, table: dict[str, Any]) -> dict[str, Any]:
    """The table's values, with every key known, present and of the right type."""
    types = {f.name: str(f.type) for f in fields(kind)}
    for key in table:
        if key not in types:
            near = difflib.get_close_matches(key, types, n=1, cutoff=0.0)[0]
            raise TargetError(f"{where}: unknown key {key!r}; nearest is {near!r}")
    for key, kind_name in types.items():
        if key not in table:
            raise TargetError(f"{where}: {key} is missing")
        wanted = {"int": int, "str": str}.get(kind_name)
        if wanted and (not isinstance(table[key], wanted) or isinstance(table[key], bool)):
            raise TargetError(f"{where}: {key} must be of type {kind_name}, not {table[key]!r}")
    return table
