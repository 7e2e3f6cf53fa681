"""Recover codes from a generator of your own: any `nn.Module` that maps codes to data.

Latentry takes the module as it is: no wrapper and no base class. Its modes and flags are the same afterwards.

    python examples/01_recover_from_a_module.py
"""

import torch
from torch import Tensor, nn

import latentry as lt


class Waves(nn.Module):
    """Eight numbers to a signal of 64 samples: amplitudes and phases of four frequencies."""

    time: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("time", torch.linspace(0, 1, 64))
        self.gain = nn.Parameter(torch.tensor([1.0, 0.7, 0.5, 0.4]))

    def forward(self, z: Tensor) -> Tensor:
        amplitude, phase = z[:, :4, None] * self.gain[:, None], z[:, 4:, None]
        turns = torch.arange(1, 5)[:, None] * self.time
        return (amplitude * torch.sin(2 * torch.pi * turns + phase)).sum(1)


def main() -> None:
    torch.manual_seed(0)
    generator, prior = Waves(), lt.priors.Normal(8)
    with torch.no_grad():
        signals = generator(prior.sample(64)) + 0.01 * torch.randn(64, 64)

    # a phase repeats every 2 pi, so many codes make the same signal; a little L2 prefers the likeliest of them
    found = lt.recover_codes(generator, signals, prior, regularizer=lt.regularizers.L2(), weight=1e-4, restarts=3)
    fit = lt.goodness_of_fit(found.z, prior)

    print(f"mean squared error of the signals: {found.reconstruction_error.mean():.5f} (noise alone: 0.00010)")
    print(f"Kolmogorov-Smirnov distance of the codes to the prior: {fit.statistic:.3f}, p = {fit.p_value:.3f}")
    print(fit.verdict)


if __name__ == "__main__":
    main()
