"""Find the directions of labels, and turn codes from one label to another.

The shipped generator and a classifier of its images are enough. After a rotation by 90 degrees in the plane of two label
vectors, only a part of the codes have the new label, because the other labels still count. After a rotation until a linear
classifier of codes is sure of the label, nearly all have it. Both are rotations, so the norm of a code stays.

    python examples/04_turn_a_label.py
"""

import math

import torch

import latentry as lt


def main() -> None:
    shipped, guide = lt.load_model("digits-generator"), lt.load_model("digits-guide").network
    generator, prior = shipped.generator, shipped.prior
    assert isinstance(prior, lt.priors.Normal)
    rng = torch.Generator().manual_seed(0)
    basis = lt.quasi_eigenvectors(generator, guide, prior, per_label=100, rng=rng)

    def predict(z: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return guide(generator(z)).argmax(1)

    shown = predict(basis.vectors[:10] + basis.offset)
    print(f"the vectors of labels 0 to 9, decoded, show {shown.tolist()}")

    z = prior.sample(1000, rng=rng)
    y = predict(z)
    scores = lt.directions.fit_linear_classifier(z, y)
    three, eight = z[y == 3], torch.full((int((y == 3).sum()),), 8)
    edits = {
        "90 degrees in the plane of 3 and 8": lt.operators.rotate(three, basis.plane(3, 8), math.pi / 2),
        "rotated to a margin of 4": lt.operators.rotate_to_margin(three, scores.weights, scores.bias, eight, 4.0),
    }
    for name, edited in edits.items():
        changed = (edited.norm(dim=1) / three.norm(dim=1) - 1).abs().max()
        share = (predict(edited) == 8).double().mean()
        print(f"{name}: {share:.0%} of {len(three)} threes become eights, norms change by {changed:.0e} at most")


if __name__ == "__main__":
    main()
