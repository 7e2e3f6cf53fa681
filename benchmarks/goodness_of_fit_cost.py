"""What testing codes against their prior costs, beside scipy.

    python benchmarks/goodness_of_fit_cost.py

1. Kolmogorov-Smirnov, Cramer-von Mises and Anderson-Darling together, from codes to p-values, on 1000 codes of 256 elements,
   against scipy's vectorised Kolmogorov-Smirnov test alone: once as people write it, with `stats.norm.cdf`, and once with
   the bare `scipy.special.ndtr`, which spares scipy the checks of its arguments. Aim: at least 5 times faster.
2. The whole report on 256 codes against the same.

Both sides of a row are timed in turn, run by run; a row gives medians and the median of the ratios. Tables of exact
distributions are made once in a process, in the run before the timed ones; what that costs is stated too.
"""

import argparse

import torch
from scipy import special, stats
from timing import paired, seconds

import latentry as lt
from latentry.evaluation.code_distances import code_distances
from latentry.models.pretrained import installed_versions
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--codes", type=int, default=1000)
    parser.add_argument("--d", type=int, default=256)
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    prior = lt.priors.Normal(arguments.d)
    z = prior.sample(arguments.codes, rng=torch.Generator().manual_seed(0)).double()
    numbers, few = z.numpy(), z[:256]

    def three() -> object:
        return code_distances(z, prior)

    def report() -> object:
        return lt.goodness_of_fit(few, prior)

    first_use = seconds(three)
    p_values = code_distances(z, prior)["KS"].p_value.numpy()
    difference = abs(p_values - stats.ks_1samp(numbers, stats.norm.cdf, axis=1).pvalue).max()
    figures = {
        "three tests / scipy KS": paired(three, lambda: stats.ks_1samp(numbers, stats.norm.cdf, axis=1), arguments.runs),
        "three tests / scipy KS, bare cdf": paired(
            three, lambda: stats.ks_1samp(numbers, special.ndtr, axis=1), arguments.runs
        ),
        f"whole report on {len(few)} codes / scipy KS on them": paired(
            report, lambda: stats.ks_1samp(few.numpy(), stats.norm.cdf, axis=1), arguments.runs
        ),
    }

    rows = [
        (name, f"{1e3 * first:.2f}", f"{1e3 * second:.2f}", f"{ratio:.3f}", f"{1 / ratio:.1f}x")
        for name, (first, second, ratio) in figures.items()
    ]
    note = (
        f"First use, with its tables: {1e3 * first_use:.0f} ms. "
        f"Largest difference of a Kolmogorov-Smirnov p-value to scipy: {difference:.1g}."
    )
    title = f"{arguments.codes} x {arguments.d} codes, {torch.get_num_threads()} thread(s)"
    print_table(Table(title, ("first / second", "first ms", "second ms", "ratio", "inverse"), tuple(rows), note))
    if arguments.out:
        content = {
            "settings": vars(arguments) | {"threads": torch.get_num_threads()},
            "versions": installed_versions(),
            "figures": {
                name: dict(zip(("first_s", "second_s", "ratio"), row, strict=True)) for name, row in figures.items()
            },
            "first_use_s": first_use,
            "largest_ks_p_value_difference": float(difference),
        }
        write_json(arguments.out, content)


if __name__ == "__main__":
    main()
