"""Ask for features by name, and for the reverse of a feature that no training image shows.

In the shipped letters, weight, slant, serifs and pitch have their places in the code, chosen before training. The training
set had regular and bold faces. Light faces are the reverse of bold, and were held out.

    python examples/06_reverse_a_feature.py
"""

import torch

import latentry as lt
from latentry.evaluation.strokes import measure_strokes

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LEVELS = (-1.0, -0.5, 0.0, 0.5, 1.0)


def main() -> None:
    model = lt.load_model("letters-semantic")
    placement = model.prior
    print("features:", ", ".join(name for name in placement.features if name not in placement.exclusive))

    levels = torch.stack([placement.named({letter: 1}) for letter in LETTERS for _ in range(10)])
    z = placement.at(levels).sample(rng=torch.Generator().manual_seed(0))
    for name, measure in (("bold", "thickness"), ("italic", "slant")):
        films = [model.decode(placement.moved(z, name, level)) for level in LEVELS]
        means = [getattr(measure_strokes(film), measure).nanmean().item() for film in films]
        print(f"{measure} with {name} from -1 to 1:", ", ".join(f"{value:.2f}" for value in means))
    light, regular = (measure_strokes(model.decode(placement.moved(z, "bold", level))).thickness for level in (-1, 0))
    share = (light < regular).double().mean()
    print(f"{share:.0%} of letters are thinner at the reverse of bold, which was held out")

    bold = model.decode(placement.moved(z, "bold", 1))
    found = model.encode(bold).mean  # of images, as if they were yours
    turned = model.decode(placement.reversed(found, "bold"))
    thinner = measure_strokes(turned).thickness < measure_strokes(bold).thickness
    print(f"{thinner.double().mean():.0%} of bold images are thinner when their feature is reversed")


if __name__ == "__main__":
    main()
