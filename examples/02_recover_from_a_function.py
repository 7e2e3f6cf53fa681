"""Recover codes from a plain function, and compare regularizers where many codes make the same datum.

The function adds pairs of coordinates. So every datum has a whole plane of codes, and the regularizer decides which one is
found. Without one, the free directions stay where the start had them. L2 gives codes that are shorter than samples of the
prior. A statistical distance gives codes that look like samples, if its weight is small. With a larger weight the elements
become more regular than those of any sample, as the energy distance shows here. The pooled p-value does not see this. The
test of single codes does, because it is two-sided.

    python examples/02_recover_from_a_function.py
"""

import torch
from torch import Tensor

import latentry as lt


def pair_sums(z: Tensor) -> Tensor:
    """64 numbers to 32 data."""
    return z[:, 0::2] + z[:, 1::2]


def main() -> None:
    prior = lt.priors.Normal(64)
    x = pair_sums(prior.sample(64, rng=torch.Generator().manual_seed(0)))

    headings = ("error of x", "std", "KS", "p", "p (codes)")
    print(f"{'regularizer':<16}" + "".join(f"{heading:>12}" for heading in headings) + "  fits the prior")
    for regularizer in (
        None,
        lt.regularizers.L2(),
        lt.regularizers.StatisticalDistance("wasserstein"),
        lt.regularizers.StatisticalDistance("energy"),
    ):
        found = lt.recover_codes(
            pair_sums,
            x,
            prior,
            solver=lt.solvers.Adam(steps=400),
            regularizer=regularizer,
            weight=None if regularizer is None else 0.003,
            restarts=1,
            rng=torch.Generator().manual_seed(1),
        )
        fit = lt.goodness_of_fit(found.z, prior)
        name = "none" if regularizer is None else getattr(regularizer, "distance", "L2")
        numbers = (found.reconstruction_error.mean().item(), fit.std, fit.statistic, fit.p_value, fit.uniformity_p_value)
        print(f"{name:<16}" + "".join(f"{number:>12.2g}" for number in numbers) + f"  {fit.passes}")


if __name__ == "__main__":
    main()
