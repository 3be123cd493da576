"""The figures of a model's card: the float network, the integer model and, where it was measured, the hardware."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rasca_nn import sections
from rasca_nn.data import Photos, Progress, load_folder
from rasca_nn.errors import RascaError
from rasca_nn.evaluate import decide, float_engine, int8_engine
from rasca_nn.float_file import load_float
from rasca_nn.int8_file import Int8Model
from rasca_nn.metrics import report

MARK = "card"
"""Of the section in the card."""
GROUPS = {"photos": "photos", "coco": "photos from COCO", "crops": "crops", "all": "all of these"}
COLUMNS = ("rows", "n", "engine", "balanced", "tpr", "tnr", "accuracy")
RATES = ("balanced_accuracy", "tpr", "tnr", "accuracy")

Found = dict[str, Any]
"""What :func:`rasca_nn.metrics.report` gives."""


@dataclass(frozen=True)
class Card:
    """Both networks on the same photos. ``same``: part of them on which they decide alike."""

    name: str
    digest: str
    exact: Found
    integer: Found
    same: float


def measure(path: Path, data: Path, *, cache: Path | None = None, progress: Progress | None = None) -> Card:
    """``path``: an integer model, beside the float network it was made from. Validation photos, and crops if any."""
    model, network = Int8Model.load(path), load_float(path.with_suffix(".float"))
    if network.config != model.config:
        raise RascaError(f"{path}: is not made from {path.with_suffix('.float').name}; they differ in configuration")
    crops = (data / "crops_labels.csv").is_file()
    photos = load_folder(data, model.config.height, model.config.width, split="val", crops=crops, cache=cache)

    def half(number: int) -> Progress | None:
        return progress and (lambda done, total: progress(number * total + done, 2 * total))

    exact, integer = decide(float_engine(network), photos, half(0)), decide(int8_engine(model), photos, half(1))
    same = float(np.mean(exact == integer))
    return Card(model.config.name, model.hash, _report(photos, exact), _report(photos, integer), same)


def _report(photos: Photos, decisions: Any) -> Found:
    return report(photos.labels, decisions, photos.sources())


def read_hardware(path: Path, digest: str) -> Found:
    """What ``rasca evaluate --engine rtl --json`` printed; :class:`RascaError` where it is about other weights."""
    try:
        found: Found = json.loads(path.read_text(encoding="utf-8"))
        about = found["model"], found["target"], found["compared"], found["mismatches"], found["groups"]
    except (ValueError, KeyError, TypeError) as error:
        raise RascaError(f"{path}: is no report of rasca evaluate --engine rtl --json ({error})") from None
    if about[0] != digest:
        raise RascaError(f"{path}: is about the model {about[0]}, not {digest}")
    if "mean_step" in found:
        raise RascaError(f"{path}: was measured with early termination; measure it without")
    return found


def _lines(engines: dict[str, Found]) -> Iterator[tuple[str, ...]]:
    """Of every group a line for each engine."""
    for group, name in GROUPS.items():
        for engine, found in engines.items():
            part = found if group == "all" else found["groups"].get(group)
            if part is None or (group == "all" and "crops" not in found["groups"]):
                continue
            rates = ("-" if part[key] is None else f"{part[key]:.3f}" for key in RATES)
            yield (name, f"{part['n']:,}", engine, *rates)


def section(card: Card, hardware: Sequence[Found] = ()) -> list[str]:
    """The card's figures, as Markdown."""
    engines = {"float": card.exact, "INT8": card.integer}
    engines |= {f"RTL, {found['target']}": found for found in hardware}
    exact, integer = (found["groups"]["photos"]["balanced_accuracy"] for found in (card.exact, card.integer))
    lines = [
        f"Validation split; `{card.name}.int8` has the hash",
        f"`{card.digest}`.",
        "",
        *sections.table(COLUMNS, _lines(engines)),
        "",
    ]
    said = f"The integer model decides {card.same:.1%} of the {card.exact['n']:,} images as the float network does"
    if exact is not None and integer is not None:
        said += f"; on the photos its balanced accuracy is {100 * (integer - exact):+.2f} points from float's"
    lines.append(f"{said}.")
    for found in hardware:
        lines.append(
            f"RTL, {found['target']}, {found['n']:,} images: {found['compared']:,} values compared with the integer "
            f"model, {found['mismatches']:,} mismatches."
        )
    lines += ["", f"    rasca card models/{card.name}.int8 --data DIR -o models/{card.name}.md"]
    for found in hardware:
        command = f"rasca evaluate models/{card.name}.int8 --data DIR --engine rtl --target {found['target']}"
        crops = " --crops" if "crops" in found["groups"] else ""
        lines.append(f"    {command}{crops} --json > rtl.json   # then rasca card with --rtl rtl.json")
    return lines


def write(card: Card, path: Path, hardware: Sequence[Found] = ()) -> None:
    """Put :func:`section` into a card, the rest of which is kept."""
    sections.write(path, MARK, section(card, hardware), f"# {card.name}")
