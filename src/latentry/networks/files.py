"""Networks by name: a public class of this package and its arguments, as JSON, and nothing else."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentry import networks
from latentry.records import class_name, rebuilt

__all__ = ["from_record", "loaded", "record"]

_CLASSES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        networks.Cho2020Discriminator,
        networks.Cho2020Generator,
        networks.ConditionalFlow,
        networks.ConvolutionalEncoder,
        networks.DCGANDiscriminator,
        networks.DCGANGenerator,
        networks.FlowDecoder,
        networks.Perceptron,
        networks.PlainClassifier,
        networks.ResidualClassifier,
        networks.VectorEncoder,
        networks.Zheng2019Decoder,
        networks.Zheng2019Discriminator,
        networks.Zheng2019Encoder,
    )
}
"""All that a file may name."""


def record(network: nn.Module) -> dict[str, Any]:
    """The network's class and arguments, as JSON can hold them; its weights go elsewhere.

    Raises:
        ValueError: The network is not of a class that `latentry.networks` offers, so that no name could find it again.
    """
    way_out = "save your own module with safetensors and pass it to the functions of latentry as it is"
    return {"class": class_name(network, _CLASSES, "latentry.networks", way_out), "arguments": network.arguments}


def from_record(content: Any) -> nn.Module:
    """The network that `record` described, with fresh weights in single precision.

    Raises:
        ValueError: The record names no network of this version, or its arguments do not fit.
    """
    network: nn.Module = rebuilt(content, _CLASSES, "network")
    return network.float()


def loaded(content: Any, weights: Mapping[str, Tensor]) -> nn.Module:
    """The network that `record` described, with these weights in the precision that they have, half as single.

    torch's default dtype has no say: a network is the same wherever it is loaded.

    Raises:
        KeyError, RuntimeError: The weights are those of another network.
        ValueError: As in `from_record`.
    """
    network = from_record(content)
    for name, tensor in network.state_dict(keep_vars=True).items():
        if weights[name].dtype == torch.float64:
            tensor.data = tensor.data.double()
    network.load_state_dict(weights)
    return network
