"""The state of a training run and one epoch of it; :mod:`rasca_nn.train` says what is minimised."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional as F

from rasca_nn.augment import choose_views, integral, jitter, placement, sample
from rasca_nn.boxes import person_cover
from rasca_nn.config import CONVS, RaScaNetConfig
from rasca_nn.data import Photos, list_rows, load_rows, normalise
from rasca_nn.metrics import report
from rasca_nn.model import RaScaNet
from rasca_nn.options import Options, TrainError
from rasca_nn.torch_file import load_plain


@dataclass
class TrainingData:
    """Photos to train on and to measure on, and where the persons are in the former (:mod:`rasca_nn.boxes`)."""

    train: Photos
    val: Photos
    cover: Tensor
    known: NDArray[np.bool_]
    table: NDArray[np.float32]


def load_data(folder: Path, config: RaScaNetConfig, options: Options, cache: Path | None) -> TrainingData:
    """Decode a data folder for training, with a progress bar."""
    rows = list_rows(folder, crops=options.crops)
    with Progress(TextColumn("decode photos"), BarColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("", total=None)

        def tick(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        scale = options.oversample
        train_rows = [row for row in rows if row.split == "train"]
        val_rows = [row for row in rows if row.split == "val"]
        train = load_rows(train_rows, config.height * scale, config.width * scale, cache=cache, progress=tick)
        val = load_rows(val_rows, config.height, config.width, cache=cache, progress=tick)
    if len(set(train.labels.tolist())) < 2:
        raise TrainError(f"{folder}: the train split must hold both labels")
    if options.box_weight:
        cover, known = person_cover(folder, train.rows)
    else:
        cover, known = np.zeros((len(train), 1, 1), np.float32), train.labels == 0
    return TrainingData(train, val, torch.from_numpy(cover), known, integral(cover))


def _draw(rng: np.random.Generator, data: TrainingData, options: Options) -> Iterator[tuple[Any, Any]]:
    """Batches of (row numbers, wanted labels): half positives; of the negatives a quarter are cut out of positives."""
    labels = data.train.labels
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    cut = positive[data.known[positive]]
    for _ in range((options.draws or len(labels)) // options.batch):
        want = (rng.random(options.batch) < 0.5).astype(np.int64)
        source = np.where(want == 1, rng.choice(positive, options.batch), rng.choice(negative, options.batch))
        if len(cut):
            swap = (want == 0) & (rng.random(options.batch) < 0.25)
            source = np.where(swap, rng.choice(cut, options.batch), source)
        yield source, want


class Trainer:
    """One run: the network, its averaged copy, the optimizer, and the epoch reached."""

    def __init__(self, config: RaScaNetConfig, options: Options, data: TrainingData) -> None:
        torch.manual_seed(options.seed)
        self.config, self.options, self.data = config, options, data
        self.model = RaScaNet(config)
        self.place = nn.Conv1d(config.hidden, 2, 1)
        self.settling = [m for m in self.model.raster_att.modules() if isinstance(m, nn.BatchNorm1d)]
        for norm in self.settling:
            # They are updated once a step, so a frame counts like one batch.
            norm.momentum = 0.1 / config.steps
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}
        decay = [p for m in (self.model, self.place) for p in m.parameters() if p.dim() > 1]
        rest = [p for m in (self.model, self.place) for p in m.parameters() if p.dim() <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decay, "weight_decay": options.weight_decay}, {"params": rest, "weight_decay": 0.0}],
            lr=options.learning_rate,
        )
        self.epoch = 0
        self.elapsed = 0.0
        self.started = time.monotonic()
        self.batches = (options.draws or len(data.train)) // options.batch
        if not self.batches:
            raise TrainError(f"batch {options.batch} is larger than an epoch of {options.draws or len(data.train)}")

    def start_from(self, model: RaScaNet) -> None:
        """Take over what fits, by name and shape, from a network of any configuration; if no layer does,
        :class:`TrainError`.
        """
        own = self.model.state_dict()
        fitting = {k: v for k, v in model.state_dict().items() if k in own and own[k].shape == v.shape}
        if not any(v.dim() > 1 for v in fitting.values()):
            raise TrainError(f"none of the weights of {model.config.name} fits {self.config.name}")
        self.model.load_state_dict(own | fitting)
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}

    def part(self, step: int) -> float:
        """How much of the run lies behind batch ``step``, 0..1: by number of batches, or by the clock."""
        if self.options.minutes:
            return min(1.0, (self.elapsed + time.monotonic() - self.started) / (60 * self.options.minutes))
        return step / (self.batches * self.options.epochs)

    def rate(self, part: float) -> float:
        """Learning rate at a part of the run: linear warm-up, then a cosine down to 1 % of the peak."""
        warm = self.options.warmup
        if part < warm:
            return self.options.learning_rate * max(0.01, part / warm)
        fall = (part - warm) / max(1e-9, 1 - warm)
        return self.options.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall)))

    def views(self, rng: np.random.Generator, rows: Any, want: Any, part: float) -> tuple[Tensor, ...]:
        """Augmented images, labels, person coverage ``[B, steps, columns]`` and whether it is known ``[B]``."""
        data, config = self.data, self.config
        divisor = 2 if part < self.options.small else 1
        height, width = config.height // divisor, config.width // divisor
        known, labels = data.known[rows], data.train.labels[rows]
        window, got = choose_views(rng, data.table[rows], known, labels, want, self.options.min_area)
        theta = placement(rng, window)
        pixels = torch.from_numpy(data.train.images[rows]).permute(0, 3, 1, 2).float()
        images = jitter(rng, sample(pixels, theta, height, width))
        cells = (height // config.rows, width // 2**CONVS)
        cover = sample(data.cover[rows][:, None], theta, *cells)[:, 0]
        return images * (254 / 255) - 127, torch.from_numpy(got), cover, torch.from_numpy(known)

    def loss(self, images: Tensor, labels: Tensor, cover: Tensor, known: Tensor) -> dict[str, Tensor]:
        """The terms of the loss; each already has its weight."""
        model, options = self.model, self.options
        states = model.scan(images.contiguous(memory_format=torch.channels_last))
        pooled = model.pool(states)
        terms = {"class": F.cross_entropy(model.classify(pooled[-1]), labels, label_smoothing=options.smoothing)}
        with torch.no_grad():
            model.classifier.eval()
            pseudo = model.classify(pooled).softmax(-1)[..., 1] * (labels == 1)
            model.classifier.train()
        terms["confidence"] = options.alpha * (model.confidence(pooled) - pseudo).square().sum(0).mean()
        if options.box_weight:
            # A person is recognised a little after it begins, so the targets lag behind the rows.
            lag = max(1, len(states) // 10)
            target = F.pad((cover > 0.3).float(), (0, 0, lag, 0))[:, :-lag].permute(1, 0, 2)
            targets = torch.stack([target, target.cummax(0).values], 1)
            scores = self.place(states.transpose(1, 2).flatten(0, 1))
            scores = scores.view(len(states), len(labels), 2, -1).transpose(1, 2)
            each = F.binary_cross_entropy_with_logits(scores, targets, reduction="none")
            terms["place"] = options.box_weight * (each.mean((0, 1, 3)) * known).sum() / max(1, int(known.sum()))
        return terms

    def run_epoch(self, tick: Callable[[float], None]) -> dict[str, float]:
        """Train one epoch, or what the clock leaves of it; returns the mean of each loss term."""
        rng = np.random.default_rng((self.options.seed, self.epoch))
        self.model.train()
        sums: dict[str, float] = {}
        done = 1
        for i, (rows, want) in enumerate(_draw(rng, self.data, self.options)):
            step = self.epoch * self.batches + i
            part = self.part(step)
            if part >= 1:
                break
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate(part)
            for norm in self.settling:
                norm.train(part < self.options.settle)
            terms = self.loss(*self.views(rng, rows, want, part))
            total = torch.stack(list(terms.values())).sum()
            if not torch.isfinite(total):
                raise TrainError(f"the loss is no longer finite in epoch {self.epoch + 1}; lower the learning rate")
            self.optimizer.zero_grad()
            total.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            decay = min(self.options.ema, (1 + step) / (10 + step))
            for key, value in self.model.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1 - decay)
                else:
                    self.average[key].copy_(value)
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + float(term.detach())
            done = i + 1
            tick(float(total.detach()))
        self.epoch += 1
        return {name: total / done for name, total in sums.items()}

    @property
    def done(self) -> bool:
        """Whether the run is over."""
        return self.part(self.epoch * self.batches) >= 1

    def averaged(self) -> RaScaNet:
        """The network with the averaged weights, for use."""
        model = RaScaNet(self.config)
        model.load_state_dict(self.average)
        return model.eval()

    def validate(self) -> dict[str, Any]:
        """:func:`rasca_nn.metrics.report` of the averaged network on the validation split."""
        model, val = self.averaged(), self.data.val
        decisions = [
            model(torch.from_numpy(normalise(val.images[i : i + 64])).permute(0, 3, 1, 2).float()).argmax(1)
            for i in range(0, len(val), 64)
        ]
        return report(val.labels, torch.cat(decisions).numpy(), val.sources())

    def save(self, path: Path) -> None:
        """Write everything a resume needs; an interrupted write leaves the previous file."""
        state = {
            "config": self.config.to_dict(),
            "options": asdict(self.options),
            "epoch": self.epoch,
            "elapsed": self.elapsed + time.monotonic() - self.started,
            "model": self.model.state_dict(),
            "place": self.place.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same configuration and options; another is a :class:`TrainError`."""
        state = load_plain(path)
        for key, now in (("config", self.config.to_dict()), ("options", asdict(self.options))):
            changed = [k for k, v in now.items() if state[key].get(k) != v]
            if changed:
                raise TrainError(f"{path}: was made with another {', '.join(changed)}; keep it or start anew")
        self.model.load_state_dict(state["model"])
        self.place.load_state_dict(state["place"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = state["average"]
        self.epoch, self.elapsed = state["epoch"], state["elapsed"]
