"""Budgets of fpga/budgets.toml, and whether a build keeps them."""

from __future__ import annotations

import tomllib
from pathlib import Path

from fpga.build import BuildReport
from rasca_nn.errors import RascaError

FILE = Path(__file__).with_name("budgets.toml")


class OverBudget(RascaError):
    """A build takes more, or is slower, than was committed."""


def budget(board: str, model: str) -> dict[str, float]:
    """The committed numbers, or none where nothing was committed."""
    return tomllib.loads(FILE.read_text()).get(board, {}).get(model, {})


def check(report: BuildReport, limits: dict[str, float]) -> None:
    """Raise OverBudget with every number that is broken, and by how much."""
    broken = [
        f"{name} {report.used[name]:,}, {report.used[name] - most:,} more than {most:,}"
        for name, most in limits.items()
        if name != "fmax_mhz" and report.used[name] > most
    ]
    least = limits.get("fmax_mhz", 0)
    if report.fmax_mhz < least:
        broken.append(f"fmax_mhz {report.fmax_mhz:g}, {least - report.fmax_mhz:.2f} less than {least:g}")
    if broken:
        raise OverBudget(f"over the budget of {FILE.name}: {'; '.join(broken)}")
