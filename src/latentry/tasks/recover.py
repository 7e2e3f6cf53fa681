"""`latentry recover`: the codes of the user's own images, and whether they could have come from the prior."""

from typing import Any

import torch
from rich.console import Console
from torch import nn

from latentry.data.pictures import expand_paths, load_images
from latentry.evaluation.codes import goodness_of_fit
from latentry.interfaces import evaluated
from latentry.latent.adam import Adam
from latentry.latent.recovery import recover_codes
from latentry.latent.regularizers import L2, Regularizer, StatisticalDistance
from latentry.priors import UnlabelledPrior
from latentry.reports.figures import histogram_figure
from latentry.reports.page import Picture, write_page
from latentry.reports.pictures import grid, interleave, png
from latentry.reports.progress import progress_bar
from latentry.reports.tables import Table, print_table
from latentry.storage import write_tensors
from latentry.tasks.runs import claim_folder, load_generator, named_prior, pick_device, record
from latentry.tasks.settings import RecoverSettings, RegularizerName

__all__ = ["recover"]

_PARTS = ("index.html", "codes.safetensors")
_PAIRS_A_ROW = 8


def recover(settings: RecoverSettings) -> dict[str, Any]:
    """Write `codes.safetensors`, `index.html` and `results.json`; print one row for each image."""
    device = pick_device(settings.device)
    model, prior = load_generator(settings.generator)
    if settings.prior is not None:
        prior = named_prior(settings.prior, prior.latent_dim)
    generator = model.network.to(device)
    files = expand_paths(settings.images)
    channels, size = _image_format(generator, prior)
    x = load_images(files, image_size=size, channels=channels)
    folder = claim_folder(settings, *_PARTS)
    console = Console(quiet=settings.json)

    with progress_bar(quiet=settings.json) as track:
        found = recover_codes(
            generator,
            x.to(device),
            prior,
            solver=Adam(steps=settings.steps, learning_rate=settings.learning_rate),
            regularizer=_regularizer(settings.regularizer),
            weight=settings.weight,
            restarts=settings.restarts,
            rng=torch.Generator().manual_seed(settings.seed),
            progress=track(f"recovering {len(x)} codes"),
        )
    fit = goodness_of_fit(found.z, prior)

    rows = [
        {"image": str(file), "reconstruction_error": error, "converged": converged, "p_value": p_value}
        for file, error, converged, p_value in zip(
            files, found.reconstruction_error.tolist(), found.converged.tolist(), fit.code_p_value.tolist(), strict=True
        )
    ]
    table = Table(
        f"{len(x)} recovered codes",
        ("image", "pixel MSE", "converged", "p-value of the code"),
        tuple(
            (
                row["image"],
                f"{row['reconstruction_error']:.4f}",
                "yes" if row["converged"] else "no",
                f"{row['p_value']:.2g}",
            )
            for row in rows
        ),
        "Pixel MSE: images in [-1, 1]. P-value: small where the code's elements are unlike the prior's.",
    )
    pairs = grid(interleave([x, found.x_hat.cpu()]), 2 * min(_PAIRS_A_ROW, len(x)))
    facts = [
        ("generator", f"{settings.generator}, weights {model.fingerprint}"),
        ("prior", repr(prior)),
        ("regularizer", f"{settings.regularizer}, weight {settings.weight:g}"),
        ("recovery", f"{settings.restarts} starts of {settings.steps} Adam steps, seed {settings.seed}"),
    ]
    blocks: list[Table | Picture] = [
        Picture("Images and what was recovered", png(pairs, magnify=2), "In pairs: the image, then G(z) for its code."),
        table,
        Picture("Elements of all codes over the prior's density", histogram_figure({"recovered": found.z}, prior)),
    ]
    write_page(folder / "index.html", "Recovered codes", [fit.verdict], blocks, facts)
    write_tensors(
        folder / "codes.safetensors",
        {"z": found.z, "x_hat": found.x_hat, "p_value": fit.code_p_value},
        {"generator": model.fingerprint, "prior": repr(prior)},
    )
    content = record(
        folder,
        settings,
        {
            "images": rows,
            "ks": fit.statistic,
            "p_value": fit.p_value,
            "uniformity_p_value": fit.uniformity_p_value,
            "verdict": fit.verdict,
        },
    )
    print_table(table, console)
    console.print(fit.verdict, highlight=False)
    console.print(f"Codes and report: {folder}", highlight=False)
    return content


def _image_format(generator: nn.Module, prior: UnlabelledPrior) -> tuple[int, int]:
    """Channels and side of what a generator makes."""
    device = next(generator.parameters()).device
    with evaluated(generator), torch.no_grad():
        shape = generator(prior.sample(1).to(device)).shape
    if len(shape) != 4 or shape[2] != shape[3]:
        raise ValueError(
            f"expected a generator of square images, got data of shape {tuple(shape)}; use latentry.recover_codes"
        )
    return shape[1], shape[2]


def _regularizer(name: RegularizerName) -> Regularizer | None:
    if name == "none":
        return None
    return L2() if name == "l2" else StatisticalDistance(name)
