"""How dependent are held-out answers of cross-validated probes, and do their intervals cover all the same?

    python benchmarks/probe_intervals.py

Codes and labels are independent, so that every probe has accuracy 1/2 on new data. Printed for each probe: the variance of
its cross-validated accuracy over that of as many independent answers, and how often the 95 % interval holds 1/2.
"""

import argparse
from statistics import variance

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from latentry.evaluation.probes import probe_accuracy

SIZE = 200
CASES = {
    "logistic, d = 5": (LogisticRegression(max_iter=500), 5, 5),
    "logistic, d = 40": (LogisticRegression(max_iter=500), 40, 5),
    "logistic, d = 40, 10 folds": (LogisticRegression(max_iter=500), 40, 10),
    "1 neighbour, d = 1": (KNeighborsClassifier(1), 1, 5),
    "15 neighbours, d = 2": (KNeighborsClassifier(15), 2, 5),
    "tree, d = 2": (DecisionTreeClassifier(random_state=0), 2, 5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    repeats = parser.parse_args().repeats
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(SIZE) % 2
    print(f"{'probe':28} variance ratio  coverage")
    for name, (probe, d, folds) in CASES.items():
        found = [
            probe_accuracy(torch.randn(SIZE, d, generator=rng), y, folds=folds, probes={name: probe}, rng=rng).accuracy
            for _ in range(repeats)
        ]
        ratio = variance(accuracy.value for accuracy in found) * SIZE * 4
        covered = sum(accuracy.low <= 0.5 <= accuracy.high for accuracy in found) / repeats
        print(f"{name:28} {ratio:14.2f} {covered:9.1%}", flush=True)


if __name__ == "__main__":
    main()
