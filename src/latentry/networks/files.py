"""Networks as JSON: the name of a public class of this package and its arguments."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentry.networks.cho2020 import Cho2020Discriminator, Cho2020Generator
from latentry.networks.conditional_flow import ConditionalFlow
from latentry.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from latentry.networks.encoder import ConvolutionalEncoder, VectorEncoder
from latentry.networks.flow_decoder import FlowDecoder
from latentry.networks.image_classifier import PlainClassifier, ResidualClassifier
from latentry.networks.perceptron import Perceptron
from latentry.networks.zheng2019 import Zheng2019Decoder, Zheng2019Discriminator, Zheng2019Encoder
from latentry.records import class_name, rebuilt

__all__ = ["from_record", "loaded", "record"]

_CLASSES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        Cho2020Discriminator,
        Cho2020Generator,
        ConditionalFlow,
        ConvolutionalEncoder,
        DCGANDiscriminator,
        DCGANGenerator,
        FlowDecoder,
        Perceptron,
        PlainClassifier,
        ResidualClassifier,
        VectorEncoder,
        Zheng2019Decoder,
        Zheng2019Discriminator,
        Zheng2019Encoder,
    )
}
"""All that a file may name."""


def record(network: nn.Module) -> dict[str, Any]:
    """The network's class and arguments, as JSON can hold them; its weights go elsewhere.

    Raises:
        ValueError: The network is not of a class that `latentry.networks` offers, so that no name could find it again.
    """
    way_out = "save your own module with safetensors and pass it to the functions of latentry as it is"
    name = class_name(network, _CLASSES, "latentry.networks", way_out)
    arguments: dict[str, Any] = network.arguments  # type: ignore[assignment]
    return {
        "class": name,
        "arguments": {key: record(value) if isinstance(value, nn.Module) else value for key, value in arguments.items()},
    }


def from_record(content: Any) -> nn.Module:
    """The network that `record` described, with fresh weights in single precision.

    Raises:
        ValueError: The record names no network of this version, or its arguments do not fit.
    """
    try:
        network: nn.Module = rebuilt(_with_parts_built(content), _CLASSES, "network")
    except RecursionError:
        raise ValueError("expected a network of few others, got one within another too often; save it again") from None
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


def _with_parts_built(content: Any) -> Any:
    """The record of a network with the networks in place of their records among its arguments."""
    arguments = content.get("arguments") if isinstance(content, Mapping) else None
    if not isinstance(arguments, Mapping):
        return content
    built = {key: from_record(value) if _is_record(value) else value for key, value in arguments.items()}
    return {**content, "arguments": built}


def _is_record(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"class", "arguments"}
