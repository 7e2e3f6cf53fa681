"""A prior of your own: from `torch.distributions`, or any class that draws codes.

python examples/your_own/own_prior.py
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

import latentry as lt


class Ring:
    """Codes near a circle: nothing but their length and how to draw them is known."""

    latent_dim = 2

    def sample(self, shape: tuple[int, ...] = (), y: None = None, *, rng: torch.Generator | None = None) -> Tensor:
        angle = 6.2832 * torch.rand(*shape, 1, generator=rng)
        return (3 + 0.2 * torch.randn(*shape, 1, generator=rng)) * torch.cat([angle.cos(), angle.sin()], -1)


torch.manual_seed(0)
generator = nn.Sequential(nn.Linear(2, 40), nn.Tanh(), nn.Linear(40, 30)).eval()
tilted = MultivariateNormal(torch.tensor([1.0, -1.0]), torch.tensor([[1.0, 0.9], [0.9, 1.0]]))
priors: dict[str, Any] = {"multivariate normal": lt.priors.as_prior(tilted), "ring": Ring()}
for name, prior in priors.items():
    z = prior.sample((50,))
    found = lt.recover_codes(generator, generator(z).detach(), prior, progress=None)
    print(f"{name}: {int(found.met.sum())} of 50 data made again, codes to {(found.z - z).abs().max():.0e}")

fitted = lt.fit_prior(Ring().sample((1500,)), family="flow", rng=torch.Generator().manual_seed(0), progress=None)
print(f"the ring fitted by a {fitted.family}: {lt.goodness_of_fit(Ring().sample((500,)), fitted.prior).verdict}")
fitted.plot().savefig("own_prior.png")
