"""Change the label of an image and keep its style, or the reverse.

The shipped label split has the label of a digit in one part of its code (z_s), and all the rest in the other (z_u). One pass
of its encoders gives both; there is no search.

    python examples/05_swap_label_and_style.py
"""

import torch

import latentry as lt
from latentry.evaluation.strokes import measure_strokes


def main() -> None:
    split, classifier = lt.load_model("digits-split"), lt.load_model("digits-evaluator").network
    held_out = lt.load_dataset("digits").split("held-out")
    x, y = held_out.images(range(300)), held_out.labels[:300]
    z = split.encode(x).mean

    def predict(images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return classifier(images).argmax(1)

    predicted = split.label_log_probs(z).argmax(1)
    print(f"z_s predicts the label of {(predicted == y).double().mean():.0%} of {len(x)} held-out digits")

    swapped = split.decode(split.swapped(z, z.roll(1, 0)))
    print(f"with the style of another, {(predict(swapped) == y).double().mean():.0%} still show their label")

    threes = split.decode(split.relabelled(z, torch.full((len(z),), 3)))
    thickness = torch.stack([measure_strokes(images).thickness for images in (x, threes)])
    print(f"changed to threes, {(predict(threes) == 3).double().mean():.0%} are classified as threes")
    print(f"their strokes are as thick as before: correlation {torch.corrcoef(thickness)[0, 1]:.2f}")

    y_new = torch.arange(10).repeat(10)
    made = split.decode(split.prior.sample((), y_new, rng=torch.Generator().manual_seed(0)))
    print(f"of 100 samples, ten of each label, {(predict(made) == y_new).double().mean():.0%} show their label")


if __name__ == "__main__":
    main()
