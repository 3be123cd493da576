"""Convolutions behind the heads, where all is kept as ``[channels, batch, columns]``: one matrix product each."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def convolve(weight: Tensor, x: Tensor) -> Tensor:
    """A kernel ``[out, in, 1 or 3]`` (padding 1 for 3) over the columns of ``x`` ``[in, B, n]``: ``[out, B, n]``."""
    if weight.shape[2] == 3:
        # The three shifted copies one above the other make one matrix product of it.
        padded = F.pad(x, (1, 1))
        n = x.shape[2]
        x = torch.cat([padded[:, :, k : k + n] for k in range(3)])
        matrix = weight.permute(0, 2, 1).flatten(1)
    else:
        matrix = weight[:, :, 0]
    return (matrix @ x.flatten(1)).view(-1, *x.shape[1:])


def conv1d(layer: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution of kernel 1 or 3 (padding 1) over the columns of ``x`` ``[in, B, n]``, giving ``[out, B, n]``."""
    y = convolve(layer.weight, x)
    return y if layer.bias is None else y + layer.bias[:, None, None]


def row_groups(x: Tensor, rows: int) -> Tensor:
    """Images ``[B, 3, h, w]`` to row groups ``[B * T, 3, rows, w]``; left-over bottom rows are dropped."""
    batch, _, height, width = x.shape
    steps = height // rows
    groups = x.permute(0, 2, 3, 1)[:, : steps * rows].reshape(batch * steps, rows, width, 3)
    return groups.permute(0, 3, 1, 2)


def batch_norm(layer: nn.Module, x: Tensor) -> Tensor:
    """A BatchNorm1d over ``x`` ``[channels, B, n]``."""
    y: Tensor = layer(x.flatten(1).unsqueeze(0))
    return y.view_as(x)
