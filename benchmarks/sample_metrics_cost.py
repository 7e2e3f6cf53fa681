"""What sample metrics cost beside the packages people use, and whether the values are the same.

    pip install 'latentry[bench]'
    python benchmarks/sample_metrics_cost.py --out evidence/benchmarks/sample_metrics.json

1. Frechet distance at D = 2048, from the moments alone and from the features of two samples of 5,000, against
   torch-fidelity, torchmetrics, pytorch-fid and clean-fid. Aim: at least twice as fast as the fastest, equal to 1e-6.
2. Precision, recall, density and coverage of 3,000 x 512 features, against prdc. Aim: not slower, equal values.
3. Parity on two small samples made by a formula, which the tests compute again: the peers' values are written out.

Figures are CPU seconds of one thread. Both sides of a row are run in turn; a row gives medians and the median of the ratios.
A peer that cannot be imported or breaks is a row of the table, with its reason. torchvision's wheels do not import beside
the CPU build of torch, although nothing that is measured needs it: its registrations are replaced by an empty module here,
and only here.
"""

import argparse
import importlib
import platform
import sys
import types
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from importlib import metadata
from statistics import median
from typing import Any

import numpy as np
import torch
from timing import processor_seconds
from torch import Tensor

from latentry.numerics.frechet import gaussian_frechet_distance
from latentry.numerics.moments import moments
from latentry.numerics.neighbours import neighbour_metrics
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

PEERS = ("torch-fidelity", "torchmetrics", "pytorch-fid", "clean-fid", "prdc", "numpy", "scipy", "scikit-learn", "torch")


def parity_features() -> tuple[Tensor, Tensor]:
    """Two samples of 400 x 24 and 300 x 24 that follow from a formula: normal scores of Kronecker sequences, then mixed."""
    primes = [p for p in range(2, 100) if all(p % q for q in range(2, p))][:24]
    roots = torch.tensor(primes, dtype=torch.float64).sqrt()

    def scores(start: int, rows: int) -> Tensor:
        return torch.special.ndtri((torch.arange(start, start + rows, dtype=torch.float64)[:, None] * roots).frac())

    scale = torch.linspace(0.5, 2.0, 24, dtype=torch.float64)
    generated = scores(1, 400) * scale + 0.2
    generated[:, 1:] += 0.5 * generated[:, :-1]
    return generated, scores(1001, 300) * scale.flip(0)


@dataclass(frozen=True)
class Row:
    """One comparison."""

    what: str
    peer: str
    ours: float
    """Median seconds of ours."""
    theirs: float
    """Median seconds of the peer's."""
    ratio: float
    """Median of theirs / ours: above 1, ours is faster."""
    difference: float
    """Largest relative difference of the values."""


@dataclass(frozen=True)
class Missing:
    """A peer that did not take part."""

    what: str
    peer: str
    reason: str


def compare(
    what: str, peer: str, ours: Callable[..., Any], make: Callable[[], Callable[..., Any]], data: tuple[Any, ...], runs: int
) -> Row | Missing:
    """Values and costs of both on the same data."""
    try:
        theirs = make()
        a, b = (np.atleast_1d(np.asarray(work(*data), dtype=float)) for work in (ours, theirs))
    except Exception as error:  # whatever a peer breaks with is a line of the table
        return Missing(what, peer, f"{type(error).__name__}: {str(error).splitlines()[0][:100]}")
    pairs = [(processor_seconds(lambda: ours(*data)), processor_seconds(lambda: theirs(*data))) for _ in range(runs)]
    return Row(
        what,
        peer,
        median(first for first, _ in pairs),
        median(second for _, second in pairs),
        median(second / first for first, second in pairs),
        float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-300))),
    )


def import_without_torchvision_operators(name: str) -> Any:
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
    return importlib.import_module(name)


Moment = tuple[np.ndarray, np.ndarray]


