"""The Pareto front of `rasca explore` as a picture."""

from __future__ import annotations

from pathlib import Path

from rasca_nn.figure import write_png
from rtl_gen.explore import Design, Search
from rtl_gen.resources import cells

KINDS = {1: ("one engine", "tab:blue", "o"), 2: ("heads and back", "tab:orange", "s")}
"""By the number of engines."""


def draw(found: Search, chosen: Design | None, title: str, out: Path) -> None:
    """Writes a PNG: frames a second over LUTs, both logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    luts = cells(found.fastest.target)
    axes.step([d.takes[luts] for d in found.front], [d.frames_per_second for d in found.front], "0.8", where="post")
    for count, (label, colour, marker) in KINDS.items():
        own = [d for d in found.front if len(d.target.engines) == count]
        rates = [d.frames_per_second for d in own]
        axes.scatter([d.takes[luts] for d in own], rates, c=colour, marker=marker, label=label)
    if chosen:
        axes.scatter(
            chosen.takes[luts], chosen.frames_per_second, 160, facecolors="none", edgecolors="tab:red", label="chosen"
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(luts.replace("_", " "))
    axes.set_ylabel(f"frames a second at {found.fastest.target.clock_mhz} MHz")
    axes.set_title(title, loc="left")
    axes.grid(which="both", color="0.93")
    axes.legend()
    write_png(figure, out)
