"""The integer model against docs/numerics.md written a second time, in plain Python integers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rasca_nn import data
from rasca_nn.config import RaScaNetConfig, preset
from rasca_nn.int8_file import Int8Model, Layer
from rasca_nn.integer import logits, normalise, run, step_logits
from rasca_nn.random_model import Kind, random_int8_model


class Page:
    """docs/numerics.md in loops over Python integers, one image."""

    def __init__(self, model: Int8Model) -> None:
        self.model = model
        self.config = model.config

    @staticmethod
    def clamp(x: int, low: int, high: int) -> int:
        return max(low, min(high, x))

    def conv(self, name: str, x: list, unsigned: bool | None) -> list:
        """``x[channel][row][column]``; ``unsigned`` None gives acc + bias."""
        layer: Layer = self.model.layers[name]
        weight = layer.weight.tolist()
        out, inputs, kh, kw = layer.weight.shape
        pad = 1 if kw == 3 else 0
        result = []
        for o in range(out):
            shift = int(layer.shift[o])
            half = 1 << (shift - 1) if shift else 0
            rows = []
            for y in range(len(x[0]) - kh + 1):
                row = []
                for col in range(len(x[0][0])):
                    acc = int(layer.bias[o])
                    for i in range(inputs):
                        for ky in range(kh):
                            for kx in range(kw):
                                at = col + kx - pad
                                if 0 <= at < len(x[0][0]):
                                    acc += weight[o][i][ky][kx] * x[i][y + ky][at]
                    assert -(2**31) <= acc + half < 2**31
                    if unsigned is not None:
                        acc = self.clamp((acc + half) >> shift, *((0, 255) if unsigned else (-128, 127)))
                    row.append(acc)
                rows.append(row)
            result.append(rows)
        return result

    def flat(self, name: str, x: list, unsigned: bool | None) -> list:
        """The same on ``x[channel][column]``."""
        return [rows[0] for rows in self.conv(name, [[row] for row in x], unsigned)]

    def table(self, name: str, x: list) -> list:
        table = self.model.tables[name].tolist()
        return [[table[v + 128] for v in row] for row in x]

    @staticmethod
    def gate(x: list, g: list) -> list:
        return [[(a * (b + (b >> 7)) + 128) >> 8 for a, b in zip(r, s, strict=True)] for r, s in zip(x, g, strict=True)]

    def attend(self, head: int, p: list, h: list, found: dict[str, list]) -> list:
        """Spatial attention of a head."""
        shifts, exp = self.model.spatial[head], self.model.tables["exp"].tolist()
        columns = range(len(p[0]))

        def rounded(x: int, shift: int) -> int:
            return (x + (2**shift // 2)) >> shift

        key = self.flat(f"spatial{head}.key", p, False)
        value = self.flat(f"spatial{head}.value", p, False)
        scores, weights = [], []
        for i in columns:
            z = [sum(a[i] * k[j] for a, k in zip(h, key, strict=True)) for j in columns]
            z = [self.clamp(rounded(v, shifts.scores), -2048, 2047) for v in z]
            if self.config.spatial_attention == "banded":
                z = [v if abs(i - j) <= 2 else 0 for j, v in enumerate(z)]
            e = [exp[min(255, max(z) - v)] for v in z]
            scores.append(z)
            weights.append([min(127, rounded(v * (2**24 // sum(e)), 17 - shifts.weights)) for v in e])
        change = [[sum(row[i] * weights[i][j] for i in columns) for j in columns] for row in value]
        change = [[self.clamp(rounded(v, shifts.mix), -128, 127) for v in row] for row in change]
        mix = [
            [self.clamp(v + rounded(x, shifts.residual), -128, 127) for v, x in zip(a, b, strict=True)]
            for a, b in zip(change, p, strict=True)
        ]
        parts = {"key": key, "value": value, "scores": scores, "weights": weights, "mix": mix}
        found |= {f"spatial{head}.{name}": part for name, part in parts.items()}
        return mix

    def run(self, image: np.ndarray) -> list[dict[str, list]]:
        config, steps = self.config, []
        h = [[0] * config.columns for _ in range(config.hidden)]
        for t in range(config.steps):
            found: dict[str, list] = {}
            rows = image[config.rows * t : config.rows * (t + 1)].tolist()
            group = [[[p[c] - 127 - (p[c] >= 128) for p in row] for row in rows] for c in range(3)]
            features = []
            for i in range(config.heads):
                x = group
                for j in range(1, 5):
                    x = found[f"head{i}.conv{j}"] = self.conv(f"head{i}.conv{j}", x, True)
                    x = [[[max(r[2 * k], r[2 * k + 1]) for k in range(len(r) // 2)] for r in m] for m in x]
                    found[f"head{i}.pool{j}"] = x
                p = [m[0] for m in x]
                features += self.attend(i, p, h, found) if self.model.spatial else p
            if config.channel_attention:
                squeezed = self.flat("attention.squeeze", features + h, config.attention_relu)
                gate = self.table("sigmoid", self.flat("attention.excite", squeezed, False))
                features = self.gate(features, gate)
                found |= {"attention.squeeze": squeezed, "attention.gate": gate, "attention.scaled": features}
            f = found["projection.0"] = self.flat("projection.0", features, config.projection != "1x1")
            if config.projection != "1x1":
                f = found["projection.1"] = self.flat("projection.1", f, True)
            r = self.table("sigmoid", self.flat("gru.reset", f + h, False))
            u = self.table("sigmoid", self.flat("gru.update", f + h, False))
            hr = self.gate(h, r)
            n = self.table("tanh", self.flat("gru.candidate", f + hr, False))
            move = self.gate([[a - b for a, b in zip(x, y, strict=True)] for x, y in zip(h, n, strict=True)], u)
            h = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(n, move, strict=True)]
            found |= {
                "gru.reset.gate": r,
                "gru.reset": hr,
                "gru.update": u,
                "gru.candidate.tanh": n,
                "gru.candidate": h,
            }
            m = int(2**14 / config.columns + 0.5)
            p = [(sum(row) * m + 2**13) >> 14 for row in h]
            if config.pool == "mean+max":
                p = [(sum(row) * m + max(row) * 2**14 + 2**14) >> 15 for row in h]
            p = found["pool"] = [self.clamp(v, -128, 127) for v in p]
            x = [[v] for v in p]
            if config.classifier_hidden:
                x = self.table("hardswish", self.flat("classifier.hidden", x, False))
                found["classifier.hidden"] = [v[0] for v in x]
            found["classifier.output"] = [v[0] for v in self.flat("classifier.output", x, None)]
            steps.append(found)
        return steps


def images_of(config: RaScaNetConfig, batch: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (batch, config.height, config.width, 3), dtype=np.uint8)
    noise[-1] = 255 * (noise[-1] > 128)
    return torch.from_numpy(noise)


def check(model: Int8Model, images: torch.Tensor) -> None:
    """Every tensor of every step of every image equal, and the fast path too."""
    steps = run(model, images)
    for b, image in enumerate(images.numpy()):
        for t, (wanted, got) in enumerate(zip(Page(model).run(image), steps, strict=True)):
            assert wanted.keys() == got.keys()
            for name, value in wanted.items():
                assert got[name].dtype == torch.int32
                assert got[name][b].tolist() == value, f"step {t}, {name}, image {b}"
    every = torch.stack([step["classifier.output"] for step in steps], 1)
    assert torch.equal(step_logits(model, images), every)
    assert torch.equal(logits(model, images), every[:, -1])


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_tensor_equals_the_page(tiny: RaScaNetConfig, kind: Kind) -> None:
    config = replace(tiny, height=10)
    check(random_int8_model(config, 1, kind), images_of(config, 2))


KERNELS = {5: (3, 1, 3, 1), 3: (1, 3, 1, 1), 7: (3, 3, 1, 3), 1: (1, 1, 1, 1)}


def two_steps(rows: int, **fields: Any) -> RaScaNetConfig:
    """A small configuration of that many rows a group."""
    return replace(preset("tiny"), rows=rows, kernel_heights=KERNELS[rows], height=2 * rows, **fields)


configs = st.builds(
    two_steps,
    rows=st.sampled_from(sorted(KERNELS)),
    heads=st.integers(1, 3),
    width=st.integers(16, 37),
    channels=st.tuples(*[st.integers(1, 4)] * 4),
    hidden=st.integers(1, 5),
    attention=st.integers(1, 3),
    channel_attention=st.booleans(),
    spatial_attention=st.sampled_from(["off", "full", "banded"]),
    attention_relu=st.booleans(),
    projection=st.sampled_from(["1x1", "1x3-1x3"]),
    pool=st.sampled_from(["mean", "mean+max"]),
    classifier_hidden=st.integers(0, 3),
    classes=st.integers(2, 4),
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(config=configs, seed=st.integers(0, 2**31), kind=st.sampled_from(get_args(Kind)))
def test_every_configuration_equals_the_page(config: RaScaNetConfig, seed: int, kind: Kind) -> None:
    check(random_int8_model(config, seed, kind), images_of(config, 1, seed))


def test_pixels_are_rounded_as_the_page_says() -> None:
    x = np.arange(256)
    wanted = np.floor((x / 255 - 0.5) * 254 + 0.5).astype(int)
    assert normalise(torch.from_numpy(x.astype(np.uint8))).tolist() == wanted.tolist()
    assert data.normalise(x.astype(np.uint8)).tolist() == wanted.tolist()


def test_state_does_not_leak_between_images(tiny: RaScaNetConfig) -> None:
    model, images = random_int8_model(tiny, 5), images_of(tiny, 4)
    together = logits(model, images)
    assert torch.equal(together, torch.cat([logits(model, image[None]) for image in images]))
    assert torch.equal(together, logits(model, images.flip(0)).flip(0))


@pytest.mark.parametrize("name", ["released-105x120"])
def test_fast_path_equals_the_slow_one_at_full_size(name: str) -> None:
    config = preset(name)
    model, images = random_int8_model(config, 2), images_of(config, 2)
    every = torch.stack([step["classifier.output"] for step in run(model, images)], 1)
    assert torch.equal(step_logits(model, images), every)


def test_images_of_another_size_are_refused(tiny: RaScaNetConfig) -> None:
    model = random_int8_model(tiny, 0)
    with pytest.raises(ValueError, match=r"images must be uint8 \[B, 20, 32, 3\]"):
        logits(model, torch.zeros(1, 20, 33, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"not torch\.float32"):
        logits(model, torch.zeros(1, 20, 32, 3))
