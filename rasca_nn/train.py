"""Training: classification and confidence loss, person boxes as a further hint, weight averaging, exact resume.

The loss is the paper's equation 16, ``cross entropy + alpha * sum over steps of (confidence - label)^2``, with the
pseudo-labels of equation 15 unless others are asked for. Where the data folder has boxes, a 1x1 convolution on the
hidden state (for training alone) also says for every step and column whether a person is there and whether one has been
seen above (:mod:`rasca_nn.losses`).

Everything random is drawn from generators seeded by (seed, epoch), so a run stopped after any epoch and resumed gives
the same weights as one that was not stopped.
"""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from rasca_nn.balance import balance
from rasca_nn.config import RaScaNetConfig
from rasca_nn.data import Photos, load_rows
from rasca_nn.fake_quant import FakeQuantNet
from rasca_nn.float_file import load_float, save_float
from rasca_nn.model import RaScaNet
from rasca_nn.options import Options, TrainError
from rasca_nn.parallel import Team, team
from rasca_nn.qat import PHOTOS, QatTrainer
from rasca_nn.trainer import Trainer
from rasca_nn.training_data import TrainingData, load_data
from rasca_nn.training_log import TrainingLog


def train(
    *,
    config: RaScaNetConfig,
    data: Path,
    out: Path,
    options: Options | None = None,
    cache: Path | None = None,
    init: Path | None = None,
    device: str = "auto",
) -> Path:
    """Train a network on a data folder and write ``out/NAME.float``; returns its path.

    Parameters
    ----------
    cache : folder that keeps the decoded photos.
    init : float model to start from (:meth:`Trainer.start_from`).
    device : ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``; under torchrun each process takes its own GPU.

    With ``options.qat`` (:mod:`rasca_nn.qat`) ``init`` is a trained network of the same configuration, and
    ``out/NAME.int8`` is written too. ``out`` also gets ``log.csv`` and ``curves.png`` (a row and a point a measurement)
    and ``checkpoint.pt`` after every epoch; when that is there already, the run goes on from it. Raises
    :class:`TrainError`, :class:`DataError` or ``ConfigError``.
    """
    options = options or Options()
    if options.qat and init is None:
        raise TrainError("quantisation-aware training starts from a trained network; name it with --init MODEL.float")
    torch.set_num_threads(options.threads)
    beginning = load_float(init) if init else None
    with team(device) as members:
        return _run(config, Path(data), Path(out), options, cache, beginning, members)


def _read(folder: Path, config: RaScaNetConfig, options: Options, cache: Path | None, members: Team) -> TrainingData:
    """The data; where there is a cache, the first process fills it and the others read it."""
    if members.leads:
        found = load_data(folder, config, options, cache)
    if cache is not None:
        members.wait()
    return found if members.leads else load_data(folder, config, options, cache)


def _run(
    config: RaScaNetConfig,
    data: Path,
    out: Path,
    options: Options,
    cache: Path | None,
    beginning: RaScaNet | None,
    members: Team,
) -> Path:
    kind = QatTrainer if options.qat else Trainer
    trainer = kind(config, options, _read(data, config, options, cache, members), members, beginning)
    rows, size = list(trainer.data.train.rows), (config.height, config.width)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.is_file():
        trainer.resume(checkpoint)
    elif beginning and isinstance(trainer, QatTrainer):
        trainer.prepare(beginning, load_rows(rows[:: -(-len(rows) // PHOTOS)], *size).images)
    elif beginning:
        trainer.start_from(beginning)
    _epochs(trainer, out, checkpoint)
    result = out / f"{config.name}.float"
    if members.leads:
        offset = _finish(trainer, load_rows(rows, *size, cache=cache), result)
        print(f"{result}: the decision moved by {offset:+.3f} so that both classes err equally on the training photos")
    members.wait()
    return result


def _epochs(trainer: Trainer, out: Path, checkpoint: Path) -> None:
    """Train what is left, with log, checkpoints and a bar; the first process alone writes and talks."""
    options, leads = trainer.options, trainer.team.leads
    log = TrainingLog(out, trainer.epoch)
    columns = [TextColumn(f"{{task.{field}}}") for field in ("description", "fields[about]")]
    with Progress(columns[0], BarColumn(), columns[1], TimeRemainingColumn(), disable=not leads) as bar:
        bar.console.quiet = not leads
        name, photos = trainer.config.name, len(trainer.data.train)
        bar.console.print(f"{name}, seed {options.seed}, {photos} images to train on")
        task = bar.add_task("", total=1.0, about="")
        while not trainer.done:
            start = time.monotonic()
            name = f"epoch {trainer.epoch + 1}"
            accuracy = f"balanced {log.rows[-1]['balanced_all']}" if log.rows else ""

            def tick(loss: float, part: float, name: str = name, accuracy: str = accuracy) -> None:
                bar.update(task, completed=part, description=name, about=f"loss {loss:.4f} {accuracy}")

            losses = {k: round(v, 4) for k, v in trainer.run_epoch(tick).items()}
            part = trainer.part(trainer.epoch * trainer.batches)
            bar.update(task, completed=part)
            row: dict[str, Any] = {"epoch": trainer.epoch, "seconds": round(time.monotonic() - start, 1), **losses}
            if leads and (trainer.epoch % options.validate_every == 0 or part >= 1):
                row |= _measure(trainer)
                log.add(row)
            found = "  ".join(f"{k} {v}" for k, v in row.items() if k != "epoch")
            left = timedelta(seconds=round(trainer.seconds() * (1 - part) / max(1e-6, part)))
            bar.console.print(f"{name}  {found}  {left} left", soft_wrap=True)
            if leads:
                trainer.save(checkpoint)


def _finish(trainer: Trainer, photos: Photos, result: Path) -> float:
    """Balance the averaged network on ``photos`` and write it; returns the shift of the decision."""
    model = trainer.averaged()
    if not isinstance(trainer, QatTrainer):
        offset = balance(model, photos)
        save_float(model, result)
        return offset
    offset = balance(model, photos, FakeQuantNet(model, trainer.scheme))
    quantised = FakeQuantNet(model, trainer.scheme).int8
    save_float(model, result, trainer.scheme)
    quantised.save(result.with_suffix(".int8"))
    return offset


def _measure(trainer: Trainer) -> dict[str, float]:
    """The columns of the log that are measured on the validation split."""
    found = trainer.validate()
    parts = {"all": found} | found["groups"]
    balanced = {f"balanced_{k}": round(v["balanced_accuracy"] or 0.0, 4) for k, v in parts.items()}
    return {**balanced, "auc": round(found["auc"] or 0.0, 4)}
