"""`rasca camera`: photos in a row as a sensor sends them, at an accelerator's pins, against the integer model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rasca_nn import integer
from rasca_nn.data import load_image
from rtl_gen.camera import front_end, place
from rtl_gen.generate import load_camera, load_generated
from rtl_gen.realtime import report_real_time
from rtl_gen.sensor import load_sensor
from sim.camera import Window, frame_end, frame_pins, jitter, seen
from sim.pins import PinSimulator, stream
from sim.simulate import probability

DEFAULT_SENSOR = "ov7670-qvga"


def run_camera(
    folder: Path,
    images: Sequence[Path],
    *,
    sensor: str | None = None,
    clock_mhz: float | None = None,
    jitter_share: float = 0.1,
    seed: int = 1,
    note: Callable[[int, int, str], None] = lambda number, steps, name: None,
) -> dict[str, Any]:
    """The report; "ok" where every result equals the integer model's on the same crop, and nothing was lost.

    Parameters
    ----------
    folder : made by `rasca generate`; `sensor` and `clock_mhz` are its, unless given.
    jitter_share, seed : of pclk's periods.
    note : told of each step that begins: its number, how many there are, its name.

    Raises
    ------
    RascaError
        For a folder, photo or sensor that cannot be used, or an accelerator that does not keep up.
    """
    note(1, 4, "read folder and photos")
    made = load_generated(folder)
    own, own_clock = load_camera(folder) or (None, made.target.clock_mhz)
    chosen = own if own and sensor is None else load_sensor(sensor or DEFAULT_SENSOR)
    clock = own_clock if clock_mhz is None else clock_mhz
    config = made.model.config
    where = place(chosen, config)
    real_time = report_real_time(made, chosen, where, clock_mhz=clock)
    window = Window(where.left, where.top, where.factor, config.width, config.height)

    photos = [load_image(path, chosen.height, chosen.width) for path in images]
    words = np.concatenate([*(part for photo in photos for part in frame_pins(chosen, photo)), frame_end(chosen)])
    periods = jitter(len(words), 1e6 / chosen.pclk_mhz, jitter_share, np.random.default_rng(seed))
    note(2, 4, "compile front end and accelerator")
    machine = PinSimulator(front_end(chosen, config, where), made.params, clock_mhz=clock)
    note(3, 4, "simulate from the sensor's pins")
    run = machine.run(stream(words, periods), after_us=100 + 3 * real_time["latency"]["us"])

    note(4, 4, "run the integer model")
    crops = np.stack([window.apply(seen(chosen, photo)) for photo in photos])
    expected = integer.run(made.model, torch.from_numpy(crops))[-1]["classifier.output"].numpy()
    line_cycles = chosen.line_clocks * clock / chosen.pclk_mhz

    def times(cycles: int, name: str) -> dict[str, Any]:
        return {
            f"{name}_cycles": cycles,
            f"{name}_us": round(cycles / clock, 2),
            f"{name}_rows": round(cycles / line_cycles, 2),
        }

    frames = []
    for path, result, wanted, (latency, whole) in zip(images, run.results, expected, run.latencies, strict=False):
        frames.append(
            {
                "image": str(path),
                "class": result.klass,
                "label": "person" if result.klass == 1 else "no person",
                "probability": round(float(probability(made.model, np.array(result.logits))), 6),
                "logits": list(result.logits),
                "expected_logits": wanted.tolist(),
                "errors": result.errors,
                "equal": result.errors == 0 and list(result.logits) == wanted.tolist(),
                **times(latency, "latency"),
                **times(whole, "from_last_pixel"),
            }
        )
    complete = len(frames) == len(run.results) == len(images)
    return {
        "preset": config.name,
        "sensor": chosen.name,
        "clock_mhz": clock,
        "pclk_mhz": chosen.pclk_mhz,
        "jitter": jitter_share,
        "real_time": real_time,
        "frames": frames,
        "results": len(run.results),
        "spoiled": len(run.spoiled),
        "overflow": bool(run.overflow),
        "ok": complete and all(frame["equal"] for frame in frames) and not run.overflow and not run.spoiled,
    }
