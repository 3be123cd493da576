"""A photo with the confidence beside each row group."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from sim.simulate import Simulated

matplotlib.use("Agg")


def draw(found: Simulated, out: Path) -> None:
    """Writes a PNG: the photo as the network sees it, a colour for each row group, and the curve of the confidence."""
    import matplotlib.pyplot as plt

    height = found.pixels.shape[0]
    steps = len(found.confidence)
    rows = height // steps
    figure, (photo, bar, curve) = plt.subplots(
        1, 3, figsize=(8, 4.2), width_ratios=(6, 0.4, 2.4), layout="constrained", sharey=True
    )
    photo.imshow(found.pixels, aspect="auto", extent=(0, found.pixels.shape[1], height, 0))
    photo.set_title(f"{found.image.name}: {found.to_dict()['label']}, {found.probability:.3f}")
    photo.set_xticks([])
    photo.set_ylabel("row")
    bar.imshow(
        found.confidence[:, None], aspect="auto", cmap="coolwarm", vmin=0, vmax=1, extent=(0, 1, steps * rows, 0)
    )
    bar.set_xticks([])
    curve.step([found.confidence[0], *found.confidence], [rows * i for i in range(steps + 1)], where="pre", color="0.2")
    curve.axvline(0.5, color="0.8", zorder=0)
    curve.set_xlim(0, 1)
    curve.set_xlabel("confidence after the rows above")
    state = "all equal" if found.comparison.mismatches == 0 else f"{found.comparison.mismatches} mismatches"
    figure.suptitle(f"{found.cycles:,} cycles, {found.comparison.compared:,} values compared, {state}", fontsize=9)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)
    plt.close(figure)
