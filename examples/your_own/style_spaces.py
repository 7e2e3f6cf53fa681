"""A style-based generator of your own, as StyleGAN is one: its spaces Z, W and W+.

Whatever has `mapping(z)` and `synthesis(ws)` will do. Here it is a small one with random weights.

    python examples/your_own/style_spaces.py
"""

import torch
from torch import Tensor, nn

import latentry as lt


class Style(nn.Module):
    num_ws = 3

    def __init__(self) -> None:
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 16))
        self.layers = nn.ModuleList(nn.Linear(16, 64) for _ in range(3))
        self.paint = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Unflatten(1, (1, 16, 16)))

    def synthesis(self, ws: Tensor, noise_mode: str = "const") -> Tensor:
        hidden = torch.ones(len(ws), 64)
        for layer, w in zip(self.layers, ws.unbind(1), strict=True):
            hidden = torch.sin(hidden * layer(w)) + hidden
        return self.paint(hidden)


torch.manual_seed(0)
spaces = lt.generators.style_spaces(Style().eval(), lt.priors.Normal(16))
images = spaces.z.generator(spaces.z.prior.sample(8)).detach()
for name, space in (("Z", spaces.z), ("W", spaces.w), ("W+", spaces.w_plus)):
    found = lt.recover_codes(space.generator, images, space.prior, progress=None)
    print(f"{name}: codes {space.generator.code_shape}, {int(found.met.sum())} of 8 images made again")
lt.recover_codes(spaces.w.generator, images, spaces.w.prior, progress=None).plot(images).savefig("style_spaces.png")
