"""A VAE of your own: codes of real images, a prior fitted to them, and images from that prior.

python examples/your_own/vae_with_fitted_prior.py
"""

import torch
from torch import nn

import latentry as lt

torch.manual_seed(0)
digits = lt.load_dataset("digits")
x, images = digits.images(torch.arange(2000)).flatten(1), digits.images(torch.arange(2000, 2008))
encoder = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 16))
decoder = nn.Sequential(nn.Linear(8, 256), nn.ReLU(), nn.Linear(256, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))
optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)
for _ in range(800):
    batch = x[torch.randint(len(x), (64,))]
    mean, log_variance = encoder(batch).chunk(2, 1)
    z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
    divergence = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1)
    ((decoder(z).flatten(1) - batch).square().sum(1) + divergence).mean().backward()
    optimiser.step()
    optimiser.zero_grad()

codes = encoder(x).detach()[:, :8]
fitted = lt.fit_prior(codes, family="mixture", progress=None)
print(lt.goodness_of_fit(codes, lt.priors.Normal(8)).verdict)
print(f"{fitted.family} of {len(codes)} codes: {fitted.prior}")


def posterior(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return encoder(images.flatten(1)).chunk(2, 1)  # means and log variances


found = lt.recover_codes(decoder, images, fitted.prior, start=posterior, progress=None)
encoded = (decoder(posterior(images)[0]) - images).square().mean()
print(f"mean squared error: of the encoder {encoded:.3f}, recovered {found.reconstruction_error.mean():.3f}")
found.plot(images).savefig("vae_with_fitted_prior.png")