def torch_fidelity_from_moments() -> Callable[[Moment, Moment], float]:
    fid = import_without_torchvision_operators("torch_fidelity.metric_fid")

    def distance(first: Moment, second: Moment) -> float:
        stat = [{"mu": mu, "sigma": sigma} for mu, sigma in (first, second)]
        return float(fid.fid_statistics_to_metric(*stat, verbose=False)[fid.KEY_METRIC_FID])

    return distance


def torch_fidelity_from_features() -> Callable[[Tensor, Tensor], float]:
    fid = import_without_torchvision_operators("torch_fidelity.metric_fid")

    def distance(x: Tensor, y: Tensor) -> float:
        stats = [fid.fid_features_to_statistics(features) for features in (x, y)]
        return float(fid.fid_statistics_to_metric(*stats, verbose=False)[fid.KEY_METRIC_FID])

    return distance


def torchmetrics_from_moments() -> Callable[[Moment, Moment], float]:
    fid = import_without_torchvision_operators("torchmetrics.image.fid")
    return lambda first, second: float(fid._compute_fid(*(torch.from_numpy(part) for part in (*first, *second))))


def torchmetrics_from_features() -> Callable[[Tensor, Tensor], float]:
    fid = import_without_torchvision_operators("torchmetrics.image.fid")

    class Features(torch.nn.Module):
        num_features = 0

        def forward(self, x: Tensor) -> Tensor:
            return x

    def distance(x: Tensor, y: Tensor) -> float:
        network = Features()
        network.num_features = x.shape[1]
        metric = fid.FrechetInceptionDistance(feature=network).set_dtype(torch.float64)
        metric.update(x, real=False)
        metric.update(y, real=True)
        return float(metric.compute())

    return distance


def numpy_moments(x: Tensor) -> Moment:
    return np.mean(x.numpy(), axis=0), np.cov(x.numpy(), rowvar=False)


def pytorch_fid_from_moments() -> Callable[[Moment, Moment], float]:
    fid = import_without_torchvision_operators("pytorch_fid.fid_score")
    return lambda first, second: float(fid.calculate_frechet_distance(*first, *second))


def pytorch_fid_from_features() -> Callable[[Tensor, Tensor], float]:
    distance = pytorch_fid_from_moments()
    return lambda x, y: distance(numpy_moments(x), numpy_moments(y))


def clean_fid_from_moments() -> Callable[[Moment, Moment], float]:
    fid = import_without_torchvision_operators("cleanfid.fid")
    return lambda first, second: float(fid.frechet_distance(*first, *second))


def clean_fid_from_features() -> Callable[[Tensor, Tensor], float]:
    fid = import_without_torchvision_operators("cleanfid.fid")
    return lambda x, y: float(fid.fid_from_feats(x.numpy(), y.numpy()))


FROM_MOMENTS = {
    "torch-fidelity": torch_fidelity_from_moments,
    "torchmetrics": torchmetrics_from_moments,
    "pytorch-fid": pytorch_fid_from_moments,
    "clean-fid": clean_fid_from_moments,
}
FROM_FEATURES = {
    "torch-fidelity": torch_fidelity_from_features,
    "torchmetrics": torchmetrics_from_features,
    "pytorch-fid": pytorch_fid_from_features,
    "clean-fid": clean_fid_from_features,
}


def ours_from_moments(first: Moment, second: Moment) -> float:
    return gaussian_frechet_distance(*(torch.from_numpy(part) for part in (*first, *second))).item()


def ours_from_features(x: Tensor, y: Tensor) -> float:
    a, b = moments(x), moments(y)
    return gaussian_frechet_distance(a.mean, a.covariance, b.mean, b.covariance).item()


def features_of(n: int, d: int, seed: int) -> Tensor:
    """Float32 features like a network's: correlated, with standard deviations that fall by a power law."""
    rng = torch.Generator().manual_seed(seed)
    mixed = torch.randn(n, d, generator=rng) * torch.arange(1, d + 1).pow(-0.4 - 0.1 * seed)
    return mixed + 0.3 * mixed.roll(1, dims=1) + 0.05 * seed


