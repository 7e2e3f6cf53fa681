"""Recover codes from a plain function, and see what each regularizer makes of a question with many answers.

The function sums pairs of coordinates, so that every datum has a whole plane of codes. Which one recovery returns is up to
the regularizer: L2 takes the shortest, which no sample of the prior is; a statistical distance takes one that looks like a
sample.

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

    print(f"{'regularizer':<28}{'error of x':>12}{'std':>8}{'KS':>8}{'p':>10}  fits the prior")
    for regularizer in (None, lt.L2(), lt.StatisticalDistance("wasserstein"), lt.StatisticalDistance("energy")):
        found = lt.recover_codes(
            pair_sums,
            x,
            prior,
            regularizer=regularizer,
            weight=0.02,
            restarts=1,
            steps=400,
            rng=torch.Generator().manual_seed(1),
        )
        fit = lt.goodness_of_fit(found.z, prior)
        name = "none" if regularizer is None else getattr(regularizer, "distance", "L2")
        error = found.reconstruction_error.mean().item()
        print(f"{name:<28}{error:>12.5f}{fit.std:>8.3f}{fit.statistic:>8.3f}{fit.p_value:>10.2g}  {fit.passes}")


if __name__ == "__main__":
    main()
