"""A decoder after a flow: from codes whose last part is normal, whatever the first part is."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.networks.conditional_flow import ConditionalFlow

__all__ = ["FlowDecoder"]


class FlowDecoder(nn.Module):
    """Codes (z_s, w) `(n, d)` to data: w is brought back to what the decoder knows by the flow of its companion z_s.

    Args:
        decoder: Codes (z_s, z_u) to data; only a network of `latentry.networks` can be saved.
        flow: z_u with companion z_s to w; a network, or its arguments.
    """

    def __init__(self, decoder: nn.Module, flow: ConditionalFlow | dict[str, Any]) -> None:
        super().__init__()
        self.decoder = decoder
        self.flow = flow if isinstance(flow, ConditionalFlow) else ConditionalFlow(**flow)

    @property
    def arguments(self) -> dict[str, Any]:
        """What builds this network again."""
        return {"decoder": self.decoder, "flow": self.flow.arguments}

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n *s"]:
        z_s, w = z.split([self.flow.arguments["context"], self.flow.arguments["dim"]], 1)
        return self.decoder(torch.cat([z_s, self.flow.inverse(w, z_s)], 1))
