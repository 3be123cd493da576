"""Training every variant of :mod:`rasca_nn.ablation` with every seed, and the tables of what came out.

The plan is a list of runs, each a folder; one that was stopped goes on from its checkpoint. The figures of each
finished run are kept in a JSON file beside the tables, so that a series can be finished where the folders are not. The
tables are written anew after every run, between two marks in a Markdown file whose other text is kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rasca_nn import sections
from rasca_nn.ablation import Table, Variant, variants
from rasca_nn.config import RaScaNetConfig
from rasca_nn.count import count
from rasca_nn.errors import RascaError
from rasca_nn.evaluate import evaluate
from rasca_nn.float_file import load_float
from rasca_nn.options import Options
from rasca_nn.train import train

MARK = "ablate"
"""Of the section in the results' file."""
COLUMNS = ("", "MACs", "weights", "balanced accuracy", "accuracy", "seeds")
RESULT = ("options", "seconds", "n", "balanced_accuracy", "accuracy")
"""What a result must hold for the tables."""

Result = dict[str, Any]
"""Variant, options, seconds, and what :func:`rasca_nn.evaluate.evaluate` found."""


@dataclass(frozen=True)
class Run:
    """A variant with its options, which have the seed, in a folder of its own."""

    variant: Variant
    options: Options
    folder: Path

    @property
    def name(self) -> str:
        """As the folder is called."""
        return self.folder.name


@dataclass(frozen=True)
class Plan:
    """All runs and the tables they make in the Markdown file ``out``; ``command`` makes them again.

    ``only``: variants to train now.
    """

    base: RaScaNetConfig
    runs: tuple[Run, ...]
    tables: tuple[Table, ...]
    out: Path
    command: str
    only: tuple[str, ...] = ()

    @property
    def todo(self) -> tuple[Run, ...]:
        """The runs to make now."""
        return tuple(run for run in self.runs if not self.only or run.variant.name in self.only)

    @property
    def record(self) -> Path:
        """What the tables are made from: the result of every run that is done, by name."""
        return self.out.with_suffix(".json")

    def results(self) -> dict[str, Result]:
        """Those of this plan in :attr:`record`; :class:`RascaError` where one was made with other options."""
        kept, found = self._kept(), {}
        for run in self.runs:
            if run.name not in kept:
                continue
            made, now = kept[run.name]["options"], asdict(run.options)
            others = [name for name, value in now.items() if made.get(name) != value]
            if others:
                about = f"{run.name} was made with another {', '.join(others)}"
                raise RascaError(f"{self.record}: {about}; delete it or take another file (-o)")
            found[run.name] = kept[run.name]
        return found

    def keep(self, run: Run, result: Result) -> None:
        """Add a result to :attr:`record`; an interrupted write leaves it as it was."""
        kept = self._kept() | {run.name: result}
        lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in sorted(kept.items()))
        partial = self.record.with_name(self.record.name + ".partial")
        partial.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        partial.replace(self.record)

    def _kept(self) -> dict[str, Result]:
        """The record's content, of this plan's runs and others."""
        if not self.record.is_file():
            return {}
        try:
            found: dict[str, Result] = json.loads(self.record.read_text(encoding="utf-8"))
            for name, result in found.items():
                missing = [key for key in RESULT if key not in result]
                if missing or not isinstance(result["options"], dict):
                    raise ValueError(f"{name} has no {', '.join(missing) or 'table of options'}")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise RascaError(
                f"{self.record}: holds no results of runs ({error}); delete it to make them again"
            ) from None
        return found


