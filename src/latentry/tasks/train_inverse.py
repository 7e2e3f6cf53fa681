"""`latentry train inverse`: an encoder from a generator's images back to its codes."""

from dataclasses import asdict
from typing import Any

import torch

from latentry.holding import evaluated
from latentry.latent.inverse import fit_inverse
from latentry.reports.progress import progress_bar
from latentry.reports.tables import Table
from latentry.tasks.encoders import PAIRS, PARTS, conclude, cost, there_and_back
from latentry.tasks.runs import claim_folder, command, load_generator, pick_device
from latentry.tasks.train_settings import TrainInverseSettings

__all__ = ["train_inverse"]


@command
def train_inverse(settings: TrainInverseSettings) -> dict[str, Any]:
    """Write the inverse (`inverse.safetensors`, `inverse.json`), `pairs.png` and `results.json`; print what was reached."""
    device = pick_device(settings.device)
    model, prior = load_generator(settings.generator)
    generator = model.generator.to(device)
    folder = claim_folder(settings, *PARTS)

    with progress_bar(quiet=settings.json) as track:
        inverse = fit_inverse(
            generator,
            prior,
            settings,
            rng=torch.Generator().manual_seed(settings.seed),
            progress=track(f"training an encoder of {prior.latent_dim} latents"),
            checkpoint=folder,
        )
    rng = torch.Generator().manual_seed(settings.seed)
    with evaluated(generator), torch.no_grad():
        x = generator(prior.sample(PAIRS, rng=rng).to(device))
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
    return conclude(settings, folder, inverse, x, x_hat, {"inverse": str(folder), **asdict(inverse.report)}, table)