def ours_neighbours(x: Tensor, y: Tensor) -> list[float]:
    found = neighbour_metrics(x, y, 5)
    return [found.precision, found.recall, found.density, found.coverage]


def prdc_neighbours() -> Callable[[Tensor, Tensor], list[float]]:
    peer = importlib.import_module("prdc")

    def metrics(x: Tensor, y: Tensor) -> list[float]:
        with redirect_stdout(None):  # it prints the sizes
            found = peer.compute_prdc(real_features=y.numpy(), fake_features=x.numpy(), nearest_k=5)
        return [float(found[name]) for name in ("precision", "recall", "density", "coverage")]

    return metrics


def torch_fidelity_kernel() -> Callable[[Tensor, Tensor], float]:
    kid = import_without_torchvision_operators("torch_fidelity.metric_kid")
    cubic = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}

    def distance(x: Tensor, y: Tensor) -> float:
        a, b = x.numpy(), y.numpy()
        return float(kid.mmd2(*(kid.kernel_poly(*pair, **cubic) for pair in ((a, a), (a, b), (b, b)))))

    return distance


def torch_fidelity_score() -> Callable[[Tensor], float]:
    isc = import_without_torchvision_operators("torch_fidelity.metric_isc")
    return lambda logits: float(isc.isc_features_to_metric(logits, splits=1, shuffle=False)[isc.KEY_METRIC_ISC_MEAN])


def measured(d: int, n: int, runs: int) -> list[Row | Missing]:
    x, y = features_of(n, d, 1), features_of(n, d, 2)
    first, second = numpy_moments(x.double()), numpy_moments(y.double())
    from_moments, from_features = f"Frechet distance from moments, D = {d}", f"Frechet distance from {n} features, D = {d}"
    small = features_of(3000, 512, 1), features_of(3000, 512, 2)
    return [
        *(
            compare(from_moments, peer, ours_from_moments, make, (first, second), runs)
            for peer, make in FROM_MOMENTS.items()
        ),
        *(compare(from_features, peer, ours_from_features, make, (x, y), runs) for peer, make in FROM_FEATURES.items()),
        compare("PRDC, 3000 x 512, float32", "prdc", ours_neighbours, prdc_neighbours, small, runs),
        compare(
            "PRDC, 3000 x 512, float64",
            "prdc",
            ours_neighbours,
            prdc_neighbours,
            tuple(part.double() for part in small),
            runs,
        ),
    ]


def parity() -> dict[str, dict[str, float | list[float]]]:
    """The peers' own values on `parity_features`, for the tests."""
    x, y = parity_features()
    found: dict[str, dict[str, float | list[float]]] = {}
    found["frechet_distance"] = {peer: make()(x, y) for peer, make in FROM_FEATURES.items()}
    found["kernel_distance of the first 300 rows"] = {"torch-fidelity": torch_fidelity_kernel()(x[:300], y)}
    found["score of the first 10 columns as logits"] = {"torch-fidelity": torch_fidelity_score()(x[:, :10])}
    found["precision, recall, density, coverage; k = 5"] = {"prdc": prdc_neighbours()(x, y)}
    return found


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PEERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--d", type=int, default=2048)
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # OMP_NUM_THREADS=1 sets numpy's as well

    rows = measured(arguments.d, arguments.n, arguments.runs)
    shown = [
        (row.what, row.peer, f"{row.ours:.2f}", f"{row.theirs:.2f}", f"{row.ratio:.2f}x", f"{row.difference:.1e}")
        if isinstance(row, Row)
        else (row.what, row.peer, "", "", "", row.reason)
        for row in rows
    ]
    columns = ("what", "peer", "ours s", "theirs s", "theirs / ours", "difference")
    print_table(Table("CPU seconds of one thread; below 1x the peer wins", columns, tuple(shown)))
    if arguments.out:
        content = {
            "settings": vars(arguments) | {"threads": torch.get_num_threads()},
            "versions": versions(),
            "figures": [asdict(row) for row in rows],
            "parity": parity(),
        }
        write_json(arguments.out, content)


if __name__ == "__main__":
    main()
