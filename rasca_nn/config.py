"""The network's configuration: one frozen dataclass and its named presets.

Everything downstream (float model, integer model, generator) is derived from a
:class:`RaScaNetConfig`; nothing else decides a shape.
"""

from __future__ import annotations

import difflib
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from rasca_nn.errors import RascaError

CONVS = 4
"""Convolutions in a CNN head, each followed by a 1x2 max-pool (seeds: paper, table 1)."""

BAND = 2
"""Columns to either side that the banded spatial attention scores."""

LIMITS = {
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
"""Inclusive limits of the free fields."""

CHOICES = {
    "spatial_attention": ("off", "full", "banded"),
    "projection": ("1x1", "1x3-1x3"),
    "pool": ("mean", "mean+max"),
}


class ConfigError(RascaError, ValueError):
    """A configuration that does not describe a RaScaNet; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class RaScaNetConfig:
    """Shape and switches of a RaScaNet.

    Parameters
    ----------
    name : preset or free name, kept in every file made from the model.
    height, width : input size in pixels; ``steps = height // rows``, left-over rows are dropped.
    rows : rows a group (the paper's k).
    heads : parallel CNN heads (M).
    channels : output channels of the four convolutions of a head; the last is the paper's c.
    kernel_heights : heights of the four kernels, each 3 wide; they must reduce ``rows`` to 1.
    hidden : channels of the ConvGRU state (d).
    channel_attention : whether P is scaled by sigmoid(excite(squeeze([C : H]))).
    attention : squeezed channels of the channel attention.
    attention_relu : whether a ReLU stands between squeeze and excite (released: yes, paper: no).
    spatial_attention : ``off``, ``full`` (paper, eq. 6 to 9) or ``banded`` (released).
    projection : ``1x1`` (one convolution with bias, signed output) or ``1x3-1x3``
        (two convolutions with BN and ReLU).
    pool : pooling of H before the classifier, over columns.
    classifier_hidden : width of the classifier's hidden layer (BN, hard-swish); 0 for none.
    classes : classes; class 1 is "person" in the presets.
    """

    name: str
    height: int
    width: int
    rows: int = 5
    heads: int = 2
    channels: tuple[int, int, int, int]
    kernel_heights: tuple[int, int, int, int] = (3, 1, 3, 1)
    hidden: int
    channel_attention: bool = True
    attention: int
    attention_relu: bool = True
    spatial_attention: str = "off"
    projection: str = "1x3-1x3"
    pool: str = "mean+max"
    classifier_hidden: int
    classes: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ConfigError(f"name must be a text, not {self.name!r}")
        for name in ("channel_attention", "attention_relu"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} must be true or false, not {getattr(self, name)!r}")
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            for item in value if isinstance(value, tuple) else (value,):
                if not isinstance(item, int) or isinstance(item, bool) or not low <= item <= high:
                    raise ConfigError(f"{name} must be an integer from {low} to {high}, not {item!r}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")
        for name in ("channels", "kernel_heights"):
            value = getattr(self, name)
            if not isinstance(value, tuple) or len(value) != CONVS:
                raise ConfigError(f"{name} must hold {CONVS} integers, not {value!r}")
        if any(k not in (1, 3, 5) for k in self.kernel_heights):
            raise ConfigError(f"kernel_heights must be 1, 3 or 5 each, not {self.kernel_heights!r}")
        if sum(k - 1 for k in self.kernel_heights) != self.rows - 1:
            raise ConfigError(
                f"kernel_heights {self.kernel_heights!r} do not reduce rows={self.rows} to 1; "
                f"the heights less one must add up to {self.rows - 1}"
            )
        if self.height < self.rows:
            raise ConfigError(f"height must be at least rows={self.rows}, not {self.height}")

    @property
    def steps(self) -> int:
        """Row groups in a frame (T)."""
        return self.height // self.rows

    @property
    def widths(self) -> tuple[int, int, int, int, int]:
        """Widths before each convolution and after the last pool; the last is the paper's n."""
        w = [self.width]
        for _ in range(CONVS):
            w.append(w[-1] // 2)
        return (w[0], w[1], w[2], w[3], w[4])

    @property
    def heights(self) -> tuple[int, int, int, int, int]:
        """Heights before each convolution of a row group and after the last (always 1)."""
        h = [self.rows]
        for k in self.kernel_heights:
            h.append(h[-1] - k + 1)
        return (h[0], h[1], h[2], h[3], h[4])

    @property
    def columns(self) -> int:
        """Columns of the ConvGRU state (the paper's n)."""
        return self.widths[-1]

    @property
    def features(self) -> int:
        """Channels of the concatenated heads (cM)."""
        return self.heads * self.channels[-1]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written into every file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RaScaNetConfig:
        """The inverse of :meth:`to_dict`; unknown and missing keys are errors that name them."""
        known = {f.name: f for f in fields(cls)}
        for key in data:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ConfigError(f"unknown config key {key!r}{hint}")
        missing = [name for name, f in known.items() if name not in data and f.default is MISSING]
        if missing:
            raise ConfigError(f"config: {', '.join(missing)} missing")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**values)


_RELEASED_210 = RaScaNetConfig(
    name="released-210x240",
    height=210,
    width=240,
    channels=(6, 11, 21, 42),
    hidden=48,
    attention=12,
    classifier_hidden=12,
)

_RELEASED_105 = RaScaNetConfig(
    name="released-105x120",
    height=105,
    width=120,
    channels=(5, 9, 18, 32),
    hidden=40,
    attention=10,
    classifier_hidden=10,
)


def _paper(released: RaScaNetConfig, name: str) -> RaScaNetConfig:
    """The network of the paper at the size of a released one."""
    return replace(
        released,
        name=name,
        spatial_attention="full",
        attention_relu=False,
        projection="1x1",
        pool="mean",
        classifier_hidden=0,
    )


PRESETS: dict[str, RaScaNetConfig] = {
    c.name: c
    for c in (
        _RELEASED_210,
        _RELEASED_105,
        _paper(_RELEASED_210, "paper-210x240"),
        _paper(_RELEASED_105, "paper-105x120"),
        replace(_RELEASED_105, name="banded-105x120", spatial_attention="banded"),
        RaScaNetConfig(
            name="tiny",
            height=20,
            width=32,
            channels=(2, 3, 4, 5),
            hidden=4,
            attention=2,
            classifier_hidden=3,
        ),
    )
}


def preset(name: str) -> RaScaNetConfig:
    """The preset of that name; an unknown one is an error that names the nearest."""
    if name in PRESETS:
        return PRESETS[name]
    near = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.0)
    raise ConfigError(f"unknown preset {name!r}; nearest is {near[0]!r}, known are {', '.join(PRESETS)}")
