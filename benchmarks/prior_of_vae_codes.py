"""A prior for the codes of somebody's VAE: samples from N(0, I) against samples from a prior fitted to its codes.

    python benchmarks/prior_of_vae_codes.py --out evidence/benchmarks/prior_of_vae_codes.json

A small VAE in plain PyTorch is trained on the shipped digits with a weak divergence, as those are whose decoders shall be
sharp: its codes are then far from N(0, I). `fit_prior` fits them one prior of each family. Decoded samples are compared with
held-out digits by their Frechet distance, through the features of the shipped evaluation classifier.
"""

import argparse
import time

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import mse_loss

import latentry as lt
from latentry.evaluation.extractor import ClassifierExtractor
from latentry.models.pretrained import installed_versions
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

SIDE = 28 * 28


class SmallVAE(nn.Module):
    """Digits to codes and back, as one finds it in a tutorial."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(SIDE, 400), nn.ReLU(), nn.Linear(400, 2 * latent_dim))
        self.decoder = nn.Sequential(nn.Linear(latent_dim, 400), nn.ReLU(), nn.Linear(400, SIDE), nn.Tanh())

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstructions, means and log variances."""
        mean, logvar = self.encoder(x).chunk(2, 1)
        return self.decoder(mean + noise * (0.5 * logvar).exp()).view(x.shape), mean, logvar


def trained(x: Tensor, latent_dim: int, divergence_weight: float, epochs: int, rng: torch.Generator) -> SmallVAE:
    """The VAE after so many passes over the data; weights and noise from `rng`."""
    vae = SmallVAE(latent_dim)
    with torch.no_grad():
        for weights in vae.parameters():
            bound = weights.shape[-1] ** -0.5
            weights.uniform_(-bound, bound, generator=rng)
    adam = torch.optim.Adam(vae.parameters(), lr=1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=rng).split(128):
            x_hat, mean, logvar = vae(x[rows], torch.randn(len(rows), latent_dim, generator=rng))
            divergence = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(1).mean()
            loss = SIDE * mse_loss(x_hat, x[rows]) + divergence_weight * divergence
            adam.zero_grad()
            loss.backward()
            adam.step()
    return vae.eval().requires_grad_(False)


def drawn_codes(vae: SmallVAE, x: Tensor, rng: torch.Generator) -> Tensor:
    """One draw of each posterior: codes of the aggregated posterior, which the prior has to fit."""
    mean, logvar = vae.encoder(x).chunk(2, 1)
    return mean + torch.randn(mean.shape, generator=rng) * (0.5 * logvar).exp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latent-dim", type=int, default=8)
    parser.add_argument("--divergence-weight", type=float, default=1.0)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", help="write decoded samples as a picture to this file")
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    rng = torch.Generator().manual_seed(arguments.seed)
    data = lt.load_dataset("digits")
    x, held_out = data.split("train").images(), data.split("held-out").images()
    vae = trained(x, arguments.latent_dim, arguments.divergence_weight, arguments.epochs, rng)
    codes, others = (drawn_codes(vae, images, rng) for images in (x, held_out))
    print(lt.metrics.active_dimensions(*vae.encoder(x).chunk(2, 1)))
    began = time.perf_counter()
    found = lt.fit_prior(codes, rng=rng)
    seconds = time.perf_counter() - began
    print(found)

    extractor = ClassifierExtractor(lt.load_model("digits-evaluator").network)
    priors = {"N(0, I)": lt.priors.Normal(arguments.latent_dim), f"fitted: {found.family}": found.prior}
    figures, sheets = {}, []
    for name, prior in priors.items():
        made = vae.decoder(prior.sample(len(held_out), rng=rng)).view(-1, 1, 28, 28)
        report = lt.evaluate_samples(made, held_out, extractor, halves=2, rng=torch.Generator().manual_seed(0))
        distance = report.estimates["frechet_distance"]
        likelihood = prior.log_prob(others).mean().item()
        figures[name] = {"frechet": distance.value, "low": distance.low, "high": distance.high, "log_likelihood": likelihood}
        sheets.append(made[:40])
    rows = [
        (name, f"{row['log_likelihood']:.2f}", f"{row['frechet']:.2f} [{row['low']:.2f}, {row['high']:.2f}]")
        for name, row in figures.items()
    ]
    print_table(Table("Decoded samples", ("prior", "log p(z) of held-out codes", "Frechet distance"), tuple(rows)))
    if arguments.sheet:
        rows_of_images = torch.cat(sheets).view(8, 10, 28, 28).permute(0, 2, 1, 3).reshape(8 * 28, 280)
        Image.fromarray(((rows_of_images + 1) * 127.5).clamp(0, 255).byte().numpy()).save(arguments.sheet)
    if arguments.out:
        content = {"family": found.family, "passes": found.passes, "fit_seconds": seconds, "figures": figures}
        write_json(arguments.out, {"settings": vars(arguments), "versions": installed_versions(), **content})


if __name__ == "__main__":
    main()
