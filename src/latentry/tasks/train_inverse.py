"""`latentry train inverse`: an encoder from a generator's images back to its codes."""

from dataclasses import asdict
from typing import Any

import torch

from latentry.holding import evaluated
from latentry.latent.inverse import fit_inverse
from latentry.reports.progress import progress_bar
from latentry.reports.tables import Table
from latentry.tasks.encoders import PAIRS, PARTS, conclude, cost, there_and_back
from latentry.tasks.loading import chosen_unlabelled_generator
from latentry.tasks.runs import Run, command
from latentry.tasks.train_settings import TrainInverseSettings

__all__ = ["train_inverse"]


@command(*PARTS)
def train_inverse(settings: TrainInverseSettings, run: Run) -> dict[str, Any]:
    """Write the inverse (`inverse.safetensors`, `inverse.json`), `pairs.png` and `results.json`; print its errors."""
    model, prior = chosen_unlabelled_generator(settings)
    generator = model.generator.to(run.device)

    with progress_bar(quiet=run.quiet) as track:
        inverse = fit_inverse(
            generator,
            prior,
            settings,
            rng=run.rng(),
            progress=track(f"training an encoder of {prior.latent_dim} latents"),
            checkpoint=run.folder,
        )
    with evaluated(generator), torch.no_grad():
        x = generator(prior.sample(PAIRS, rng=run.rng()).to(run.device))
    x_hat = there_and_back(generator, inverse, x)
    table = Table(
        "Inverse of a generator",
        ("what", "value"),
        (
            ("code error on fresh codes", f"{inverse.report.code_error:.4f}"),
            ("pixel MSE on fresh codes", f"{(x_hat - x).square().mean().item():.4f}"),
            *cost(inverse.report),
        ),
        "Code error: mean squared, in units of the prior's variance; 1 where nothing is known. Pixel MSE: of G(E(G(z))).",
    )
    return conclude(run, inverse, x, x_hat, {"inverse": str(run.folder), **asdict(inverse.report)}, table)
