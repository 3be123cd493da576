"""The state of a training run and one epoch of it; :mod:`rasca_nn.losses` says what is minimised."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rasca_nn.config import RaScaNetConfig
from rasca_nn.data import normalise
from rasca_nn.losses import Network, terms
from rasca_nn.metrics import ranking, report
from rasca_nn.model import RaScaNet
from rasca_nn.options import Options, TrainError
from rasca_nn.parallel import Team
from rasca_nn.torch_file import load_plain
from rasca_nn.training_data import TrainingData, draw, make_batch


def digest(state: dict[str, Tensor]) -> str:
    """Of a network's weights."""
    found = hashlib.sha256()
    for name, value in state.items():
        found.update(name.encode() + value.cpu().numpy().tobytes())
    return found.hexdigest()


class Trainer:
    """One run: the network, its averaged copy, the optimizer, and the epoch reached.

    ``beginning`` is what :meth:`start_from` will be given, if it is: a run that began elsewhere is not gone on with.
    """

    def __init__(
        self,
        config: RaScaNetConfig,
        options: Options,
        data: TrainingData,
        team: Team | None = None,
        beginning: RaScaNet | None = None,
    ) -> None:
        torch.manual_seed(options.seed)
        self.config, self.options, self.data = config, options, data
        self.origin = {"data": data.digest(), "init": digest(beginning.state_dict()) if beginning else ""}
        self.team = team or Team()
        device = self.team.device
        self.model = RaScaNet(config).to(device)
        self.place = nn.Conv1d(config.hidden, 2, 1).to(device)
        self.settling = [m for m in self.model.raster_att.modules() if isinstance(m, nn.BatchNorm1d)]
        for norm in self.settling:
            # They are updated once a step, so a frame counts like one batch.
            norm.momentum = 0.1 / config.steps
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}
        decay = [p for m in (self.model, self.place) for p in m.parameters() if p.dim() > 1]
        rest = [p for m in (self.model, self.place) for p in m.parameters() if p.dim() <= 1]
        self.parameters = decay + rest
        self.optimizer = torch.optim.AdamW(
            [{"params": decay, "weight_decay": options.weight_decay}, {"params": rest, "weight_decay": 0.0}],
            lr=options.learning_rate,
        )
        self.epoch = 0
        self.elapsed = 0.0
        self.started = time.monotonic()
        self.batches = (options.draws or len(data.train)) // options.batch
        if not self.batches:
            raise TrainError(f"batch {options.batch} is larger than an epoch of {options.draws or len(data.train)}")
        if options.batch % self.team.size:
            raise TrainError(f"batch {options.batch} cannot be shared equally by {self.team.size} processes")

    def start_from(self, model: RaScaNet) -> None:
        """Take over what fits, by name and shape, from a network of any configuration; if no layer does,
        :class:`TrainError`.
        """
        own = self.model.state_dict()
        fitting = {k: v for k, v in model.state_dict().items() if k in own and own[k].shape == v.shape}
        if not any(v.dim() > 1 for v in fitting.values()):
            raise TrainError(f"none of the weights of {model.config.name} fits {self.config.name}")
        self.model.load_state_dict(own | fitting)
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}

    def network(self, model: RaScaNet) -> Network:
        """What is trained and measured: the network itself."""
        return model

    def part(self, step: int) -> float:
        """How much of the run lies behind batch ``step``, 0..1: by number of batches, or by the clock."""
        if self.options.minutes:
            return self.team.agree(min(1.0, self.seconds() / (60 * self.options.minutes)))
        return step / (self.batches * self.options.epochs)

    def seconds(self) -> float:
        """Time spent on the run so far."""
        return self.elapsed + time.monotonic() - self.started

    def rate(self, part: float) -> float:
        """Learning rate at a part of the run: linear warm-up, then a cosine down to 1 % of the peak."""
        warm = self.options.warmup
        if part < warm:
            return self.options.learning_rate * max(0.01, part / warm)
        fall = (part - warm) / max(1e-9, 1 - warm)
        return self.options.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall)))

    def run_epoch(self, tick: Callable[[float, float], None]) -> dict[str, float]:
        """Train one epoch, or what the clock leaves of it; returns the mean of each loss term.

        ``tick`` is told the loss and the part of the run that is done.
        """
        options = self.options
        rng = np.random.default_rng((options.seed, self.epoch))
        self.model.train()
        sums: dict[str, float] = {}
        done = 1
        for i, (rows, want) in enumerate(draw(rng, self.data, options)):
            step = self.epoch * self.batches + i
            part = self.part(step)
            if part >= 1:
                break
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate(part)
            for norm in self.settling:
                norm.train(part < options.settle)
            divisor = 2 if part < options.small else 1
            batch = make_batch(rng, self.data, rows, want, self.config, options, divisor=divisor, team=self.team)
            losses = terms(self.network(self.model), self.model.classifier, self.place, batch, options)
            self._step(torch.stack(list(losses.values())).sum())
            self._follow(min(options.ema, (1 + step) / (10 + step)))
            values = torch.stack(list(losses.values())).detach()
            self.team.average([values])
            if not torch.isfinite(values).all():
                raise TrainError(f"the loss is no longer finite in epoch {self.epoch + 1}; lower the learning rate")
            for name, value in zip(losses, values.tolist(), strict=True):
                sums[name] = sums.get(name, 0.0) + value
            done = i + 1
            tick(float(values.sum()), part)
        self.epoch += 1
        return {name: total / done for name, total in sums.items()}

    def _step(self, loss: Tensor) -> None:
        """One step of the optimizer, with the gradients and statistics of all processes."""
        self.optimizer.zero_grad()
        loss.backward()
        self.team.average(p.grad for p in self.parameters if p.grad is not None)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.team.average(b for b in self.model.buffers() if b.is_floating_point())

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        """Let the averaged weights follow."""
        for key, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[key].lerp_(value, 1 - decay)
            else:
                self.average[key].copy_(value)

    @property
    def done(self) -> bool:
        """Whether the run is over."""
        return self.part(self.epoch * self.batches) >= 1

    def averaged(self) -> RaScaNet:
        """The network with the averaged weights, for use, on the CPU."""
        model = RaScaNet(self.config)
        model.load_state_dict(self.average)
        return model.eval()

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """:func:`rasca_nn.metrics.report` of the averaged network on the validation split, and ``auc`` beside it.

        The decision is moved to where both classes err equally only when the run is over; ``auc`` is free of it.
        """
        network, val = self.network(self.averaged().to(self.team.device)), self.data.val
        parts = []
        for i in range(0, len(val), 64):
            images = torch.from_numpy(normalise(val.images[i : i + 64])).to(self.team.device)
            state = network.scan(images.permute(0, 3, 1, 2).float())[-1]
            parts.append(network.classify(network.pool(state)).cpu())
        logits = torch.cat(parts)
        auc = ranking(val.labels, (logits[:, 1] - logits[:, 0]).double().numpy())
        return report(val.labels, logits.argmax(1).numpy(), val.sources()) | {"auc": auc}

    def state(self) -> dict[str, Any]:
        """Everything a resume needs."""
        return {
            "config": self.config.to_dict(),
            "options": asdict(self.options),
            "origin": self.origin,
            "epoch": self.epoch,
            "elapsed": self.seconds(),
            "model": self.model.state_dict(),
            "place": self.place.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }

    def save(self, path: Path) -> None:
        """Write :meth:`state`; an interrupted write leaves the previous file."""
        partial = path.with_suffix(".partial")
        torch.save(self.state(), partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same configuration, options, data and beginning; another is a
        :class:`TrainError`.
        """
        state = load_plain(path)
        same = {"config": self.config.to_dict(), "options": asdict(self.options), "origin": self.origin}
        try:
            for key, now in same.items():
                changed = [k for k, v in now.items() if state[key].get(k) != v]
                if changed:
                    raise TrainError(f"{path}: was made with another {', '.join(changed)}; keep it or start anew")
            self.load(state)
        except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            raise TrainError(f"{path}: is no checkpoint of such a run ({error}); delete it to start anew") from None

    def load(self, state: dict[str, Any]) -> None:
        """Take over :meth:`state`."""
        self.model.load_state_dict(state["model"])
        self.place.load_state_dict(state["place"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = {key: value.to(self.team.device) for key, value in state["average"].items()}
        self.epoch, self.elapsed = state["epoch"], state["elapsed"]
