"""Recovery under conditions, with a conditional generator trained in plain PyTorch: G(z, y) of the bundled digits.

    python benchmarks/conditional_recovery.py --out evidence/benchmarks/conditional_recovery.json

A conditional VAE (codes of 16 elements, the label as a one-hot row, two hidden layers of 256) is trained for 40 epochs on
the training split, half a minute on one thread. Then codes are recovered, four starts each, of

1. the generator's own images, whose codes are known: under their label, and under the next label, which is wrong; an image
   is made again up to rounding (`met`) if the code makes it, and a code is found if its mean squared error is below 0.01;
2. validation digits: the mean squared error of pixels in [-1, 1] under their label, under the next label, and the share
   whose least error over all ten labels is under their own.
"""

import argparse
import time

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

import latentry as lt
from latentry.latent.known_codes import FOUND
from latentry.models.pretrained import installed_versions
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

LATENT_DIM, LABELS, HIDDEN, EPOCHS = 16, 10, 256, 40


class Decoder(nn.Module):
    """G(z, y): codes and labels to images."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(LATENT_DIM + LABELS, HIDDEN),
            nn.ELU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ELU(),
            nn.Linear(HIDDEN, 784),
            nn.Tanh(),
        )

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        x: Tensor = self.layers(torch.cat([z, one_hot(y, LABELS).to(z)], 1))
        return x.view(-1, 1, 28, 28)


def trained(x: Tensor, y: Tensor, seed: int) -> Decoder:
    """The decoder of a conditional VAE with normal errors."""
    torch.manual_seed(seed)
    decoder = Decoder()
    encoder = nn.Sequential(nn.Linear(784 + LABELS, HIDDEN), nn.ELU(), nn.Linear(HIDDEN, 2 * LATENT_DIM))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(100):
            mean, log_variance = encoder(torch.cat([x[rows].flatten(1), one_hot(y[rows], LABELS).float()], 1)).chunk(2, 1)
            z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
            squares = (decoder(z, y[rows]) - x[rows]).square().sum((1, 2, 3)) / (2 * 0.2)
            divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
            optimizer.zero_grad()
            (squares + divergence).mean().backward()
            optimizer.step()
    return decoder.eval()


def recovered(decoder: Decoder, x: Tensor, y: Tensor, seed: int) -> lt.results.Recovery:
    """Codes of images under these labels."""
    prior, rng = lt.priors.Normal(LATENT_DIM), torch.Generator().manual_seed(seed)
    return lt.recover_codes(decoder, x, prior, condition=y, determination=False, rng=rng, progress=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="images of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out")
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    data = lt.data.digits()
    train, validation = data.split("train"), data.split("validation")
    began = time.process_time()
    decoder = trained(train.images(range(len(train))), train.labels, settings.seed)
    seconds = time.process_time() - began

    rng = torch.Generator().manual_seed(settings.seed + 1)
    z, y = torch.randn(settings.count, LATENT_DIM, generator=rng), torch.arange(settings.count) % LABELS
    own = lt.GenerativeModel(decoder, lt.priors.Normal(LATENT_DIM)).decode(z, y)
    right = recovered(decoder, own, y, settings.seed)
    wrong = recovered(decoder, own, (y + 1) % LABELS, settings.seed)

    x, labels = validation.images(range(settings.count)), validation.labels[: settings.count]
    errors = torch.stack(
        [recovered(decoder, x, (labels + by) % LABELS, settings.seed).reconstruction_error for by in range(LABELS)], 1
    )
    figures = {
        "seconds_of_training": seconds,
        "own_images_met": right.met.double().mean().item(),
        "own_codes_found": ((right.z - z).square().mean(1) < FOUND).double().mean().item(),
        "own_images_met_under_a_wrong_label": wrong.met.double().mean().item(),
        "own_error_under_a_wrong_label": wrong.reconstruction_error.double().mean().item(),
        "digits_error": errors[:, 0].double().mean().item(),
        "digits_error_under_the_next_label": errors[:, 1].double().mean().item(),
        "digits_nearest_under_their_label": (errors.argmin(1) == 0).double().mean().item(),
    }
    rows = tuple((name.replace("_", " "), f"{value:.3g}") for name, value in figures.items())
    print_table(Table("Recovery under conditions", ("figure", "value"), rows))
    if settings.out:
        asked = {"count": settings.count, "seed": settings.seed, "threads": settings.threads}
        write_json(settings.out, {"settings": asked, "versions": installed_versions(), "figures": figures})


if __name__ == "__main__":
    main()
