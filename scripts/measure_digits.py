"""Measure the strokes of the bundled digits and write their signed attributes.

Thick and slanted are signed: within each class, the third of the training digits with the least thickness (slant) sets where
-1 ends, the third with the most where +1 begins; digits between these two bounds are 0, neutral. All splits are evaluated by
these bounds. Measures are those of `latentry.evaluation.measure_strokes`.

    python scripts/measure_digits.py src/latentry/data/stroke_digits.npz
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.data import digits
from latentry.evaluation.strokes import measure_strokes

NAMES = ("thick", "slanted")


def thirds(values: Float[Tensor, "n"], y: Int[Tensor, "n"], train: Int[Tensor, "m"]) -> Int[Tensor, "n"]:
    """-1, 0 or 1 for the lowest, the middle and the highest third of the training values of each class."""
    levels = torch.zeros(len(values), dtype=torch.int64)
    for label in y.unique():
        own = values[train][y[train] == label]
        low, high = own.quantile(torch.tensor([1 / 3, 2 / 3], dtype=own.dtype))
        levels += (y == label) * ((values > high).long() - (values < low).long())
    return levels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()

    data = digits()
    strokes = measure_strokes(data.images())
    y, train = data.labels, data.splits["train"]
    levels = torch.stack([thirds(values, y, train) for values in (strokes.thickness, strokes.slant)], 1)
    np.savez_compressed(arguments.out, attributes=levels.to(torch.int8).numpy(), attribute_names=np.array(NAMES))
    print(f"{arguments.out}: {len(levels)} digits, {arguments.out.stat().st_size / 1e3:.1f} kB")


if __name__ == "__main__":
    main()
