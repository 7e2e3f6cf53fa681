"""Put the trained models into the package, the generator with what the evaluation classifier says of its samples.

python scripts/ship_models.py runs src/latentry/pretrained
"""

import argparse
from pathlib import Path

import torch

from latentry.evaluation.proportions import share
from latentry.models.classifier import predict_labels
from latentry.models.saving import load_model, save_model

SAMPLES = 5000
SURE = 0.8
NAMES = (
    "digits-guide", "digits-evaluator", "digits-generator", "digits-split", "fashion-evaluator", "letters-semantic",
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
        model = load_model(arguments.runs / name / "model")
        card = dict(model.card)
        del card["versions"]  # written anew
        if name == "digits-generator":  # the evaluation classifier reads no others
            x = model.decode(model.prior.sample(SAMPLES, rng=torch.Generator().manual_seed(1)))
            evaluator = load_model(arguments.runs / "digits-evaluator" / "model")
            labels, confidence = predict_labels(evaluator.network, x)
            counts = labels.bincount(minlength=10).tolist()
            card["metrics"] |= {
                "evaluator_confident": vars(share(confidence > SURE)),
                "evaluator_counts": counts,
                "samples": SAMPLES,
            }
        save_model(arguments.out / name, model, card, half=name in HALF)
        print(name, card["metrics"])


if __name__ == "__main__":
    main()
