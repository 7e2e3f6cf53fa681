"""`latentry train inverse`: an encoder from a generator's images back to its codes."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor, nn

from latentry.interfaces import evaluated
from latentry.latent.inverse import Inverse, fit_inverse, save_inverse
from latentry.reports.pictures import grid, interleave, write_png
from latentry.reports.progress import progress_bar
from latentry.reports.tables import Table, print_table
from latentry.tasks.runs import claim_folder, load_generator, pick_device, record
from latentry.tasks.settings import TrainInverseSettings

__all__ = ["train_inverse"]

_PAIRS = 48
_PAIRS_A_ROW = 8


def train_inverse(settings: TrainInverseSettings) -> dict[str, Any]:
    """Write the inverse (`inverse.safetensors`, `inverse.json`), `pairs.png` and `results.json`; print what was reached."""
    device = pick_device(settings.device)
    model, prior = load_generator(settings.generator)
    generator = model.network.to(device)
    folder = claim_folder(settings, "checkpoints", "course.json", "inverse.safetensors", "inverse.json", "pairs.png")

    with progress_bar(quiet=settings.json) as track:
        inverse = fit_inverse(
            generator,
            prior,
            steps=settings.steps,
            batch_size=settings.batch_size,
            width=settings.width,
            learning_rate=settings.learning_rate,
            noise=settings.noise,
            rng=torch.Generator().manual_seed(settings.seed),
            folder=folder,
            checkpoint_every=settings.checkpoint_every,
            progress=track(f"training an encoder of {prior.latent_dim} latents"),
        )
    save_inverse(folder, inverse)
    rng = torch.Generator().manual_seed(settings.seed)
    x, x_hat = _there_and_back(generator, inverse, prior.sample(_PAIRS, rng=rng).to(device))
    if x.ndim == 4:
        write_png(folder / "pairs.png", grid(interleave([x.cpu(), x_hat.cpu()]), 2 * _PAIRS_A_ROW), magnify=2)
    content = record(folder, settings, {"inverse": str(folder), **asdict(inverse.report)})
    _show(inverse, (x_hat - x).square().mean().item(), folder, Console(quiet=settings.json))
    return content


def _there_and_back(
    generator: nn.Module, inverse: Inverse, z: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, "n *s"], Float[Tensor, "n *s"]]:
    """G(z) and G(E(G(z)))."""
    with evaluated(generator), torch.no_grad():
        x = generator(z)
        return x, generator(inverse(x))


def _show(inverse: Inverse, reconstruction_error: float, folder: Path, console: Console) -> None:
    report = inverse.report
    table = Table(
        "Inverse of a generator",
        ("what", "value"),
        (
            ("code error on fresh codes", f"{report.code_error:.4f}"),
            ("pixel MSE on fresh codes", f"{reconstruction_error:.4f}"),
            ("generator forwards", f"{report.forwards:,}"),
            ("seconds", f"{report.seconds:.0f}"),
        ),
        "Code error: mean squared, in units of the prior's variance; 1 where nothing is known. Pixel MSE: of G(E(G(z))).",
    )
    print_table(table, console)
    console.print(f"The inverse: {folder}", highlight=False)
