"""Networks by name: a public class of this package and its arguments, as JSON, and nothing else."""

from typing import Any

from torch import nn

from latentry import networks

__all__ = ["from_record", "record"]


def record(network: nn.Module) -> dict[str, Any]:
    """The network's class and arguments, as JSON can hold them; its weights go elsewhere.

    Raises:
        ValueError: The network is not of a class that `latentry.networks` offers, so that no name could find it again.
    """
    name = type(network).__name__
    if getattr(networks, name, None) is not type(network):
        raise ValueError(
            f"expected a class that latentry.networks offers, got {name}; save your own module with safetensors and pass it "
            "to the functions of latentry as it is"
        )
    return {"class": name, "arguments": network.arguments}


def from_record(content: Any) -> nn.Module:
    """The network that `record` described, with fresh weights.

    Raises:
        ValueError: The record names no network of this version, or its arguments do not fit.
    """
    try:
        network: nn.Module = getattr(networks, content["class"])(**content["arguments"])
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"expected the class and the arguments of a network of this version of latentry ({error}); save it again"
        ) from None
    return network
