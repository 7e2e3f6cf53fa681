"""A conditional generator G(z, y) of your own: each datum has its condition, which goes along with its codes.

python examples/your_own/conditional_generator.py
"""

import torch
from torch import Tensor, nn

import latentry as lt


class Conditional(nn.Module):
    """Codes of 6 and one of three labels to a signal whose frequency is that of the label."""

    def __init__(self) -> None:
        super().__init__()
        self.shape = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 64))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        time = torch.linspace(0, 6.28, 64)
        return self.shape(z) * torch.sin((y[:, None] + 1) * time) + 0.2 * z[:, :1]


torch.manual_seed(0)
generator, prior = Conditional().eval(), lt.priors.Normal(6)
z, y = prior.sample(9), torch.arange(9) % 3
x = generator(z, y).detach()
found = lt.recover_codes(generator, x, prior, condition=y, progress=None)
wrong = lt.recover_codes(generator, x, prior, condition=(y + 1) % 3, progress=None)
print(f"with their own labels {int(found.met.sum())} of 9 signals are made again, with others {int(wrong.met.sum())}")
print(f"largest error of a code: {(found.z - z).abs().max():.0e}")
found.plot(x).savefig("conditional_generator.png")
