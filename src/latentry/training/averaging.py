"""Exponential moving average of weights, and batch statistics that belong to the averaged weights."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

__all__ = ["averaged_copy", "settle_batch_norm"]


def averaged_copy(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of a network's weights, warmed up so that the first steps do not linger.

    The decay of update t is min(decay, (1 + t) / (10 + t)).

    Raises:
        ValueError: `decay` is outside [0, 1).
    """
    if not 0 <= decay < 1:
        raise ValueError(f"expected an EMA decay in [0, 1), got {decay}")

    def average(averaged: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
        warmed = torch.as_tensor((1 + updates) / (10 + updates)).clamp(max=decay)
        return torch.lerp(current, averaged, warmed.to(averaged))

    return AveragedModel(network, avg_fn=average)


def settle_batch_norm(network: nn.Module, inputs: Iterable[Tensor]) -> None:
    """Replace running batch statistics by their exact average over `inputs`, as the present weights see them."""
    with torch.no_grad():
        update_bn(inputs, network)
