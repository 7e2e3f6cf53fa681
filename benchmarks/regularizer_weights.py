"""What a regularizer costs on real digits, and what it does for the codes.

    python benchmarks/regularizer_weights.py --out evidence/benchmarks/regularizer_weights.json

Held-out digits are recovered by the default solver, without a regularizer and with L2 at several weights. The generator did
not make these images, so no code is exact: a larger weight keeps the codes nearer to the prior and costs pixels.
"""

import argparse

import torch

import latentry as lt
from latentry.models.pretrained import installed_versions
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--weights", type=float, nargs="*", default=[0.001, 0.003, 0.01, 0.04])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    shipped = lt.load_model("digits-generator")
    generator, prior = shipped.generator, shipped.prior
    x = lt.load_dataset("digits").split("held-out").images(range(arguments.count))
    figures: dict[str, dict[str, float]] = {}
    for weight in (None, *arguments.weights):
        found = lt.recover_codes(
            generator,
            x,
            prior,
            restarts=arguments.restarts,
            rng=torch.Generator().manual_seed(arguments.seed),
            **({} if weight is None else {"regularizer": lt.regularizers.L2(), "weight": weight}),
        )
        fit = lt.goodness_of_fit(found.z, prior, rng=torch.Generator().manual_seed(0))
        figures["none" if weight is None else f"L2, {weight:g}"] = {
            "median_error": found.reconstruction_error.median().item(),
            "mean_error": found.reconstruction_error.mean().item(),
            "std": fit.std,
            "pooled_p_value": fit.p_value,
            "passes": float(fit.passes),
        }
    rows = [
        (name, f"{row['median_error']:.4f}", f"{row['mean_error']:.4f}", f"{row['std']:.2f}", f"{row['pooled_p_value']:.1g}")
        for name, row in figures.items()
    ]
    headings = ("regularizer", "median squared error", "mean", "std of codes", "pooled p")
    print_table(Table(f"{arguments.count} held-out digits", headings, tuple(rows)))
    if arguments.out:
        write_json(arguments.out, {"settings": vars(arguments), "versions": installed_versions(), "figures": figures})


if __name__ == "__main__":
    main()
