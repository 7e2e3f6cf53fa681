"""What recovery costs beside its generator, and what the closed-form distance saves.

    python benchmarks/recovery_cost.py --out evidence/benchmarks/recovery_cost.json

1. One recovery step (Adam, schedule, regularizer, bookkeeping) over the bare forward and backward pass of the shipped
   generator, at 128 codes. Aim: at most 3 % more. A step works on the generator with its batch normalisation folded away, so
   that it may take less; rows against the bare pass of that show the bookkeeping alone.
2. Loss and gradient of 256 codes x 256 dimensions in closed form, against the form of Cho (2020) written in torch: 10,000
   draws from the prior for each code, two empirical distribution functions, their distance. Aim: at least 50 times faster.

Both sides of a row are timed in turn, a step and a pass, a call and a call, in seconds of the processor, so that other work
on the machine counts little; a row gives medians and the median of the ratios of neighbours.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import get_args

import torch
from sampled_distance import DRAWS, sampled_wasserstein
from timing import paired, processor_seconds
from torch import Tensor, nn

import latentry as lt
from latentry.holding import evaluated
from latentry.latent.recovery import recover_codes
from latentry.latent.regularizers import Distance
from latentry.models.pretrained import installed_versions
from latentry.networks import folded
from latentry.numerics.distances import energy_distance, quantile_cells, wasserstein2_distance, wasserstein_distance
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

WARM_UP = 3
REPEATS = 10


def step_over_bare(
    codes: int, runs: int, regularizer: lt.regularizers.StatisticalDistance | None, form: Callable[[nn.Module], nn.Module]
) -> tuple[float, float, float]:
    """Seconds of one recovery step and of the bare forward + backward pass made right after it, and their ratio."""
    shipped = lt.load_model("digits-generator")
    generator, prior = shipped.generator, shipped.prior
    assert prior is not None
    bare = form(generator)
    with torch.no_grad():
        x = generator(prior.sample(codes, rng=torch.Generator().manual_seed(0)))
    z = prior.sample(codes).requires_grad_(True)
    taken: list[float] = []
    bares: list[float] = []
    mark = 0.0

    def after_a_step(done: int, total: int) -> None:
        nonlocal mark
        taken.append(time.process_time() - mark)
        bares.append(processor_seconds(lambda: torch.autograd.grad(bare(z).sum(), z)))
        mark = time.process_time()

    with evaluated(generator):
        recover_codes(
            generator,
            x,
            prior,
            solver=lt.solvers.Adam(steps=4 * runs + WARM_UP),
            regularizer=regularizer,
            restarts=1,
            progress=after_a_step,
        )
    pairs = list(zip(taken, bares, strict=True))[WARM_UP:]
    return median(taken[WARM_UP:]), median(bares[WARM_UP:]), median(step / bare for step, bare in pairs)


def closed_over_sampled(
    distance: Callable[[Tensor], Tensor], prior: lt.priors.IIDPrior, n: int, runs: int
) -> tuple[float, float, float]:
    z = prior.sample(n, rng=torch.Generator().manual_seed(0)).requires_grad_(True)
    rng = torch.Generator().manual_seed(1)

    def closed() -> None:
        for _ in range(REPEATS):  # as in a recovery, call after call
            torch.autograd.grad(distance(z).sum(), z)

    def sampled() -> None:
        torch.autograd.grad(sampled_wasserstein(z, prior, rng).sum(), z)

    first, second, ratio = paired(closed, sampled, runs, processor_seconds)
    return first / REPEATS, second, ratio / REPEATS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--codes", type=int, default=128)
    parser.add_argument("--d", type=int, default=256)
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    figures: dict[str, tuple[float, float, float]] = {}
    for kind, form in (("bare", lambda generator: generator), ("folded", folded)):
        for regularizer in (None, *map(lt.regularizers.StatisticalDistance, get_args(Distance))):
            label = "none" if regularizer is None else regularizer.distance
            row = step_over_bare(arguments.codes, arguments.runs, regularizer, form)
            figures[f"recovery step, {label} / {kind} pass"] = row
    prior = lt.priors.Normal(arguments.d)
    cells = quantile_cells(prior.marginal, arguments.d, torch.empty(0))
    distances: dict[str, Callable[[Tensor], Tensor]] = {
        "wasserstein": lambda z: wasserstein_distance(z, prior.marginal, cells),
        "wasserstein2": lambda z: wasserstein2_distance(z, cells),
        "energy": lambda z: energy_distance(z, prior.marginal),
    }
    for name, distance in distances.items():
        row = closed_over_sampled(distance, prior, arguments.d, max(3, arguments.runs // 2))
        figures[f"{name} closed / sampled W1"] = row

    rows = [
        (name, f"{1e3 * first:.2f}", f"{1e3 * second:.2f}", f"{ratio:.4f}", f"{1 / ratio:.1f}x")
        for name, (first, second, ratio) in figures.items()
    ]
    title = f"{arguments.codes} codes of the shipped generator; {arguments.d} x {arguments.d} codes, {DRAWS} draws"
    print_table(Table(title, ("first / second", "first ms", "second ms", "ratio", "inverse"), tuple(rows)))
    if arguments.out:
        content = {
            "settings": vars(arguments) | {"threads": torch.get_num_threads()},
            "versions": installed_versions(),
            "figures": {
                name: dict(zip(("first_s", "second_s", "ratio"), row, strict=True)) for name, row in figures.items()
            },
        }
        write_json(arguments.out, content)


if __name__ == "__main__":
    main()
