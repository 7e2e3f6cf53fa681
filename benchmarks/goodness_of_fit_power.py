"""What the report on codes sees, and what its p-values are worth.

    python benchmarks/goodness_of_fit_power.py

1. Share of reports that do not pass, for samples of the prior and for codes with one known fault each.
2. Largest difference between the p-values of Cramer-von Mises and Anderson-Darling and simulation, over the whole range.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

import latentry as lt
from latentry.evaluation.proportions import share
from latentry.models.pretrained import installed_versions
from latentry.numerics.goodness_of_fit import ad_p_value, ad_statistic, cvm_p_value, cvm_statistic
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

Fault = Callable[[Tensor, torch.Generator], Tensor]


def scaled(z: Tensor, rng: torch.Generator, factor: float) -> Tensor:
    return factor * z


def clipped(z: Tensor, rng: torch.Generator, end: float) -> Tensor:
    return z.clamp(-end, end)


def one_clipped(z: Tensor, rng: torch.Generator, end: float) -> Tensor:
    return torch.cat([z[:1].clamp(-end, end), z[1:]])


def one_factor(z: Tensor, rng: torch.Generator, correlation: float) -> Tensor:
    """Normal codes with a common factor: coordinates have plus or minus this correlation, which is of rank 1."""
    signs = 2.0 * torch.randint(0, 2, (z.shape[1],), generator=rng) - 1
    return (1 - correlation) ** 0.5 * z + correlation**0.5 * torch.randn(len(z), 1, generator=rng) * signs


def on_the_quantiles(z: Tensor, rng: torch.Generator, prior: lt.priors.IIDPrior) -> Tensor:
    d = z.shape[1]
    quantiles = prior.marginal.icdf((torch.arange(d) + 0.5) / d)
    return torch.stack([quantiles[torch.randperm(d, generator=rng)] for _ in z])


def one_on_the_quantiles(z: Tensor, rng: torch.Generator, prior: lt.priors.IIDPrior) -> Tensor:
    return torch.cat([on_the_quantiles(z[:1], rng, prior), z[1:]])


def one_length(z: Tensor, rng: torch.Generator) -> Tensor:
    return z.shape[1] ** 0.5 * z / z.norm(dim=1, keepdim=True)


def cases(codes: int) -> list[tuple[str, lt.priors.IIDPrior, int, Fault]]:
    """Name, prior, number of codes and fault of each row."""
    normal = lt.priors.Normal(64)
    rows: list[tuple[str, lt.priors.IIDPrior, int, Fault]] = []
    for kind in (lt.priors.Normal, lt.priors.Uniform, lt.priors.HalfUniformHalfNormal):
        rows.append(("none", kind(64), codes, partial(scaled, factor=1.0)))
        rows += [("std 0.98", kind(d), codes, partial(scaled, factor=0.98)) for d in (64, 128)]
        rows.append(("on the quantiles", kind(64), 4, partial(on_the_quantiles, prior=kind(64))))
    rows += [(f"clipped at {end:g}", normal, codes, partial(clipped, end=end)) for end in (2.0, 2.5)]
    rows.append(("clipped at 1, one code alone", lt.priors.Normal(256), 1, partial(clipped, end=1.0)))
    rows.append(("clipped at 1, one code among the rest", normal, codes, partial(one_clipped, end=1.0)))
    rows.append(("one code on the quantiles", normal, codes, partial(one_on_the_quantiles, prior=normal)))
    rows += [(f"correlation {r:g}", normal, codes, partial(one_factor, correlation=r)) for r in (0.02, 0.04)]
    rows.append(("all of one length", normal, codes, one_length))
    return rows


def largest_difference(name: str, size: int, samples: int, rng: torch.Generator) -> float:
    """Largest distance between the p-values of simulated samples of the distribution and the uniform distribution."""
    parts = []
    for _ in range(-(-samples // 10_000)):
        u = torch.rand(10_000, size, generator=rng, dtype=torch.float64)
        if name == "CvM":
            parts.append(cvm_p_value(cvm_statistic(u), size))
        else:
            parts.append(ad_p_value(ad_statistic(u.log(), torch.log1p(-u)), size))
    p = torch.cat(parts).sort().values
    return (p - (torch.arange(len(p), dtype=torch.float64) + 0.5) / len(p)).abs().max().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100, help="reports in each row")
    parser.add_argument("--codes", type=int, default=256)
    parser.add_argument("--samples", type=int, default=1_000_000, help="simulated samples behind each p-value difference")
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    found, rows = [], []
    for number, (fault, prior, codes, spoil) in enumerate(cases(arguments.codes)):
        rng = torch.Generator().manual_seed(number)
        fits = [
            lt.goodness_of_fit(spoil(prior.sample(codes, rng=rng), rng), prior, rng=rng) for _ in range(arguments.trials)
        ]
        failed = share(torch.tensor([not fit.passes for fit in fits]))
        most = Counter(fit.worst.name for fit in fits if not fit.passes).most_common(1)
        shape = f"{codes} x {prior.latent_dim}"
        rows.append((fault, type(prior).__name__, shape, str(failed), most[0][0] if most else ""))
        found.append(
            {"fault": fault, "prior": type(prior).__name__, "codes": codes, "d": prior.latent_dim, "failed": vars(failed)}
        )
    title = f"Reports that do not pass, of {arguments.trials}"
    print_table(Table(title, ("fault", "prior", "codes", "failed, 95 % interval", "most often by"), tuple(rows)))

    rng = torch.Generator().manual_seed(0)
    differences = {
        f"{name}, {size} values": largest_difference(name, size, arguments.samples, rng)
        for name in ("CvM", "AD")
        for size in (2, 4, 8, 64)
    }
    note = f"The same for exact p-values in 95 % of cases: below {1.36 / arguments.samples**0.5:.1e}."
    lines = tuple((test, f"{difference:.1e}") for test, difference in differences.items())
    print_table(Table("p-values against simulation", ("test", "largest difference"), lines, note))
    if arguments.out:
        content = {
            "settings": vars(arguments),
            "versions": installed_versions(),
            "failed": found,
            "largest_differences": differences,
        }
        write_json(arguments.out, content)


if __name__ == "__main__":
    main()
