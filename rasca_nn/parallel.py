"""One process or several: torchrun starts one for each GPU (or, with gloo, for each group of CPU cores).

Every process draws the same batches from the same generators and computes its share of each; gradients and the batch
norms' statistics are averaged, so all of them hold the same weights at all times.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist

from rasca_nn.options import TrainError

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Team:
    """This process's place among ``size`` and the device it computes on."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """Which part of a batch is this process's."""
        part = batch // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over all processes, in one transfer."""
        if self.size == 1:
            return
        parts = list(tensors)
        flat = torch.cat([part.reshape(-1) for part in parts])
        dist.all_reduce(flat)
        flat /= self.size
        for part, mean in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
            part.copy_(mean.view_as(part))

    def agree(self, value: float) -> float:
        """The first process's value, for all."""
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(told, 0)
        return float(told)

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            self.agree(0.0)


def choose_device(name: str, local: int = 0) -> torch.device:
    """The device ``auto``, ``cpu`` or ``cuda`` stands for; raises :class:`TrainError` where there is no such device."""
    if name not in DEVICES:
        raise TrainError(f"device must be one of {', '.join(DEVICES)}, not {name!r}")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise TrainError("device cuda: PyTorch finds no GPU here; use --device cpu, or install PyTorch's CUDA build")
    if local >= torch.cuda.device_count():
        raise TrainError(f"process {local} has no GPU; start {torch.cuda.device_count()} (torchrun --nproc-per-node)")
    return torch.device("cuda", local)


@contextmanager
def team(device: str = "auto") -> Iterator[Team]:
    """The processes torchrun started, or this one alone. Raises :class:`TrainError` for a device that is not there."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
        # The same seed gives the same weights: no algorithm is chosen by timing it.
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    if size == 1:
        yield Team(device=chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Team(dist.get_rank(), size, chosen)
    finally:
        dist.destroy_process_group()
