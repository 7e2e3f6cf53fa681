"""The channels-last memory layout, in which convolutions run fastest."""

import torch
from torch import nn

__all__ = ["channels_last"]


def channels_last(network: nn.Module) -> nn.Module:
    """The same network with its convolutions laid out channels last: faster on CPUs and on tensor cores, equal results.

    On two CPU cores a forward and backward pass of the DCGAN generator takes about two thirds of the time.
    """
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent from torch's stubs
