"""Shared by the tests of rasca_nn: one thread, a folder of made-up photos, small networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rasca_nn.config import RaScaNetConfig, preset
from rasca_nn.model import RaScaNet


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, and sums must not depend on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny() -> RaScaNetConfig:
    return preset("tiny")


def trained(config: RaScaNetConfig, seed: int = 0) -> RaScaNet:
    """A network whose batch norms have seen some data, so that its values are of ordinary size."""
    torch.manual_seed(seed)
    model = RaScaNet(config)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 0.5
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    with torch.no_grad():
        for _ in range(4):
            model(pixels(config, 16).float())
    return model.eval()


def pixels(config: RaScaNetConfig, batch: int, seed: int = 0) -> torch.Tensor:
    """Smooth made-up images as network input, ``[batch, 3, h, w]``, -127..127."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, 3, 4, 4, generator=generator) * 80
    size = (config.height, config.width)
    fine = torch.nn.functional.interpolate(coarse, size, mode="bilinear") + 20 * torch.randn(
        batch, 3, *size, generator=generator
    )
    return fine.round().clamp(-127, 127)


def photo_bytes(config: RaScaNetConfig, batch: int, seed: int = 0) -> np.ndarray:
    """The same as bytes, uint8 ``[batch, h, w, 3]``."""
    return (pixels(config, batch, seed) + 127).byte().permute(0, 2, 3, 1).contiguous().numpy()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """48 made-up photos: bright ones are "persons"; boxes for half of those; four crops."""
    rng = np.random.default_rng(0)
    data = tmp_path / "persons"
    (data / "images").mkdir(parents=True)
    (data / "crops").mkdir()
    labels = ["file,label,source_dataset,original_id,original_size,split"]
    boxes = ["file,x1,y1,x2,y2,class"]
    for i in range(48):
        label = i % 2
        photo = rng.integers(0, 120, (210, 240, 3), dtype=np.uint8)
        photo[60:150, 80:160] += np.uint8(120 * label)
        Image.fromarray(photo).save(data / "images" / f"{i:02}.png")
        source = "coco_val2017" if i % 3 else "other"
        labels.append(f"{i:02}.png,{label},{source},{i:012},480x420,{'val' if i % 4 > 1 else 'train'}")
        if label and i % 4 == 1:
            boxes.append(f"{i:02}.png,80,60,160,150,person")
            boxes.append(f"{i:02}.png,0,0,20,20,chair")
    crops = ["file,label,source_dataset,original_id,crop_x;y;w;h,split"]
    for i in (1, 5):
        for label, window in ((1, "120;60;240;210"), (0, "0;0;120;105")):
            Image.fromarray(np.full((210, 240, 3), 200 * label, np.uint8)).save(data / "crops" / f"c{label}_{i}.png")
            crops.append(f"c{label}_{i}.png,{label},crop_of_coco_val2017,{i:012},{window},train")
    for name, lines in (("labels.csv", labels), ("boxes.csv", boxes), ("crops_labels.csv", crops)):
        (data / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return data
