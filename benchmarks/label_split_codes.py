"""Swaps and leak of the shipped label split, both on one and the same code.

    python benchmarks/label_split_codes.py --out evidence/benchmarks/label_split_codes.json

A label split gives each image two codes: the posterior means, and draws from the posterior. This asks the same two questions
of either code, on held-out digits:

- *Swaps*: z_s of each digit goes with z_u of another digit of another label. How often does the evaluation classifier
  predict the label of z_s?
- *Leak*: how many points above the commonest class does a fresh probe name the label from z_u alone? Probes are fitted to
  codes of training digits and chosen on validation digits.

The evaluation classifier and the probes had no part in training the model.
"""

import argparse

import torch
from torch import Tensor

import latentry as lt
from latentry.evaluation.probes import HeldOutProbe, probe_held_out
from latentry.evaluation.proportions import Share, share
from latentry.models.classifier import predict_labels
from latentry.models.pretrained import installed_versions
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

SPLITS = ("train", "validation", "held-out")


def of_another_label(y: Tensor, rng: torch.Generator) -> Tensor:
    """For each datum the index of one of another label, at random."""
    return torch.multinomial((y[:, None] != y).double(), 1, generator=rng)[:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=10000, help="most digits of each split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    split = lt.load_model("digits-split")
    evaluator = lt.load_model("digits-evaluator").network
    data = lt.load_dataset("digits")
    rng = torch.Generator().manual_seed(arguments.seed)
    images: dict[str, Tensor] = {}
    labels: dict[str, Tensor] = {}
    for name in SPLITS:
        part = data.split(name)
        images[name] = part.images(range(min(arguments.codes, len(part))))
        labels[name] = part.labels[: len(images[name])]
    y = labels["held-out"]
    giver = of_another_label(y, rng)
    codes = {
        "posterior means": {name: split.encode(x).mean for name, x in images.items()},
        "draws": {name: split.encode(x).sample(rng=rng) for name, x in images.items()},
    }

    figures: dict[str, tuple[Share, HeldOutProbe]] = {}
    for kind, z in codes.items():
        swapped = split.decode(split.swapped(z["held-out"], z["held-out"][giver]))
        swaps = share(predict_labels(evaluator, swapped)[0] == y)
        styles = [(z[name][:, split.label_dim :], labels[name]) for name in SPLITS]
        figures[kind] = swaps, probe_held_out(*styles, rng=torch.Generator().manual_seed(0))

    rows = [
        (kind, str(swaps), f"{100 * probe.leak:.1f}", str(probe.accuracy), f"{probe.chance:.1%}", probe.chosen)
        for kind, (swaps, probe) in figures.items()
    ]
    columns = ("code", "swaps bear the label", "leak of z_u, points", "label read from z_u", "commonest class", "probe")
    print_table(Table(f"digits-split on {len(y)} held-out digits", columns, tuple(rows)))
    if arguments.out:
        content = {
            kind: {"swaps": vars(swaps), "leak": probe.leak, "read": vars(probe.accuracy), "chance": probe.chance}
            for kind, (swaps, probe) in figures.items()
        }
        write_json(arguments.out, {"settings": vars(arguments), "versions": installed_versions(), "figures": content})


if __name__ == "__main__":
    main()
