"""The floor of Frechet distances: real images against other real images.

    python benchmarks/real_to_real.py --out evidence/benchmarks/real_to_real.json

For digits and Fashion-MNIST, through the features that the tables of priors are seen through: the training split against the
held-out split, and two halves of the training split against each other, at equal counts. A generator cannot be told from the
data below such a distance.
"""

import argparse

import torch

import latentry as lt
from latentry.evaluation.extractor import ClassifierExtractor
from latentry.models.pretrained import installed_versions
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

READERS = {"digits": "digits-evaluator", "fashion-mnist": "fashion-evaluator"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=list(READERS), choices=list(READERS))
    parser.add_argument("--count", type=int, default=10000, help="most images on a side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    figures: dict[str, dict[str, float]] = {}
    for name in arguments.data:
        extractor = ClassifierExtractor(lt.load_model(READERS[name]).network)
        data = lt.load_dataset(name)
        train, held_out = data.split("train"), data.split("held-out")
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(arguments.seed))
        half = len(train) // 2
        pairs = {
            "training against held-out": (train.images(order), held_out.images()),
            "halves of training": (train.images(order[:half]), train.images(order[half:])),
        }
        for kind, sides in pairs.items():
            count = min(arguments.count, *map(len, sides))
            first, second = (side[:count] for side in sides)
            report = lt.evaluate_samples(
                first, second, extractor, max_rows=2000, halves=2, batch_size=500, rng=torch.Generator().manual_seed(0)
            )
            found = report.estimates["frechet_distance"]
            figures[f"{name}: {kind}"] = {"count": count, "value": found.value, "low": found.low, "high": found.high}

    rows = [
        (name, f"{row['count']:,}", f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")
        for name, row in figures.items()
    ]
    print_table(Table("Real against real", ("images", "count on a side", "Frechet distance"), tuple(rows)))
    if arguments.out:
        write_json(arguments.out, {"settings": vars(arguments), "versions": installed_versions(), "figures": figures})


if __name__ == "__main__":
    main()
