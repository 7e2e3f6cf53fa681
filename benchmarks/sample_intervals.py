"""How often the intervals of `evaluate_samples` hold what they are for, at small samples.

    python benchmarks/sample_intervals.py --replicates 500 --out evidence/benchmarks/sample_intervals.json

Features of pairs of known distributions are drawn again and again. An interval that is for samples of this size should hold
the mean over all replicates; one that is for the two distributions, their own distance, which follows from their moments.
What more replicates could change of a share of 95 % is 2 points at 500.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial

import torch
from torch import Tensor

from latentry.evaluation.extractor import CallableExtractor
from latentry.evaluation.samples import evaluate_samples
from latentry.numerics.frechet import gaussian_frechet_distance
from latentry.numerics.moments import moments
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

D = 8
LARGE = 200_000
Sampler = Callable[[int, torch.Generator], Tensor]


def normal(n: int, rng: torch.Generator, std: float = 1.0, shift: float = 0.0) -> Tensor:
    """Normal features, moved along the first coordinate."""
    x = std * torch.randn(n, D, generator=rng, dtype=torch.float64)
    x[:, 0] += shift
    return x


def skewed(n: int, rng: torch.Generator, scale: float = 1.0) -> Tensor:
    """Non-negative features with long tails that depend on each other, as a network's last layer has them."""
    x = torch.randn(n, D, generator=rng, dtype=torch.float64)
    return scale * (0.3 * x + 0.3 * x[:, :1]).exp()


CASES: dict[str, tuple[Sampler, Sampler]] = {
    "equal": (normal, normal),
    "near": (partial(normal, std=1.2, shift=0.3), normal),
    "far": (partial(normal, shift=2.0), normal),
    "skewed, equal": (skewed, skewed),
    "skewed, near": (partial(skewed, scale=1.2), skewed),
}


def probabilities(x: Tensor) -> Tensor:
    """Classes that a classifier would see in such features."""
    return (2 * x).softmax(1)


def distribution_values(case: str) -> dict[str, float]:
    """What the intervals for distributions are for: the values on one large sample of each, 0 where both are equal."""
    rng = torch.Generator().manual_seed(10**6)
    x, y = (make(LARGE, rng) for make in CASES[case])
    a, b = moments(x), moments(y)
    p = probabilities(x)
    found = {"score": (torch.xlogy(p, p).sum(1).mean() - torch.xlogy(p.mean(0), p.mean(0)).sum()).exp().item()}
    if case.endswith("equal"):
        return found | {"frechet_distance_limit": 0.0, "kernel_distance": 0.0}
    distance = gaussian_frechet_distance(a.mean, a.covariance, b.mean, b.covariance).item()
    return found | {"frechet_distance_limit": distance, "kernel_distance": kernel_limit(x, y)}


def kernel_limit(x: Tensor, y: Tensor) -> float:
    """The squared kernel distance: of E (x . y / d + 1)^3 by the first three moments, which takes no pairs of rows."""

    def raw(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        second = rows.mT @ rows / len(rows)
        third = torch.einsum("na,nb,nc->abc", rows, rows, rows) / len(rows)
        return rows.mean(0), second, third

    first, second, third = (a - b for a, b in zip(raw(x), raw(y), strict=True))
    d = x.shape[1]
    return (3 * first @ first / d + 3 * second.square().sum() / d**2 + third.square().sum() / d**3).item()


def replicate(case: str, n: int, seed: int) -> dict[str, tuple[float, float, float]]:
    """Value and ends of every interval of one pair of samples."""
    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(seed)
    generated, reference = (make(n, rng) for make in CASES[case])
    extractor = CallableExtractor(lambda x: x, probabilities, name="features")
    report = evaluate_samples(generated, reference, extractor, rng=rng)
    return {name: (found.value, found.low, found.high) for name, found in report.estimates.items()}


def coverage(case: str, n: int, replicates: int, pool: Executor | None) -> dict[str, float]:
    """Share of intervals that hold what they are for."""
    one = partial(replicate, case, n)
    found = list(map(one, range(replicates)) if pool is None else pool.map(one, range(replicates), chunksize=10))
    known = distribution_values(case)
    shares = {}
    for name in found[0]:
        values = torch.tensor([each[name] for each in found], dtype=torch.float64)
        truth = known.get(name, values[:, 0].mean().item())
        shares[name] = ((values[:, 1] <= truth) & (truth <= values[:, 2])).double().mean().item()
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=500)
    parser.add_argument("--sizes", type=int, nargs="+", default=[30, 100, 200])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out")
    arguments = parser.parse_args()
    cells = {}
    with ProcessPoolExecutor(arguments.workers) as processes:
        pool = processes if arguments.workers > 1 else None
        for case in CASES:
            for n in arguments.sizes:
                cells[f"{case}, n = {n}"] = coverage(case, n, arguments.replicates, pool)
    names = list(next(iter(cells.values())))
    rows = tuple((what, *(f"{100 * shares[name]:.1f}" for name in names)) for what, shares in cells.items())
    print_table(Table("Held by intervals of 95 %, in percent", ("samples", *names), rows))
    if arguments.out:
        write_json(arguments.out, {"replicates": arguments.replicates, "coverage": cells})


if __name__ == "__main__":
    main()
