"""How many codes are found in a second, beside the ways in which it is commonly done.

    python benchmarks/recovery_success.py --out evidence/benchmarks/recovery_success.json

Codes drawn from the prior of the shipped generator are to be found again from the images it makes of them. A code is found
where its mean squared error, for a prior of variance 1, is below 0.01. Three ways, one after the other:

- `recover_codes` as it is, with its solver and its restarts;
- `recover_codes` with batched Adam, without a regularizer, of as many starts;
- a projector, as for StyleGAN2 (Karras et al., 2020): one image at a time from the mean of the prior, Adam with a rate that
  is ramped up over the first twentieth and down over the last quarter of the steps, noise on the code that fades out over
  the first three quarters. Its perceptual distance is left out, as here pixels can be met exactly.

Seconds are those of the processor, summed over threads, so that other work on the machine counts little.
"""

import argparse
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

import latentry as lt
from latentry.holding import evaluated
from latentry.models.pretrained import installed_versions
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

FOUND = 1e-2
RATE, NOISE = 0.1, 0.05
RISE, FALL, NOISY = 0.05, 0.25, 0.75
"""Shares of the projector's steps: its rate rises in the first, falls in the second, its noise fades over the third."""


def projected(generator: Callable[[Tensor], Tensor], x: Tensor, latent_dim: int, steps: int, rng: torch.Generator) -> Tensor:
    """Codes `(n, d)` of images, one after another."""
    return torch.cat([_one_projected(generator, image[None], latent_dim, steps, rng) for image in x])


def _one_projected(
    generator: Callable[[Tensor], Tensor], x: Tensor, latent_dim: int, steps: int, rng: torch.Generator
) -> Tensor:
    z = torch.zeros(1, latent_dim, requires_grad=True)
    adam = torch.optim.Adam([z], lr=RATE, betas=(0.9, 0.999))
    for step in range(steps):
        share = step / steps
        fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - share) / FALL))
        adam.param_groups[0]["lr"] = RATE * fall * min(1.0, share / RISE)
        noise = NOISE * max(0.0, 1 - share / NOISY) ** 2 * torch.randn(z.shape, generator=rng)
        loss = (generator(z + noise) - x).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return z.detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=16)
    parser.add_argument("--restarts", type=int, default=4)
    parser.add_argument("--steps", type=int, default=300, help="steps of the projector and of Adam")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    shipped = lt.load_model("digits-generator")
    generator, prior = shipped.generator, shipped.prior
    assert prior is not None
    z = prior.sample(arguments.codes, rng=torch.Generator().manual_seed(arguments.seed))
    rng = torch.Generator().manual_seed(arguments.seed + 1)
    adam = lt.solvers.Adam(steps=arguments.steps)
    ways: dict[str, Callable[[], Tensor]] = {
        "recover_codes": lambda: lt.recover_codes(generator, x, prior, restarts=arguments.restarts, rng=rng).z,
        "recover_codes, batched Adam": lambda: (
            lt.recover_codes(generator, x, prior, solver=adam, restarts=arguments.restarts, rng=rng).z
        ),
        "projector, one image at a time": lambda: projected(generator, x, prior.latent_dim, arguments.steps, rng),
    }

    figures: dict[str, dict[str, float]] = {}
    with evaluated(generator):
        with torch.no_grad():
            x = generator(z)
        for name, way in ways.items():
            began = time.process_time()
            z_hat = way()
            spent = time.process_time() - began
            code_error = (z_hat - z).square().mean(1)
            with torch.no_grad():
                error = (generator(z_hat) - x).square().mean().item()
            found = int((code_error < FOUND).sum())
            figures[name] = {
                "found": found,
                "seconds": spent,
                "found_per_second": found / spent,
                "median_code_error": code_error.median().item(),
                "mean_image_error": error,
            }

    rows = [
        (
            name,
            str(row["found"]),
            f"{row['seconds']:.1f}",
            f"{row['found_per_second']:.3f}",
            f"{row['median_code_error']:.2g}",
        )
        for name, row in figures.items()
    ]
    title = f"{arguments.codes} known codes of the shipped generator, {torch.get_num_threads()} thread(s)"
    print_table(Table(title, ("way", "found", "CPU s", "found / s", "median code error"), tuple(rows)))
    if arguments.out:
        content = {
            "settings": vars(arguments) | {"threads": torch.get_num_threads(), "found_below": FOUND},
            "versions": installed_versions(),
            "figures": figures,
        }
        write_json(arguments.out, content)


if __name__ == "__main__":
    main()
