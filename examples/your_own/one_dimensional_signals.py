"""A generator of 1-D signals, recovered from noisy samples of which every second one is lost.

python examples/your_own/one_dimensional_signals.py
"""

import torch
from torch import nn

import latentry as lt

torch.manual_seed(0)
generator = nn.Sequential(
    nn.Linear(8, 64), nn.SiLU(), nn.Unflatten(1, (8, 8)),
    nn.ConvTranspose1d(8, 8, 8, 4, 2), nn.SiLU(), nn.ConvTranspose1d(8, 1, 8, 4, 2), nn.Flatten(),
).eval()  # fmt: skip
prior = lt.priors.Normal(8)
with torch.no_grad():
    clean = generator(prior.sample(6))  # (6, 128)
seen = torch.arange(128) % 2  # 1 where a sample is there, 0 where it is lost
noisy = clean + 0.2 * clean.std() * torch.randn_like(clean)
found = lt.recover_codes(generator, noisy, prior, mask=seen, progress=None)
variance = clean.var()
print(f"error over the variance: observed {(noisy - clean).square().mean() / variance:.3f},", end=" ")
print(f"recovered, lost samples too, {(found.x_hat - clean).square().mean() / variance:.3f}")
found.plot(noisy).savefig("one_dimensional_signals.png")
