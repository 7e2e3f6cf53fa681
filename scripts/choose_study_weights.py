"""Choose the weight of each regularizer in `latentry study`, on validation digits only.

For each weight the codes of the first 64 validation digits are recovered with the settings of the study. The weight is kept
whose per-code p-values are closest to uniform (largest p-value of that test, two-sided by nature: neither too far from the
prior nor too regular); among equals the smaller reconstruction error wins.

    python scripts/choose_study_weights.py --out evidence/study_weights.json
"""

import argparse
from typing import Any

import torch

import latentry as lt
from latentry.latent.regularizers import Regularizer
from latentry.models.pretrained import installed_versions
from latentry.reports.progress import progress_bar
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json
from latentry.tasks.study.settings import StudySettings

WEIGHTS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
REGULARIZERS: dict[str, Regularizer] = {
    "L2": lt.regularizers.L2(),
    "wasserstein": lt.regularizers.StatisticalDistance("wasserstein"),
    "wasserstein2": lt.regularizers.StatisticalDistance("wasserstein2"),
    "energy": lt.regularizers.StatisticalDistance("energy"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="evidence/study_weights.json")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    study = StudySettings()
    shipped = lt.load_model(study.generator)
    prior = shipped.prior
    assert prior is not None
    x = lt.load_dataset(study.data).split("validation").images(range(study.count))
    rows: list[dict[str, Any]] = []
    with progress_bar() as track:
        for name, regularizer in REGULARIZERS.items():
            for weight in WEIGHTS:
                found = lt.recover_codes(
                    shipped.generator,
                    x,
                    prior,
                    solver=lt.solvers.Adam(steps=study.steps),
                    regularizer=regularizer,
                    weight=weight,
                    unit=1.0,  # images in [-1, 1]
                    restarts=study.restarts,
                    rng=torch.Generator().manual_seed(arguments.seed + 1),
                    progress=track(f"{name} {weight:g}"),
                )
                fit = lt.goodness_of_fit(found.z, prior, rng=torch.Generator().manual_seed(0))
                rows.append(
                    {
                        "regularizer": name,
                        "weight": weight,
                        "reconstruction_error": found.reconstruction_error.mean().item(),
                        "std": fit.std,
                        "ks": fit.statistic,
                        "p_value": fit.p_value,
                        "uniformity_p_value": fit.uniformity_p_value,
                    }
                )
    chosen = {
        name: max(
            (row for row in rows if row["regularizer"] == name),
            key=lambda row: (row["uniformity_p_value"], -row["reconstruction_error"]),
        )["weight"]
        for name in REGULARIZERS
    }
    table = Table(
        "Validation digits",
        ("regularizer", "weight", "pixel MSE", "std", "KS", "p", "p (per code)", "chosen"),
        tuple(
            (
                row["regularizer"],
                f"{row['weight']:g}",
                f"{row['reconstruction_error']:.4f}",
                f"{row['std']:.3f}",
                f"{row['ks']:.4f}",
                f"{row['p_value']:.2g}",
                f"{row['uniformity_p_value']:.2g}",
                "yes" if chosen[row["regularizer"]] == row["weight"] else "",
            )
            for row in rows
        ),
    )
    print_table(table)
    content = {
        "command": "python scripts/choose_study_weights.py",
        "settings": {"count": study.count, "restarts": study.restarts, "steps": study.steps, "seed": arguments.seed},
        "generator": shipped.fingerprint,
        "versions": installed_versions(),
        "rows": rows,
        "chosen": chosen,
    }
    write_json(arguments.out, content)


if __name__ == "__main__":
    main()