def plan(
    base: RaScaNetConfig,
    options: Options,
    seeds: Sequence[int],
    folder: Path,
    out: Path,
    command: str,
    only: Sequence[str] = (),
) -> Plan:
    """Every variant with every seed, of which ``only`` those named are made; :class:`RascaError` for an unknown one.

    ``folder``: where the runs train; ``out``: Markdown file of the tables.
    """
    made, tables = variants(base)
    names = [variant.name for variant in made]
    for name in only:
        if name not in names:
            raise RascaError(f"no variant {name!r}; there are {', '.join(names)}")
    if len(set(seeds)) != len(seeds):
        raise RascaError(f"a seed is given twice: {' '.join(map(str, seeds))}")
    runs = tuple(
        Run(variant, replace(options, seed=seed, **variant.options), folder / f"{variant.name}-seed{seed}")
        for seed in seeds
        for variant in made
    )
    return Plan(base, runs, tuple(tables), out, command, tuple(only))


def make(run: Run, data: Path, cache: Path | None, device: str) -> Result:
    """Train one run, or what is left of it, and measure it on the validation split."""
    start = time.monotonic()
    config = run.variant.config
    out = train(config=config, data=data, out=run.folder, options=run.options, cache=cache, device=device)
    found = evaluate(load_float(out), data, engine="float", crops=False, cache=cache)
    about = {"variant": run.variant.name, "options": asdict(run.options), "seconds": round(time.monotonic() - start)}
    return {**about, **found}


def make_all(
    chosen: Plan,
    data: Path,
    *,
    cache: Path | None = None,
    device: str = "auto",
    note: Callable[[str], None] = print,
) -> None:
    """Make every run that is not done, writing the tables before the first and after each."""
    write(chosen)
    for i, run in enumerate(chosen.todo, 1):
        if run.name not in chosen.results():
            note(f"[{i}/{len(chosen.todo)}] {run.name}")
            result = make(run, data, cache, device)
            note(f"[{i}/{len(chosen.todo)}] {run.name}: balanced accuracy {result['balanced_accuracy']:.4f}")
            chosen.keep(run, result)
            write(chosen)


def _points(results: list[Result], key: str) -> str:
    """Mean and each value, in percent; a dash where there is none."""
    values = [100 * result[key] for result in results if result[key] is not None]
    if not values:
        return "-"
    return f"{np.mean(values):.1f} ({', '.join(f'{value:.1f}' for value in values)})"


def section(chosen: Plan) -> list[str]:
    """The tables of all runs that are done, as Markdown."""
    done = chosen.results()
    about = next(iter(done.values()), None)
    photos = f"{about['n']} validation photos" if about else "the validation photos"
    lines = [
        f"## Ablations of {chosen.base.name}",
        "",
        "The questions are those of the paper's tables 1 to 3. **The data are not the paper's** (Visual Wake Words):",
        "these figures compare the variants with one another, and say nothing about the paper's accuracies. Float",
        f"networks, {photos}, in percent: the mean over the seeds and each of them. Differences within the spread of",
        "the seeds mean nothing.",
    ]
    options = chosen.runs[0].options
    if options.draws and not options.minutes:
        lines[-1] += f" Each run saw {options.epochs * options.draws:,} views of the training photos."
    configs = {run.variant.name: run.variant.config for run in chosen.runs}
    for table in chosen.tables:
        rows = []
        for text, name in table.lines:
            found = [done[run.name] for run in chosen.runs if run.variant.name == name and run.name in done]
            sizes = count(configs[name])
            cells = [text, f"{sizes.macs / 1e6:.2f} M", f"{sizes.weights / 1e3:.2f} KB"]
            cells += [_points(found, "balanced_accuracy"), _points(found, "accuracy")]
            cells.append(" ".join(str(result["options"]["seed"]) for result in found) or "-")
            rows.append(cells)
        lines += ["", f"### {table.heading}", "", *sections.table(COLUMNS, rows)]
    hours = sum(result["seconds"] for result in done.values()) / 3600
    lines += ["", f"{len(done)} of {len(chosen.runs)} runs are done, {hours:.1f} hours together. Made by:", ""]
    return [*lines, f"    {chosen.command}"]


def write(chosen: Plan) -> None:
    """Put :func:`section` into the plan's file, the rest of which is kept."""
    sections.write(chosen.out, MARK, section(chosen))
