"""Sensors from files: what is taken, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rtl_gen.camera import register_sequence
from rtl_gen.sensor import BUILT_IN, Register, SensorError, load_sensor

TABLE = "[ov7670-qvga]" + BUILT_IN.read_text().split("[ov7670-qvga]")[1].split("[hm01b0-8bit]")[0]
REGISTERS = "registers = ["


def with_values(**values: Any) -> str:
    """The OV7670's table with other values, as TOML has them; None leaves a key out."""
    keys, registers = TABLE.split(REGISTERS)
    lines = [line for line in keys.splitlines() if line.split(" = ")[0] not in values]
    lines += [f"{key} = {value}" for key, value in values.items() if value is not None]
    return "\n".join(lines) + ("" if "registers" in values else f"\n{REGISTERS}{registers}")


def load(folder: Path, text: str) -> Any:
    (folder / "sensor.toml").write_text(text)
    return load_sensor(str(folder / "sensor.toml"))


def test_file(tmp_path: Path) -> None:
    assert load(tmp_path, TABLE) == load_sensor("ov7670-qvga")
    assert load(tmp_path, with_values(width=300, height=200)).width == 300


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": None}, "width is missing"),
        ({"widht": 1}, "unknown key 'widht'; nearest is 'width'"),
        ({"width": 0}, "width must be 1 to 4096, not 0"),
        ({"width": '"wide"'}, "width must be a number, not 'wide'"),
        ({"width": "true"}, "width must be a number, not True"),
        ({"line_clocks": 640}, "line_clocks must be more than the line's 640, not 640"),
        ({"line_clocks": 1 << 20}, "a frame may take 16777216 clocks, not "),
        ({"blank_clocks": 1 << 30}, "blank_clocks must be 1 to 16777216, not 1073741824"),
        ({"pclk_mhz": "nan"}, r"pclk_mhz must be 0\.1 to 500, not nan"),
        ({"pclk_mhz": "1e-300"}, r"pclk_mhz must be 0\.1 to 500, not 1e-300"),
        ({"xclk_mhz": "inf"}, r"xclk_mhz must be 0\.1 to 500, not inf"),
        ({"address": 128}, "address must be 1 to 127, not 128"),
        ({"falling": 1}, "falling must be true or false, not 1"),
        ({"format": '"yuv422"'}, "format must be one of rgb565, grey8, grey4, grey1, not 'yuv422'"),
        ({"registers": '"none"'}, r'register 0 must be \[address, value, "purpose"\], not \'none\''),
        ({"registers": '[[18, 256, ""]]'}, r"register 0 has an address or value out of range: \[18, 256, ''\]"),
        ({"registers": '[[18, 1, ""], [-2, 1, ""]]'}, "register 1 has an address or value out of range"),
        ({"registers": '[[-1, 1000001, ""]]'}, "register 0 has an address or value out of range"),
        ({"registers": '[[12289, 1, ""]]'}, "register 0 has an address of two bytes; wide_addresses must be true"),
    ],
)
def test_refused(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(SensorError, match=f"sensor ov7670-qvga: {message}"):
        load(tmp_path, with_values(**values))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold one table, not 0"),
        ("[a]\n[b]", "must hold one table, not 2"),
        ("=", "Invalid"),
        ("\0", "Invalid"),
    ],
)
def test_refused_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SensorError, match=message):
        load(tmp_path, text)


def test_like(tmp_path: Path) -> None:
    """A sensor like a built-in one but for some keys and registers."""
    whole = load_sensor("hm01b0-qvga-8bit")
    made = load(tmp_path, '[mine]\nlike = "hm01b0-qvga-8bit"\nwidth = 300\nregisters = [[0x3059, 1, "lines"]]')
    assert (made.name, made.width, made.height) == ("mine", 300, whole.height)
    changed = [(old, new) for old, new in zip(whole.registers, made.registers, strict=True) if old != new]
    assert [(old.address, new) for old, new in changed] == [(0x3059, Register(0x3059, 1, "lines"))]
    for key, message in (
        ('like = "hm01b0"', "unknown sensor 'hm01b0'; nearest is 'hm01b0-"),
        ("like = []", "unknown sensor '"),
        ('like = "hm01b0-8bit"\nregisters = [[0x0100, 1, ""]]', "hm01b0-8bit does not have register 0x100 once"),
        ('like = "hm01b0-8bit"\nregisters = [[1]]', "register 0 must be"),
        ('like = "hm01b0-8bit"\nwidht = 1', "unknown key 'widht'"),
    ):
        with pytest.raises(SensorError, match=f"sensor mine: .*{message}"):
            load(tmp_path, f"[mine]\n{key}")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SensorError, match="No such file"):
        load_sensor(str(tmp_path / "none.toml"))
    with pytest.raises(SensorError, match=r"unknown sensor 'ov7670'; nearest is 'ov7670-qvga'.*, or a \.toml file"):
        load_sensor("ov7670")


def test_no_registers(tmp_path: Path) -> None:
    """Enough for a simulation, not for hardware that writes them."""
    with pytest.raises(SensorError, match="has no registers"):
        register_sequence(load(tmp_path, with_values(registers="[]")), 80e6)
