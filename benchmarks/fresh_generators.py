"""Known codes of generators that no solver was tuned on.

    python benchmarks/fresh_generators.py --seeds 2 --out evidence/benchmarks/fresh_generators.json

For each seed a digits generator is trained anew, by the settings of the table of priors (DCGAN of width 24, 100 normal
latents, 5,000 iterations of 16 images: some minutes of one core each; a training that was killed goes on, and one that is
done is taken from `--work`). Codes drawn from its prior are then recovered from the images it makes of them, by the defaults
of `recover_codes`. A code is found where its mean squared error, for a prior of variance 1, is below 0.01. The shipped
`digits-generator`, on which the solver was developed, stands beside them.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

import latentry as lt
from latentry.evaluation.proportions import share
from latentry.models.generative import GenerativeModel
from latentry.models.pretrained import installed_versions
from latentry.numerics.batches import in_batches
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json
from latentry.tasks.runs import RESULTS
from latentry.tasks.train import train_gan
from latentry.tasks.train_settings import TrainGANSettings

FOUND = 1e-2


def trained(seed: int, work: Path, iterations: int) -> GenerativeModel:
    """The generator of this seed, trained unless it lies there."""
    home = work / f"digits-{seed}"
    if not (home / RESULTS).exists():
        train_gan(
            TrainGANSettings(
                out=str(home), seed=seed, device="cpu", data="digits", latent_dim=100, width=24, discriminator_width=24,
                r1=0.5, r1_every=8, generator_learning_rate=0.002, discriminator_learning_rate=0.002, betas=(0.0, 0.99),
                ema=0.995, steps=iterations, batch_size=16, schedule="cosine", checkpoint_every=-(-iterations // 3),
            )
        )  # fmt: skip
    return lt.load_model(home / "model", GenerativeModel)


def recovered(model: GenerativeModel, codes: int, seed: int) -> dict[str, float]:
    """What the defaults find of known codes, and at what cost."""
    generator, prior = model.generator.eval().requires_grad_(False), model.prior
    z = prior.sample(codes, rng=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        x = in_batches(generator, z, size=64)
    began = time.perf_counter()
    found = lt.recover_codes(generator, x, prior, rng=torch.Generator().manual_seed(seed + 1))
    error: Tensor = (found.z - z).square().mean(1)
    return {
        "found": int((error < FOUND).sum()),
        "met": int(found.met.sum()),
        "largest_error_of_met": error[found.met].max().item() if found.met.any() else float("nan"),
        "evaluations": found.evaluations.double().mean().item(),
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--codes", type=int, default=16)
    parser.add_argument("--iterations", type=int, default=5000)
    parser.add_argument("--work", type=Path, default=Path("runs/fresh-generators"))
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    models = {f"fresh, seed {seed}": trained(seed, arguments.work, arguments.iterations) for seed in range(arguments.seeds)}
    models["digits-generator, shipped"] = lt.load_model("digits-generator")
    figures = {name: recovered(model, arguments.codes, 1) for name, model in models.items()}
    rows = [
        (
            name,
            str(share(torch.arange(arguments.codes) < row["found"])),
            f"{row['met']:.0f}",
            f"{row['largest_error_of_met']:.1e}",
            f"{row['evaluations']:,.0f}",
            f"{row['seconds']:.0f}",
        )
        for name, row in figures.items()
    ]
    columns = ("generator", "known codes found", "images met", "largest code error of these", "evaluations", "seconds")
    print_table(Table(f"{arguments.codes} known codes each, by the defaults", columns, tuple(rows)))
    if arguments.out:
        settings = {**vars(arguments), "work": None}
        write_json(arguments.out, {"settings": settings, "versions": installed_versions(), "figures": figures})


if __name__ == "__main__":
    main()
