"""Change what an image shows and keep how it looks, or the reverse.

The shipped label split has the label of a digit in one part of its code (z_s) and all the rest in the other (z_u). Both come
from one pass of its encoders: nothing is searched for.

    python examples/05_swap_label_and_style.py
"""

import torch

import latentry as lt
from latentry.evaluation.strokes import measure_strokes


def main() -> None:
    split, judge = lt.load_model("digits-split"), lt.load_model("digits-judge").network
    held_out = lt.load_dataset("digits").split("held-out")
    x, y = held_out.images(range(300)), held_out.labels[:300]
    z = split.encode(x).mean

    def read(images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return judge(images).argmax(1)

    named = split.label_log_probs(z).argmax(1)
    print(f"z_s names {(named == y).double().mean():.0%} of {len(x)} held-out digits")

    swapped = split.decode(split.swapped(z, z.roll(1, 0)))
    print(f"with the style of another, {(read(swapped) == y).double().mean():.0%} still read as what they were")

    threes = split.decode(split.relabelled(z, torch.full((len(z),), 3)))
    thickness = torch.stack([measure_strokes(images).thickness for images in (x, threes)])
    print(f"told to be threes, {(read(threes) == 3).double().mean():.0%} are read as threes")
    print(f"their strokes are as thick as before: correlation {torch.corrcoef(thickness)[0, 1]:.2f}")

    told = torch.arange(10).repeat(10)
    made = split.decode(split.prior.sample((), told, rng=torch.Generator().manual_seed(0)))
    print(f"of 100 samples, ten of each label, {(read(made) == told).double().mean():.0%} bear the label asked for")


if __name__ == "__main__":
    main()
