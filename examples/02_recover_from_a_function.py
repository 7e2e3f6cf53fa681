"""Recover codes from a plain function, and see what each regularizer makes of a question with many answers.

The function sums pairs of coordinates, so that every datum has a whole plane of codes. Which one recovery returns is up to
the regularizer. None leaves the free directions where the start, a sample, had them. L2 takes shorter codes than samples of
the prior are. A statistical distance takes codes that look like samples, if its weight is small: pressed harder, their
elements come to sit on the quantiles of the prior more regularly than any sample's, as the energy distance shows here. The
pooled p-value praises that; the test of single codes, which is two-sided, does not.

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
    for regularizer in (None, lt.regularizers.L2(), lt.StatisticalDistance("wasserstein"), lt.StatisticalDistance("energy")):
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
