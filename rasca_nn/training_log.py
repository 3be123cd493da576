"""log.csv of a training run, one row a measurement, and its curves as a picture."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from rasca_nn.figure import write_png


class TrainingLog:
    """Rows kept in ``folder/log.csv``, drawn in ``folder/curves.png``; both are replaced as a whole, so never torn."""

    def __init__(self, folder: Path, epoch: int) -> None:
        """Take over the rows up to ``epoch``, which is where the run goes on; later ones are measured anew."""
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        path = folder / "log.csv"
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as stream:
                self.rows = [row for row in csv.DictReader(stream) if (row.get("epoch") or "").isdigit()]
            self.rows = [row for row in self.rows if int(row["epoch"]) <= epoch]

    def add(self, row: dict[str, Any]) -> None:
        """Append a measurement."""
        self.rows.append(row)
        partial = self.folder / "log.csv.partial"
        with partial.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(row), restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(self.rows)
        partial.replace(self.folder / "log.csv")
        self.draw()

    def draw(self) -> None:
        """Loss terms above, balanced accuracies below, over the epochs."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 6.4), layout="constrained")
        losses, accuracy = figure.subplots(2, 1, sharex=True)
        epochs = [int(row["epoch"]) for row in self.rows]
        for name in self.rows[-1]:
            values = [float(row.get(name) or "nan") for row in self.rows]
            if name.startswith("balanced_") or name == "auc":
                accuracy.plot(epochs, values, ".-", label=name.removeprefix("balanced_"))
            elif name not in ("epoch", "seconds"):
                losses.plot(epochs, values, ".-", label=name)
        losses.set_ylabel("loss, training views")
        accuracy.set_ylabel("balanced accuracy and AUC, validation")
        accuracy.set_xlabel("epoch")
        for axes in (losses, accuracy):
            axes.grid(color="0.9")
            axes.legend()
        write_png(figure, self.folder / "curves.png")
