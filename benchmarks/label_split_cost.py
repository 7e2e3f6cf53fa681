"""What an iteration of a label split takes beside the bare passes of its networks.

    python benchmarks/label_split_cost.py --out evidence/benchmarks/label_split_cost.json

The bare passes are those that the update table of `latentry.models.label_split` cannot do without, made with sums for losses
and no step of any optimiser: encoder S three times forward, since it moves in between, and four times back (three for its
place, one for the reconstruction); encoder U once each; the decoder once forward for a reconstruction and, with a
discriminator, once for a sample, back to its codes and to its weights; the adversary twice; the discriminator on three
sheets to learn and on two to teach. Aim: an iteration takes at most 10 % more.

Both are timed in turn, in seconds of the processor; medians, and the median of the ratios of neighbours. With several
threads these seconds count their waiting for each other, which a chain of many small operations has more of.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from timing import paired, processor_seconds
from torch import Tensor, nn

from latentry.data.sources import load_dataset
from latentry.models.label_split_fitting import label_split_training
from latentry.models.pretrained import installed_versions
from latentry.models.settings import LabelSplitSettings
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json
from latentry.training.loop import optimizer_update
from latentry.training.memory import keep_freed_memory


def back(output: Tensor, *into: Any, keep: bool = False) -> None:
    """The backward pass of a sum."""
    inputs = [part for to in into for part in (to.parameters() if isinstance(to, nn.Module) else [to])]
    torch.autograd.grad(output.sum(), inputs, retain_graph=keep)


def bare_passes(networks: dict[str, nn.Module], x: Tensor, y: Tensor, latent_dim: int, style_dim: int) -> Callable[[], None]:
    """Every pass of an iteration, and nothing else."""
    s, u, decoder, adversary = (networks[name] for name in ("label-encoder", "style-encoder", "decoder", "adversary"))
    discriminator = networks.get("discriminator")
    z = torch.randn(len(x), latent_dim, requires_grad=True)
    z_u = torch.randn(len(x), style_dim, requires_grad=True)
    fake = torch.randn_like(x).requires_grad_(True)

    def passes() -> None:
        back(s(x), s)
        back(s(x), s)
        placed = s(x)
        back(placed, s, keep=True)
        back(placed, s)
        back(u(x), u)
        back(adversary(z_u), adversary)
        back(adversary(z_u), z_u)
        made = decoder(z)
        if discriminator is None:
            back(made, z, decoder)
            return
        back(made, z, keep=True)
        back(torch.stack([made, decoder(z.detach())]), decoder)
        back(torch.stack([discriminator(part, y) for part in (x, x, x)]), discriminator)
        back(torch.stack([discriminator(fake, y) for _ in range(2)]), fake)

    return passes


def cost(gan: bool, batch: int, width: int, runs: int) -> tuple[float, float, float]:
    """Seconds of an iteration and of its bare passes, and the median ratio."""
    data = load_dataset("digits").split("train")
    settings = LabelSplitSettings(gan=gan, width=width, batch_size=batch)
    torch.manual_seed(0)
    model = label_split_training(settings, torch.bincount(data.labels), data.__getitems__(range(2))[0])
    x, y = data.images(range(batch)), data.labels[:batch]
    rng, update = torch.Generator().manual_seed(0), optimizer_update(model.optimizers)
    bare = bare_passes(model.networks, x, y, settings.label_dim + settings.style_dim, settings.style_dim)
    return paired(lambda: model.step((x, y), rng, update), bare, runs, processor_seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as the command line does
    kinds = {"VAE": False, "VAE with a discriminator": True}
    figures = {kind: cost(gan, arguments.batch, arguments.width, arguments.runs) for kind, gan in kinds.items()}
    rows = tuple((kind, f"{1e3 * a:.1f}", f"{1e3 * b:.1f}", f"{ratio:.3f}") for kind, (a, b, ratio) in figures.items())
    title = f"An iteration of {arguments.batch} digits at width {arguments.width}"
    print_table(Table(title, ("kind", "iteration, ms", "bare passes, ms", "ratio"), rows))
    if arguments.out:
        content = {
            "settings": vars(arguments),
            "versions": installed_versions(),
            "figures": {
                kind: dict(zip(("iteration_s", "bare_s", "ratio"), row, strict=True)) for kind, row in figures.items()
            },
        }
        write_json(arguments.out, content)


if __name__ == "__main__":
    main()
