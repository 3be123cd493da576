"""The family's limits: each is within; one beyond is refused in a line with field, value and what is allowed."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from rasca_nn.config import CHOICES, LIMITS, ConfigError, RaScaNetConfig, preset


def network(**fields: Any) -> RaScaNetConfig:
    """The preset "tiny" with some fields changed, and what has to go with them."""
    rows = fields.get("rows")
    if isinstance(rows, int) and rows % 2:
        fields = {"kernel_heights": (min(rows, 5), max(1, rows - 4), 1, 1), **fields}
    if fields.get("height") == 1:
        fields = {"rows": 1, "kernel_heights": (1, 1, 1, 1), **fields}
    return replace(preset("tiny"), **fields)


def refused(message: str, **fields: Any) -> None:
    """One line that says exactly this."""
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        network(**fields)


def test_the_limits_themselves() -> None:
    """Users' files depend on them."""
    assert LIMITS == {
        "rows": (1, 9),
        "heads": (1, 4),
        "channels": (1, 64),
        "hidden": (1, 128),
        "attention": (1, 64),
        "classifier_hidden": (0, 64),
        "classes": (2, 16),
        "width": (16, 640),
        "height": (1, 480),
    }


@pytest.mark.parametrize("name", [name for name in LIMITS if name != "channels"])
def test_numbers(name: str) -> None:
    low, high = LIMITS[name]
    for value in (low, high):
        assert getattr(network(**{name: value}), name) == value
    for value in (low - 1, high + 1, float(low), str(low), True, None):
        refused(f"{name} must be an integer from {low} to {high}, not {value!r}", **{name: value})


@pytest.mark.parametrize("place", range(4))
def test_channels(place: int) -> None:
    """Of each convolution."""

    def channels(value: Any) -> tuple[Any, ...]:
        return (*(3,) * place, value, *(3,) * (3 - place))

    for value in (1, 64):
        assert network(channels=channels(value)).channels[place] == value
    for value in (0, 65, 2.0, True):
        refused(f"channels must be an integer from 1 to 64, not {value!r}", channels=channels(value))


@pytest.mark.parametrize("value", [(), (3, 3, 3), (3, 3, 3, 3, 3), 3])
def test_four_convolutions(value: Any) -> None:
    refused(f"channels must hold 4 integers, not {value!r}", channels=value)
    refused(f"kernel_heights must hold 4 integers, not {value!r}", kernel_heights=value)


@pytest.mark.parametrize("name", CHOICES)
def test_choices(name: str) -> None:
    for value in CHOICES[name]:
        assert getattr(network(**{name: value}), name) == value
    for value in ("none", None, 1):
        refused(f"{name} must be one of {', '.join(CHOICES[name])}, not {value!r}", **{name: value})


@pytest.mark.parametrize("name", ["channel_attention", "attention_relu"])
def test_switches(name: str) -> None:
    for value in (True, False):
        assert getattr(network(**{name: value}), name) is value
    for value in ("no", 0, None):
        refused(f"{name} must be true or false, not {value!r}", **{name: value})


def test_name() -> None:
    refused("name must be a text, not 5", name=5)


def test_kernel_heights() -> None:
    """Every choice of 1, 3 and 5 is accepted where it reduces the rows to one, and refused elsewhere."""
    for heights, rows in product(product((1, 3, 5), repeat=4), range(1, 10)):
        need = sum(heights) - 3
        if need == rows:
            made = network(rows=rows, kernel_heights=heights)
            assert made.heights[0] == rows and made.heights[-1] == 1
        else:
            refused(
                f"kernel_heights {heights!r} do not reduce rows={rows} to 1; "
                f"the heights less one must add up to {rows - 1}",
                rows=rows,
                kernel_heights=heights,
            )


@pytest.mark.parametrize("value", [0, 2, 4, 6, 7, -1])
def test_other_kernels(value: int) -> None:
    heights = (value, 1, 1, 1)
    refused(f"kernel_heights must be 1, 3 or 5 each, not {heights!r}", kernel_heights=heights)


@pytest.mark.parametrize("rows", [1, 3, 5, 7, 9])
def test_a_frame_holds_a_group(rows: int) -> None:
    assert network(rows=rows, height=rows).steps == 1
    if rows > 1:
        refused(f"height must be at least rows={rows}, not {rows - 1}", rows=rows, height=rows - 1)


def test_keys() -> None:
    table = preset("tiny").to_dict()
    assert RaScaNetConfig.from_dict(table) == preset("tiny")
    with pytest.raises(ConfigError, match=r"^unknown config key 'head'; did you mean heads\?$"):
        RaScaNetConfig.from_dict({**table, "head": 2})
    with pytest.raises(ConfigError, match=r"^config: hidden missing$"):
        RaScaNetConfig.from_dict({k: v for k, v in table.items() if k != "hidden"})
