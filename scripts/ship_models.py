"""Put the trained models into the package, the generator with what the judge says of its samples.

python scripts/ship_models.py runs src/latentry/pretrained
"""

import argparse
from pathlib import Path

import torch

from latentry.evaluation.proportions import share
from latentry.models.classifier import predict_labels
from latentry.models.label_split import is_label_split, load_label_split, save_label_split
from latentry.models.pretrained import load_pretrained, save_pretrained
from latentry.models.semantic import is_semantic, load_semantic, save_semantic

SAMPLES = 5000
SURE = 0.8
NAMES = (
    "digits-guide", "digits-judge", "digits-generator", "digits-split", "fashion-judge", "letters-semantic",
    "painted-generator",
)  # fmt: skip
HALF = ("digits-split", "letters-semantic", "painted-generator")
"""Kept in half precision, for their size."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--names", nargs="+", choices=NAMES, default=NAMES)
    arguments = parser.parse_args()

    for name in arguments.names:
        trained = arguments.runs / name / "model"
        model = load_pretrained(trained)
        card = dict(model.card)
        del card["versions"]  # written anew
        if is_label_split(trained):
            save_label_split(arguments.out / name, load_label_split(trained), card, half=name in HALF)
            continue
        if is_semantic(trained):
            save_semantic(arguments.out / name, load_semantic(trained), card, half=name in HALF)
            continue
        if name == "digits-generator":  # the judge reads no others
            assert model.prior is not None
            with torch.no_grad():
                z = model.prior.sample(SAMPLES, rng=torch.Generator().manual_seed(1))
                x = torch.cat([model.network(part) for part in z.split(500)])
            judge = load_pretrained(arguments.runs / "digits-judge" / "model")
            labels, confidence = predict_labels(judge.network, x)
            counts = labels.bincount(minlength=10).tolist()
            card["metrics"] |= {"judge_sure": vars(share(confidence > SURE)), "judge_counts": counts, "samples": SAMPLES}
        save_pretrained(arguments.out / name, model.network, model.prior, card, half=name in HALF)
        print(name, card["metrics"])


if __name__ == "__main__":
    main()
