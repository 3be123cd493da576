"""Quantisation-aware training: fine-tuning a trained network as the integer model that will be made from it.

The scales are chosen once, on photos, before the first epoch, and kept in every file; weights, biases and the running
statistics folded into them are what ``rasca quantize`` will round, and each step trains their rounded values
(:mod:`rasca_nn.fake_quant`). Batch norms keep the running statistics they came with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rasca_nn.calibrate import observe
from rasca_nn.fake_quant import FakeQuantNet
from rasca_nn.float_file import state_faults
from rasca_nn.fold import fold
from rasca_nn.losses import Network
from rasca_nn.model import RaScaNet
from rasca_nn.options import TrainError
from rasca_nn.scheme import Scheme, choose_scheme
from rasca_nn.trainer import Trainer

PHOTOS = 200
"""Photos the scales are chosen on."""


class QatTrainer(Trainer):
    """A run through the integer model; :meth:`prepare` or :meth:`resume` comes before the first epoch."""

    scheme: Scheme

    def prepare(self, model: RaScaNet, photos: NDArray[np.uint8]) -> None:
        """Start from a trained network of the same configuration, with scales chosen on photos ``[N, h, w, 3]``."""
        faults = state_faults(model.state_dict(), self.model)
        if faults:
            raise TrainError(f"quantisation-aware training needs all weights of {self.config.name}: {faults[0]}")
        self.start_from(model)
        self.scheme = choose_scheme(self.config, observe(model, photos), fold(model))

    def network(self, model: RaScaNet) -> Network:
        """The integer model of these weights."""
        return FakeQuantNet(model, self.scheme)

    def state(self) -> dict[str, Any]:
        """Everything a resume needs."""
        return super().state() | {"scheme": self.scheme.to_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Take over :meth:`state`."""
        self.scheme = Scheme.from_dict(state["scheme"])
        super().load(state)
