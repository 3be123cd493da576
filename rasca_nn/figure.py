"""Writing pictures, and figure 1 of RaScaNet's supplement as one."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rasca_nn.errors import RascaError
from rasca_nn.supplement import SizePoint

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_name(out: Path) -> None:
    """Raises RascaError where no picture can have that name."""
    if out.suffix.lower() != ".png":
        raise RascaError(f"{out}: the picture is a PNG; give a name that ends in .png")
    if out.is_dir():
        raise RascaError(f"{out}: is a folder; give the name of a file")


def write_png(figure: Figure, out: Path) -> None:
    """Raises RascaError where it cannot be written; an interrupted write leaves nothing under the final name."""
    partial = out.with_name(out.name + ".partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(partial, dpi=110, format="png", metadata={"Software": None})
        partial.replace(out)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise RascaError(f"{out}: cannot be written ({error.strerror or error})") from None


def draw(points: Sequence[SizePoint], out: Path) -> None:
    """Writes a PNG: peak memory over the image's diagonal, one logarithmic axis for all; rings are printed figures.

    Raises RascaError for a name that is no PNG's; an interrupted write leaves nothing under the final name.
    """
    check_name(out)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    diagonal = [point.diagonal for point in points]
    axes.plot(diagonal, [p.mobilenet for p in points], "o-", color="tab:blue", label="MobileNetV2 0.35, layer by layer")
    axes.plot(diagonal, [p.mobilenet_split for p in points], "s--", color="tab:blue", label="the same, split in 6")
    axes.plot(diagonal, [p.rascanet for p in points], "o-", color="tab:red", label="RaScaNet")
    printed = [
        (p.diagonal, figure_kb) for p in points for figure_kb in (p.rascanet_printed, p.mobilenet_printed) if figure_kb
    ]
    axes.plot(*zip(*printed, strict=True), "o", ms=11, mfc="none", color="0.3", label="printed in the supplement")
    axes.set_yscale("log")
    axes.set_xticks(diagonal, [f"{p.diagonal:.0f}\n{p.height}x{p.width}" for p in points])
    axes.set_xlabel("diagonal of the image, pixels")
    axes.set_ylabel("peak memory, KB")
    axes.grid(color="0.9")
    axes.legend()
    write_png(figure, out)
