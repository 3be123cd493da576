"""The schedule of both engines over one step as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rasca_nn.figure import check_name, write_png
from rtl_gen.occupancy import KINDS, EngineUse, Occupancy, layer_use

COLOURS = {
    "products": "tab:blue", "edge": "tab:orange", "padding": "gold", "gap": "tab:red", "dependency": "tab:purple",
    "fill": "0.3", "clear": "tab:green", "wait": "0.85",
}  # fmt: skip
BEFORE = ("wait", "fill", "dependency")
"""Cycles in which no pass runs, drawn before a layer's passes; where a layer waits for rows, each of its rows does."""
LABEL = 0.03
"""Share of the step that a layer takes at least to be named."""


def draw(found: Occupancy, out: Path) -> None:
    """Writes a PNG: along the cycles of a step, what share of the array does what. The area of a colour is its share.

    Raises RascaError for a name that is no PNG's; an interrupted write leaves nothing under the final name.
    """
    check_name(out)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 1.2 + 2.2 * len(found.engines)), layout="constrained")
    for i, engine in enumerate(found.engines):
        axes = figure.add_subplot(len(found.engines), 1, i + 1)
        _engine(axes, engine)
    figure.axes[-1].set_xlabel("cycles of the step")
    handles = [figure.axes[0].bar(0, 0, color=COLOURS[kind], label=text) for kind, text in KINDS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
    write_png(figure, out)


def _engine(axes: Any, engine: EngineUse) -> None:
    start = engine.step[0].start
    span = engine.step[-1].end - start
    groups = engine.array // (engine.step[0].plan.rows * engine.step[0].plan.columns)
    for run in engine.step:
        uses = layer_use(run, engine.array, groups)
        at: float = run.start - start
        for kind in BEFORE:
            width = uses[kind] / engine.array
            axes.bar(at, 1, width, align="edge", color=COLOURS[kind])
            at += width
        rest, floor = run.end - start - at, 0.0
        for kind in (kind for kind in KINDS if kind not in BEFORE):
            height = uses[kind] / (engine.array * rest)
            axes.bar(at, height, rest, bottom=floor, align="edge", color=COLOURS[kind])
            floor += height
        axes.axvline(run.end - start, color="white", linewidth=0.8)
        if rest > LABEL * span:
            axes.text(at + rest / 2, 0.5, run.plan.op.name, rotation=90, ha="center", va="center", fontsize=8)
    axes.set_title(f"{engine.name}: {engine.array} products a cycle, {span:,} cycles", loc="left", fontsize=10)
    axes.set_xlim(0, span)
    axes.set_ylim(0, 1)
    axes.set_ylabel("share of the array")
