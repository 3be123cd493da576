"""Where an engine's tensors lie in its activation memory, and which of them share their words.

What one layer reads as one tensor must be neighbours: features and state (squeeze), projection and state (gates),
projection and the state after the reset gate (candidate). Words whose tensor nobody reads any more may be written
again by any later layer: a layer's first result comes after the last read of the layer before. Within a layer the
schedule looks at each word (:mod:`rtl_gen.schedule`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rasca_nn.config import CONVS, RaScaNetConfig


@dataclass(frozen=True)
class Region:
    """Words that hold a tensor, row-major: base + ((row * channels) + channel) * words + word."""

    base: int
    channels: int
    width: int
    words: int
    rows: int = 1

    @property
    def size(self) -> int:
        return self.rows * self.channels * self.words

    @property
    def end(self) -> int:
        return self.base + self.size


@dataclass(frozen=True, kw_only=True)
class Places:
    """The regions of everything behind the heads, and the end of all.

    `between` lies between two projections; `keys` and `weights` are those of spatial attention, `pooled` and `hidden`
    the classifier's.
    """

    state: Region
    features: Region
    projected: Region
    reset_state: Region
    between: Region
    squeezed: Region
    keys: Region
    weights: Region
    pooled: Region
    hidden: Region
    end: int


def two_projections(config: RaScaNetConfig) -> bool:
    """Whether the features are projected by two layers of wide kernels, else by one of narrow ones."""
    return config.projection == "1x3-1x3"


def joint(first: Region, second: Region) -> tuple[Region, tuple[slice, ...]]:
    """Two neighbours as one source, and the order in which it has the input channels, `first`'s of which are first."""
    channels = first.channels + second.channels
    parts = (slice(0, first.channels), slice(first.channels, channels))
    low, high = sorted((first, second), key=lambda region: region.base)
    assert low.end == high.base
    return replace(low, channels=channels), parts if low is first else parts[::-1]


def apart(config: RaScaNetConfig, columns: int, base: int) -> Places:
    """[reset state : projection : state : features]: the features may come at any time. The classifier's hidden units
    take the place of the first two, if they are not more.
    """
    d, n = config.hidden, config.columns
    words = -(-n // columns)
    attended = config.spatial_attention != "off"
    reset_state = Region(base, d, n, words)
    projected = Region(reset_state.end, d, n, words)
    state = Region(projected.end, d, n, words)
    features = Region(state.end, config.features, n, words)
    end = features.end
    squeezed = Region(projected.base, config.attention, n, words)
    if config.attention > d:
        squeezed = replace(squeezed, base=end)
        end = squeezed.end
    weights = Region(projected.base, n, n, words)
    if attended and n > d:
        weights = replace(weights, base=end)
        end = weights.end
    pooled = Region(end, d, 1, 1)
    hidden = Region(base, config.classifier_hidden, 1, 1)
    if hidden.end > state.base:
        hidden = replace(hidden, base=pooled.end)
    return Places(
        state=state,
        features=features,
        projected=projected,
        reset_state=reset_state,
        between=reset_state,
        squeezed=squeezed,
        keys=reset_state,
        weights=weights,
        pooled=pooled,
        hidden=hidden,
        end=max(pooled.end, hidden.end),
    )


def overlaid(config: RaScaNetConfig, columns: int, base: int) -> Places:
    """[state : features], and what comes of the features in their place: [state : projection : reset state].

    For one engine that runs all, whose features come after the classifier is done with the step before. A single
    projection reads the features while it writes, so that it cannot lie there.
    """
    if not two_projections(config):
        return apart(config, columns, base)
    d, n = config.hidden, config.columns
    words = -(-n // columns)
    state = Region(base, d, n, words)
    features = Region(state.end, config.features, n, words)
    projected = Region(features.base, d, n, words)
    reset_state = Region(projected.end, d, n, words)
    behind = max(features.end, projected.end)
    between = Region(behind, d, n, words)
    squeezed = Region(behind, config.attention, n, words)
    weights = Region(between.end, n, n, words)
    hidden = Region(projected.base, config.classifier_hidden, 1, 1)
    pooled = Region(max(reset_state.end, hidden.end), d, 1, 1)
    used = [between, squeezed, reset_state, pooled, hidden]
    if config.spatial_attention != "off":
        used.append(weights)
    return Places(
        state=state,
        features=features,
        projected=projected,
        reset_state=reset_state,
        between=between,
        squeezed=squeezed,
        keys=between,
        weights=weights,
        pooled=pooled,
        hidden=hidden,
        end=max(region.end for region in used),
    )


def last_features(config: RaScaNetConfig, features: Region) -> int:
    """The first word of the last head's features."""
    return features.base + (config.heads - 1) * (features.size // config.heads)


def lend(config: RaScaNetConfig, features: Region, words: int) -> Region | None:
    """The last channels before the last head's features, as many as have so many words; None if a head has not.

    The pools of the last head may lie there, if the features come back from where they are mirrored.
    """
    channels = -(-words // features.words)
    if config.heads < 2 or channels > config.channels[-1]:
        return None
    base = last_features(config, features) - channels * features.words
    return replace(features, base=base, channels=channels)


def _pools(config: RaScaNetConfig, columns: int) -> list[Region]:
    """The results of a head's first three convolutions, not yet placed."""
    return [
        Region(0, config.channels[j - 1], config.widths[j], -(-config.widths[j] // columns), config.heights[j])
        for j in range(1, CONVS)
    ]


def pools_apart(config: RaScaNetConfig, columns: int, base: int) -> list[Region]:
    """For engines whose features go elsewhere: the second runs after the first, the third lies behind the second."""
    first, second, third = _pools(config, columns)
    second = replace(second, base=base)
    return [replace(first, base=base + _ahead(first, second)), second, replace(third, base=second.end)]


def _ahead(first: Region, second: Region) -> int:
    """Words by which the second region begins before the first, to run after it: each of its rows ends where the
    first one's row of the same number begins, or before, so that it is written over rows that were read.
    """
    read, written = first.channels * first.words, second.channels * second.words
    return max((y + 1) * written - y * read for y in range(second.rows))


def pools_overlaid(config: RaScaNetConfig, columns: int, features: Region, lent: Region | None = None) -> list[Region]:
    """From the last head's features on, whose place is free until its last convolution; or from those that are `lent`.

    The second runs after the first. The third keeps clear of the features.
    """
    first, second, third = _pools(config, columns)
    second = replace(second, base=lent.base if lent else last_features(config, features))
    return [
        replace(first, base=second.base + _ahead(first, second)),
        second,
        replace(third, base=max(second.end, features.end)),
    ]
