"""What a training run reads: decoded photos, where the persons are in them, and which rows make a batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from rasca_nn.augment import LabelRule, choose_views, colours, placement, recolour, sample
from rasca_nn.boxes import coverage, person_boxes
from rasca_nn.config import CONVS, RaScaNetConfig
from rasca_nn.data import Photos, load_rows
from rasca_nn.layouts import list_rows
from rasca_nn.options import Options, TrainError
from rasca_nn.parallel import Team


@dataclass
class TrainingData:
    """Photos to train on and to measure on, and where the persons are in the former (:mod:`rasca_nn.boxes`)."""

    train: Photos
    val: Photos
    boxes: NDArray[np.float32]
    known: NDArray[np.bool_]

    def digest(self) -> str:
        """Of the files' names, labels and boxes: tells one data set from another."""
        rows = [[(row.file, row.label) for row in photos.rows] for photos in (self.train, self.val)]
        return hashlib.sha256(repr(rows).encode() + self.boxes.tobytes()).hexdigest()


class Batch(NamedTuple):
    """What a step of training sees.

    ``images`` float ``[B, 3, h, w]`` -127..127, ``labels`` int64 ``[B]``, ``cover`` ``[B, T, columns]``: how much of a
    place persons cover, ``known`` bool ``[B]``: whether that is known.
    """

    images: Tensor
    labels: Tensor
    cover: Tensor
    known: Tensor


def load_data(folder: Path, config: RaScaNetConfig, options: Options, cache: Path | None) -> TrainingData:
    """Decode a data folder for training, with a progress bar."""
    crops = options.crops and (folder / "crops_labels.csv").is_file()
    rows = list_rows(folder, crops=crops)
    train_rows = [row for row in rows if row.split == "train"]
    val_rows = [row for row in rows if row.split == "val"]
    if options.fold:
        val_rows = [row for row in train_rows if row.part == options.fold]
        train_rows = [row for row in train_rows if row.part != options.fold]
    if len({row.label for row in train_rows}) < 2:
        raise TrainError(f"{folder}: the train split must hold both labels")
    if not val_rows:
        what = f"fold {options.fold}" if options.fold else "split val"
        raise TrainError(f"{folder}: no row of {what} to measure on")
    # Before the long part, so that a fault in a table is told at once.
    boxes, known = person_boxes(folder, train_rows)
    with Progress(TextColumn("decode photos"), BarColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("", total=None)

        def tick(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        scale = options.oversample
        train = load_rows(train_rows, config.height * scale, config.width * scale, cache=cache, progress=tick)
        val = load_rows(val_rows, config.height, config.width, cache=cache, progress=tick)
    return TrainingData(train, val, boxes, known)


def draw(
    rng: np.random.Generator, data: TrainingData, options: Options
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Batches of (row numbers, wanted labels): half positives; of the negatives a quarter are cut out of positives."""
    labels = data.train.labels
    positive, negative = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    cut = positive[data.known[positive] & options.relabel]
    for _ in range((options.draws or len(labels)) // options.batch):
        want = (rng.random(options.batch) < 0.5).astype(np.int64)
        source = np.where(want == 1, rng.choice(positive, options.batch), rng.choice(negative, options.batch))
        if len(cut):
            swap = (want == 0) & (rng.random(options.batch) < 0.25)
            source = np.where(swap, rng.choice(cut, options.batch), source)
        yield source, want


def make_batch(
    rng: np.random.Generator,
    data: TrainingData,
    rows: NDArray[np.int64],
    want: NDArray[np.int64],
    config: RaScaNetConfig,
    options: Options,
    *,
    divisor: int = 1,
    team: Team | None = None,
) -> Batch:
    """Random views of the rows at ``1 / divisor`` of the network's size; of a team, this process's share of them.

    Everything random is drawn for the whole batch, so that all processes draw the same.
    """
    team = team or Team()
    height, width = config.height // divisor, config.width // divisor
    known, labels = data.known[rows], data.train.labels[rows]
    rule = LabelRule(options.present, options.absent)
    window, got = choose_views(
        rng, data.boxes[rows], known & options.relabel, labels, want, options.min_area, rule=rule
    )
    theta = placement(rng, window, options.tilt)
    mix, middle = colours(rng, len(rows), options.jitter)
    mine, device = team.share(len(rows)), team.device
    theta, mix, middle = theta[mine].to(device), mix[mine].to(device), middle[mine].to(device)
    pixels = torch.from_numpy(data.train.images[rows[mine]]).to(device).permute(0, 3, 1, 2).float()
    images = recolour(sample(pixels, theta, height, width), mix, middle)
    cells = (height // config.rows, width // 2**CONVS)
    maps = torch.from_numpy(coverage(data.boxes[rows[mine]])).to(device)
    cover = sample(maps[:, None], theta, *cells)[:, 0]
    return Batch(
        images * (254 / 255) - 127,
        torch.from_numpy(got[mine]).to(device),
        cover,
        torch.from_numpy(known[mine]).to(device),
    )
