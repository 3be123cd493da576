"""Accuracy of a model on labelled photos, by any engine that turns images into logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rasca_nn import integer
from rasca_nn.config import RaScaNetConfig
from rasca_nn.data import Photos, Progress, load_folder, normalise
from rasca_nn.errors import RascaError
from rasca_nn.float_file import load_float
from rasca_nn.int8_file import Int8Model
from rasca_nn.metrics import report
from rasca_nn.model import RaScaNet

Engine = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""Images uint8 ``[B, h, w, 3]`` to logits ``[B, classes]``, integer or float."""

BATCH = 16


def float_engine(model: RaScaNet) -> Engine:
    """The float network."""
    model.eval()

    def infer(images: NDArray[np.uint8]) -> NDArray[Any]:
        with torch.inference_mode():
            return model(torch.from_numpy(normalise(images)).float().permute(0, 3, 1, 2)).numpy()

    return infer


def int8_engine(model: Int8Model) -> Engine:
    """The integer model."""
    return lambda images: integer.logits(model, torch.from_numpy(images)).numpy()


def load_model(path: Path) -> RaScaNet | Int8Model:
    """A model file of either kind, by its suffix: ``.float`` or ``.int8``."""
    suffix = Path(path).suffix
    if suffix == ".float":
        return load_float(path)
    if suffix == ".int8":
        return Int8Model.load(path)
    raise RascaError(f"{path}: a model file ends in .float or .int8")


def engine_for(model: RaScaNet | Int8Model, name: str) -> Engine:
    """The engine ``float`` or ``int8`` for a model; the wrong kind of model is an error that says what to do."""
    if name == "float" and isinstance(model, RaScaNet):
        return float_engine(model)
    if name == "int8" and isinstance(model, Int8Model):
        return int8_engine(model)
    if name not in ("float", "int8"):
        raise RascaError(f"engine must be float or int8 here, not {name!r}")
    remedy = "quantise the network first" if name == "int8" else "give the .float file it was made from"
    raise RascaError(f"engine {name} cannot run this model; {remedy}")


def decide(engine: Engine, photos: Photos, progress: Progress | None = None) -> NDArray[np.int64]:
    """For each photo 1 where the engine's answer is class 1, else 0; ``progress`` is told (done, total) photos."""
    # An engine that divides the work itself takes all images at once.
    many = getattr(engine, "many", None)
    if many is not None:
        return np.asarray(many(photos.images, progress).argmax(1) == 1, np.int64)
    decisions = []
    for i in range(0, len(photos), BATCH):
        decisions.append(engine(photos.images[i : i + BATCH]).argmax(1) == 1)
        if progress is not None:
            progress(min(i + BATCH, len(photos)), len(photos))
    return np.concatenate(decisions).astype(np.int64)


def evaluate_engine(
    engine: Engine,
    config: RaScaNetConfig,
    data: Path,
    *,
    split: str | None = "val",
    limit: int | None = None,
    crops: bool = False,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Decide every photo of a data folder with ``engine`` and compare with the labels.

    Parameters
    ----------
    split : ``train``, ``val`` or None for every row.
    limit : only so many rows, spread evenly.
    crops : the folder's crops too.
    progress : called with (done, total) photos.

    Returns
    -------
    n, accuracy, balanced_accuracy, tpr, tnr, and under ``groups`` the same for ``photos``, ``coco`` and ``crops``,
    those that occur. The positive class is 1; any other counts as 0.
    """
    photos = load_folder(data, config.height, config.width, split=split, crops=crops, limit=limit, cache=cache)
    return report(photos.labels, decide(engine, photos, progress), photos.sources())


def evaluate(
    model: RaScaNet | Int8Model,
    data: Path,
    *,
    engine: str | Engine,
    split: str | None = "val",
    limit: int | None = None,
    crops: bool = False,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """:func:`evaluate_engine` for a model; ``engine`` is ``float``, ``int8`` or any function from images to logits."""
    infer = engine_for(model, engine) if isinstance(engine, str) else engine
    return evaluate_engine(
        infer, model.config, data, split=split, limit=limit, crops=crops, cache=cache, progress=progress
    )
