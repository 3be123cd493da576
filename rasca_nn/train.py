"""Training: classification and confidence loss, person boxes as a further hint, weight averaging, exact resume.

The loss is the paper's equation 16, ``cross entropy + alpha * sum over steps of (confidence - pseudo-label)^2``, with
the pseudo-labels of equation 15. Where the data folder has boxes.csv, a 1x1 convolution on the hidden state (for
training alone) also says for every step and column whether a person is there and whether one has been seen above.

Everything random is drawn from generators seeded by (seed, epoch), so a run stopped after any epoch and resumed gives
the same weights as one that was not stopped.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional as F

from rasca_nn.augment import choose_views, integral, jitter, placement, sample
from rasca_nn.boxes import person_cover
from rasca_nn.config import RaScaNetConfig, preset
from rasca_nn.data import Photos, list_rows, load_rows, normalise
from rasca_nn.errors import RascaError
from rasca_nn.float_file import save_float
from rasca_nn.metrics import report
from rasca_nn.model import RaScaNet


class TrainError(RascaError):
    """Training cannot start or go on."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to train.

    Parameters
    ----------
    epochs : passes of ``draws`` images.
    draws : images an epoch, half of them meant to show a person; 0 for as many as there are rows.
    batch, learning_rate, weight_decay : AdamW; the rate rises over ``warmup`` of the run, then falls as a cosine.
    alpha : weight of the confidence loss of one step (equation 16).
    box_weight : weight of the place-by-place loss; 0 switches it and the relabelling of crops off.
    ema : decay of the averaged weights, which are what is kept and measured.
    settle : part of the run after which the batch norms behind the recurrence use their running statistics.
    oversample : photos are kept this many times the network's input size, so that crops stay sharp.
    crops : also read the folder's crops.
    validate_every : epochs between measurements on the validation split.
    threads : CPU threads.
    """

    epochs: int = 30
    draws: int = 8192
    batch: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup: float = 0.03
    alpha: float = 0.02
    box_weight: float = 1.0
    smoothing: float = 0.05
    ema: float = 0.998
    settle: float = 0.5
    min_area: float = 0.2
    oversample: int = 1
    crops: bool = True
    validate_every: int = 1
    seed: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "oversample", "validate_every", "threads"):
            if getattr(self, name) < 1:
                raise TrainError(f"{name} must be at least 1, not {getattr(self, name)}")


@dataclass
class _Data:
    train: Photos
    val: Photos
    cover: Tensor
    known: np.ndarray[Any, np.dtype[np.bool_]]
    table: np.ndarray[Any, np.dtype[np.float32]]


def _load(folder: Path, config: RaScaNetConfig, options: Options, cache: Path | None) -> _Data:
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
        cover, known = person_cover(folder, train.rows, (210, 240))
    else:
        cover, known = np.zeros((len(train), 1, 1), np.float32), train.labels == 0
    return _Data(train, val, torch.from_numpy(cover), known, integral(cover))


def _draw(rng: np.random.Generator, data: _Data, options: Options) -> Iterator[tuple[Any, Any]]:
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

    def __init__(self, config: RaScaNetConfig, options: Options, data: _Data) -> None:
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
        self.batches = (options.draws or len(data.train)) // options.batch
        if not self.batches:
            raise TrainError(f"batch {options.batch} is larger than an epoch of {options.draws or len(data.train)}")

    def rate(self, step: int) -> float:
        """Learning rate of batch ``step``: linear warm-up, then a cosine to 1 % of the peak."""
        total = self.batches * self.options.epochs
        warm = max(1, int(total * self.options.warmup))
        if step < warm:
            return self.options.learning_rate * (step + 1) / warm
        part = (step - warm) / max(1, total - warm)
        return self.options.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))

    def views(self, rng: np.random.Generator, rows: Any, want: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Augmented images, labels, person coverage ``[B, T, n]`` and whether it is known ``[B]``."""
        data, config = self.data, self.config
        known, labels = data.known[rows], data.train.labels[rows]
        window, got = choose_views(rng, data.table[rows], known, labels, want, self.options.min_area)
        theta = placement(rng, window)
        pixels = torch.from_numpy(data.train.images[rows]).permute(0, 3, 1, 2).float()
        images = jitter(rng, sample(pixels, theta, config.height, config.width))
        cover = sample(data.cover[rows][:, None], theta, config.steps, config.columns)[:, 0]
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
            lag = max(1, self.config.steps // 10)
            target = F.pad((cover > 0.3).float(), (0, 0, lag, 0))[:, :-lag].permute(1, 0, 2)
            targets = torch.stack([target, target.cummax(0).values], 1)
            scores = self.place(states.flatten(0, 0).permute(0, 2, 1, 3).flatten(0, 1))
            scores = scores.view(len(states), len(labels), 2, -1).transpose(1, 2)
            each = F.binary_cross_entropy_with_logits(scores, targets, reduction="none")
            terms["place"] = options.box_weight * (each.mean((0, 1, 3)) * known).sum() / max(1, int(known.sum()))
        return terms

    def run_epoch(self, tick: Callable[[float], None]) -> dict[str, float]:
        """Train one epoch; returns the mean of each loss term."""
        rng = np.random.default_rng((self.options.seed, self.epoch))
        self.model.train()
        for norm in self.settling:
            norm.train(self.epoch < self.options.settle * self.options.epochs)
        sums: dict[str, float] = {}
        for i, (rows, want) in enumerate(_draw(rng, self.data, self.options)):
            step = self.epoch * self.batches + i
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate(step)
            terms = self.loss(*self.views(rng, rows, want))
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
                sums[name] = sums.get(name, 0.0) + float(term.detach()) / self.batches
            tick(float(total.detach()))
        self.epoch += 1
        return sums

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
            "model": self.model.state_dict(),
            "place": self.place.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same configuration and options."""
        state = torch.load(path, weights_only=True)
        for key, now in (("config", self.config.to_dict()), ("options", asdict(self.options))):
            changed = [k for k, v in now.items() if state[key].get(k) != v]
            if changed:
                raise TrainError(f"{path}: was made with another {', '.join(changed)}; keep it or start anew")
        self.model.load_state_dict(state["model"])
        self.place.load_state_dict(state["place"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = state["average"]
        self.epoch = state["epoch"]


def _log(path: Path, row: dict[str, Any]) -> None:
    """Append a row to a csv file, with a header where it is new."""
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def train(
    *, preset_name: str, data: Path, out: Path, options: Options | None = None, cache: Path | None = None
) -> Path:
    """Train a preset on a data folder and write ``out/NAME.float``; returns its path.

    ``out`` also gets ``log.csv`` (one row a measurement) and ``checkpoint.pt`` after every epoch; when that is there
    already, the run goes on from it. Raises :class:`TrainError`, :class:`DataError` or ``ConfigError``.
    """
    options = options or Options()
    config = preset(preset_name)
    torch.set_num_threads(options.threads)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, options, _load(Path(data), config, options, cache))
    checkpoint = out / "checkpoint.pt"
    if checkpoint.is_file():
        trainer.resume(checkpoint)
    loss_column = TextColumn("{task.fields[loss]:.4f}")
    with Progress(TextColumn("{task.description}"), BarColumn(), loss_column, TimeRemainingColumn()) as bar:
        bar.console.print(f"{config.name}, seed {options.seed}, {len(trainer.data.train)} images to train on")
        while trainer.epoch < options.epochs:
            start = time.monotonic()
            name = f"epoch {trainer.epoch + 1}/{options.epochs}"
            task = bar.add_task(name, total=trainer.batches, loss=math.nan)
            terms = trainer.run_epoch(lambda loss, task=task: bar.update(task, advance=1, loss=loss))  # type: ignore[misc]
            bar.remove_task(task)
            trainer.save(checkpoint)
            if trainer.epoch % options.validate_every and trainer.epoch != options.epochs:
                continue
            with torch.inference_mode():
                found = trainer.validate()
            parts = {"all": found} | found["groups"]
            balanced = {f"balanced_{k}": round(v["balanced_accuracy"] or 0.0, 4) for k, v in parts.items()}
            losses = {k: round(v, 4) for k, v in terms.items()}
            seconds = round(time.monotonic() - start, 1)
            _log(out / "log.csv", {"epoch": trainer.epoch, "seconds": seconds, **losses, **balanced})
            bar.console.print(f"{name}  {seconds} s  {losses}  {balanced}", soft_wrap=True)
    result = out / f"{config.name}.float"
    save_float(trainer.averaged(), result)
    return result
