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
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from rasca_nn.balance import balance
from rasca_nn.config import preset
from rasca_nn.data import load_folder
from rasca_nn.float_file import load_float, save_float
from rasca_nn.options import Options
from rasca_nn.trainer import Trainer, load_data


def _log(path: Path, row: dict[str, Any]) -> None:
    """Append a row to a csv file, with a header where it is new."""
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def train(
    *,
    preset_name: str,
    data: Path,
    out: Path,
    options: Options | None = None,
    cache: Path | None = None,
    init: Path | None = None,
) -> Path:
    """Train a preset on a data folder and write ``out/NAME.float``; returns its path.

    ``init`` is a float model to start from (:meth:`Trainer.start_from`). ``out`` also gets ``log.csv`` (one row a
    measurement) and ``checkpoint.pt`` after every epoch; when that is there already, the run goes on from it. Raises
    :class:`TrainError`, :class:`DataError` or ``ConfigError``.
    """
    options = options or Options()
    config = preset(preset_name)
    torch.set_num_threads(options.threads)
    out = Path(out)
    beginning = load_float(init) if init else None
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config, options, load_data(Path(data), config, options, cache))
    checkpoint = out / "checkpoint.pt"
    if checkpoint.is_file():
        trainer.resume(checkpoint)
    elif beginning:
        trainer.start_from(beginning)
    loss_column = TextColumn("{task.fields[loss]:.4f}")
    with Progress(TextColumn("{task.description}"), BarColumn(), loss_column, TimeRemainingColumn()) as bar:
        bar.console.print(f"{config.name}, seed {options.seed}, {len(trainer.data.train)} images to train on")
        while not trainer.done:
            start = time.monotonic()
            name = f"epoch {trainer.epoch + 1}"
            task = bar.add_task(name, total=trainer.batches, loss=math.nan)
            terms = trainer.run_epoch(lambda loss, task=task: bar.update(task, advance=1, loss=loss))  # type: ignore[misc]
            bar.remove_task(task)
            trainer.save(checkpoint)
            if trainer.epoch % options.validate_every and not trainer.done:
                continue
            with torch.inference_mode():
                found = trainer.validate()
            parts = {"all": found} | found["groups"]
            balanced = {f"balanced_{k}": round(v["balanced_accuracy"] or 0.0, 4) for k, v in parts.items()}
            losses = {k: round(v, 4) for k, v in terms.items()}
            seconds = round(time.monotonic() - start, 1)
            _log(out / "log.csv", {"epoch": trainer.epoch, "seconds": seconds, **losses, **balanced})
            bar.console.print(f"{name}  {seconds} s  {losses}  {balanced}", soft_wrap=True)
    model = trainer.averaged()
    size = (config.height, config.width)
    offset = balance(model, load_folder(data, *size, split="train", crops=options.crops, cache=cache))
    result = out / f"{config.name}.float"
    save_float(model, result)
    print(f"{result}: the decision moved by {offset:+.3f} so that both classes err equally on the training photos")
    return result
