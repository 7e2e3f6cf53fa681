"""How many letters fall into pieces: reversed ones, neutral ones, and real light ones.

    python benchmarks/broken_letters.py --out evidence/benchmarks/broken_letters.json
    python benchmarks/broken_letters.py --real runs/type-32.npz        # real light letters beside them

Samples of the shipped `letters-semantic`: the same codes at the neutral level of bold and at its reverse, which no letter
of the training showed. A letter is thresholded and its connected pieces are counted (eight neighbours); capitals are
drawn in one piece. A stroke that fades breaks its letter, so that this measure, unlike thinness, cannot be won by fading.
"""

import argparse

import numpy as np
import torch
from scipy.ndimage import label
from torch import Tensor

import latentry as lt
from latentry.evaluation.proportions import share
from latentry.models.pretrained import installed_versions
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

THRESHOLDS = (0.0, -0.4, -0.7)
"""Grey values, in [-1, 1], above which a pixel is ink."""


def broken(x: Tensor, threshold: float) -> Tensor:
    """Whether each image `(n, 1, h, w)` has other than one piece of ink."""
    return torch.tensor([label(image > threshold, np.ones((3, 3)))[1] != 1 for image in x[:, 0].numpy()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=5000)
    parser.add_argument("--real", help="letters written by scripts/build_type.py, for real light ones of the held-out split")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    model = lt.load_model("letters-semantic")
    placement = model.prior
    rng = torch.Generator().manual_seed(arguments.seed)
    neutral = torch.stack([placement.named({letter: 1}) for letter in placement.exclusive])
    a = neutral[torch.randint(len(neutral), (arguments.codes,), generator=rng)]
    z = placement.at(a).sample(rng=rng)
    images = {
        "reversed": model.decode(placement.moved(z, "bold", -1)),
        "neutral": model.decode(z),
    }
    if arguments.real:
        data = lt.load_dataset(arguments.real).split("held-out")
        assert data.attributes is not None
        light = data.attributes[data.items, list(data.attribute_names).index("bold")] == -1
        images["real light"] = data.images()[light]

    shares = {kind: {f"{at:g}": share(broken(x, at)) for at in THRESHOLDS} for kind, x in images.items()}
    columns = ("letters", "count", *(f"in pieces, ink above {at:g}" for at in THRESHOLDS))
    rows = [(kind, str(len(images[kind])), *map(str, of.values())) for kind, of in shares.items()]
    print_table(Table("Letters that are not in one piece", columns, tuple(rows)))
    if arguments.out:
        figures = {kind: {at: vars(found) for at, found in of.items()} for kind, of in shares.items()}
        write_json(arguments.out, {"settings": vars(arguments), "versions": installed_versions(), "figures": figures})


if __name__ == "__main__":
    main()
