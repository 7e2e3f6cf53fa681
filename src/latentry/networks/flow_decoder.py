"""A decoder behind a flow: from codes of which the last part is normal, whatever the first is."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.networks.conditional_flow import ConditionalFlow

__all__ = ["FlowDecoder"]


class FlowDecoder(nn.Module):
    """Codes (z_s, w) `(n, d)` to data: w is brought back to what the decoder knows by the flow of its companion z_s.

    Args:
        decoder: Codes (z_s, z_u) to data; a network, or the record of one of `latentry.networks`. Only such can be saved.
        flow: z_u with companion z_s to w; a network, or its arguments.

    Raises:
        ValueError: A record names no network of `latentry.networks`.
    """

    def __init__(self, decoder: nn.Module | dict[str, Any], flow: ConditionalFlow | dict[str, Any]) -> None:
        super().__init__()
        self.decoder = decoder if isinstance(decoder, nn.Module) else _files().from_record(decoder)
        self.flow = flow if isinstance(flow, ConditionalFlow) else ConditionalFlow(**flow)

    @property
    def arguments(self) -> dict[str, Any]:
        """What builds this network again."""
        return {"decoder": _files().record(self.decoder), "flow": self.flow.arguments}

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n *s"]:
        z_s, w = z.split([self.flow.arguments["context"], self.flow.arguments["dim"]], 1)
        return self.decoder(torch.cat([z_s, self.flow.inverse(w, z_s)], 1))


def _files() -> Any:
    """What knows all networks by name, and so imports this one."""
    from latentry.networks import files

    return files
