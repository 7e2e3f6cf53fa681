"""What the 1-Wasserstein distance of codes to their prior costs, beside what others have for it.

    pip install 'latentry[bench]'
    python benchmarks/regularizer_cost.py --out evidence/benchmarks/regularizer_cost.json

For 16 x 256, 256 x 256 and 16 x 16384 codes in single precision, the value alone and the value with its gradient:

- POT's `wasserstein_1d` against the d quantiles of the prior, and against 10,000 draws of it;
- scipy's `wasserstein_distance` against the d quantiles, code by code (it has no gradient);
- the form of Cho (2020), written in torch: 10,000 fresh draws for each code.

Only ours is the distance to the distribution itself; the others take the distance to points in its place. Aim: never slower
than any, and at least 4 times as fast as POT at 256 x 256.

Both sides of a row are timed in turn, call by call; a row gives medians and the median of the ratios of neighbours. What
depends on the prior alone, its cells or its quantiles or its one sample, is made beforehand on both sides.
"""

import argparse
from collections.abc import Callable

import numpy as np
import ot
import torch
from sampled_distance import DRAWS, sampled_wasserstein
from scipy import stats
from timing import paired
from torch import Tensor

import latentry as lt
from latentry.models.pretrained import installed_versions
from latentry.numerics.distances import quantile_cells, wasserstein_distance
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

SIZES = ((16, 256), (256, 256), (16, 16384))


def with_gradient(distance: Callable[[Tensor], Tensor], z: Tensor) -> Callable[[], object]:
    leaf = z.clone().requires_grad_(True)
    return lambda: torch.autograd.grad(distance(leaf).sum(), leaf)


def compared(n: int, d: int, runs: int) -> tuple[dict[str, tuple[float, float, float]], dict[str, float]]:
    """Seconds of ours and of each peer, their ratios; and how far each peer's values are from ours."""
    prior = lt.priors.Normal(d)
    z = prior.sample(n, rng=torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(1)
    cells = quantile_cells(prior.marginal, d, z)
    quantiles = prior.marginal.icdf((torch.arange(d, dtype=torch.float64) + 0.5) / d).to(z)
    points = prior.marginal.draw((DRAWS,), rng, z)
    # POT wants one column for each code
    columns = {"POT, d quantiles": quantiles[:, None].repeat(1, n), "POT, 10,000 samples": points[:, None].repeat(1, n)}
    table = quantiles.numpy()

    def ours(z: Tensor) -> Tensor:
        return wasserstein_distance(z, prior.marginal, cells)

    def by_scipy(z: Tensor) -> Tensor:
        return torch.from_numpy(np.array([stats.wasserstein_distance(row, table) for row in z.numpy()]))

    peers: dict[str, Callable[[Tensor], Tensor]] = {
        name: lambda z, column=column: ot.wasserstein_1d(z.mT, column)  # type: ignore[misc]
        for name, column in columns.items()
    }
    peers["10,000 fresh draws (Cho)"] = lambda z: sampled_wasserstein(z, prior, rng)

    figures: dict[str, tuple[float, float, float]] = {}
    for name, peer in (*peers.items(), ("scipy, d quantiles, in a loop", by_scipy)):
        figures[f"{n} x {d}, value / {name}"] = paired(lambda: ours(z), lambda peer=peer: peer(z), runs)  # type: ignore[misc]
    for name, peer in peers.items():
        figures[f"{n} x {d}, gradient / {name}"] = paired(with_gradient(ours, z), with_gradient(peer, z), runs)

    exact = ours(z.double())
    gaps = {name: peer(z).double() - exact for name, peer in (*peers.items(), ("scipy, d quantiles, in a loop", by_scipy))}
    gaps["ours, in single precision"] = ours(z).double() - exact
    return figures, {f"{n} x {d}, {name}": gap.abs().mean().item() for name, gap in gaps.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--small", action="store_true", help="only 4 x 16 codes, to see that it runs")
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    figures: dict[str, tuple[float, float, float]] = {}
    differences: dict[str, float] = {}
    for n, d in ((4, 16),) if arguments.small else SIZES:
        found, gaps = compared(n, d, arguments.runs)
        figures |= found
        differences |= gaps

    rows = [
        (name, f"{1e3 * first:.2f}", f"{1e3 * second:.2f}", f"{ratio:.4f}", f"{1 / ratio:.1f}x")
        for name, (first, second, ratio) in figures.items()
    ]
    title = f"W1 of n x d codes to N(0, 1), {torch.get_num_threads()} thread(s)"
    print_table(Table(title, ("ours / peer", "ours ms", "peer ms", "ratio", "inverse"), tuple(rows)))
    gap_rows = tuple((name, f"{gap:.2g}") for name, gap in differences.items())
    print_table(Table("Mean difference to the exact distance", ("", "W1"), gap_rows))
    if arguments.out:
        content = {
            "settings": vars(arguments) | {"threads": torch.get_num_threads(), "draws": DRAWS},
            "versions": installed_versions() | {"POT": ot.__version__},
            "figures": {name: dict(zip(("ours_s", "peer_s", "ratio"), row, strict=True)) for name, row in figures.items()},
            "mean_differences_to_the_exact_distance": differences,
        }
        write_json(arguments.out, content)


if __name__ == "__main__":
    main()
