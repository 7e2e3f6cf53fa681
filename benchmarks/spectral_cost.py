"""What a basis of codes costs, beside scikit-learn and beside the networks that the codes go through.

    python benchmarks/spectral_cost.py --out evidence/benchmarks/spectral_cost.json

1. All principal directions of 200,000 x 512 codes in a stream, and the labelled basis of the same codes, against
   scikit-learn's `IncrementalPCA` for the same components, in its own batches of 5 d. Aim: at least 3 times as fast.
2. The paper's basis for the shipped digits, drawn from the prior, with the guide as classifier. Aim: under 30 s on two
   cores, of which at least 90 % are the generator's and the classifier's own forward passes.

Times are of the wall clock. The classifier is as much a forward pass as the generator, and both shares are stated. The paper
averages 5,000 codes for each label and block; that is a matter of patience, since the time grows in proportion, and here
`--per_label` codes are averaged.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from sklearn.decomposition import IncrementalPCA
from torch import Tensor, nn

import latentry as lt
from latentry.models.pretrained import installed_versions
from latentry.reports.tables import Table, print_table
from latentry.storage import write_json

LABELS = 10


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def codes_with_labels(n: int, d: int) -> tuple[Tensor, Tensor]:
    """Normal codes whose standard deviations fall, so that directions are unique, with a label each."""
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(n, d, generator=rng) * torch.linspace(2.0, 0.5, d)
    return z, z[:, :LABELS].argmax(1)


def against_incremental_pca(n: int, d: int, components: int) -> dict[str, float]:
    """Seconds of ours and of scikit-learn's, and the largest sine of the angle between directions of the same rank."""
    z, y = codes_with_labels(n, d)
    directions_s, basis = seconds(lambda: lt.directions.principal_directions(z, components=components))
    labelled_s, _ = seconds(lambda: lt.directions.basis_from_codes(z, y))
    peer_s, peer = seconds(lambda: IncrementalPCA(components).fit(z.numpy()))
    theirs = torch.from_numpy(peer.components_).double()
    cosines = torch.cosine_similarity(basis.vectors.double(), theirs)
    return {
        "codes": n,
        "d": d,
        "components": components,
        "principal_directions_s": directions_s,
        "labelled_basis_s": labelled_s,
        "incremental_pca_s": peer_s,
        "ratio_principal_directions": peer_s / directions_s,
        "ratio_labelled_basis": peer_s / labelled_s,
        "largest_sine": (1 - cosines.square()).clamp(min=0).sqrt().max().item(),
    }


class Timed:
    """Seconds that a network spends in its forward passes, and the rows that went through."""

    def __init__(self, network: nn.Module) -> None:
        self.seconds, self.rows = 0.0, 0
        network.register_forward_pre_hook(self._begin)
        network.register_forward_hook(self._end)

    def _begin(self, network: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        self.began = time.perf_counter()

    def _end(self, network: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        self.seconds += time.perf_counter() - self.began
        self.rows += len(output)


def papers_basis(per_label: int, blocks: int | None) -> dict[str, float]:
    """Seconds of the paper's basis for the shipped digits, and what the networks take of them."""
    shipped, guide = lt.load_model("digits-generator"), lt.load_model("digits-guide").network
    assert shipped.prior is not None
    prior, rng = shipped.prior, torch.Generator().manual_seed(0)
    with torch.no_grad():
        guide(shipped.generator(prior.sample(250)))  # what a first pass sets up is no cost of a basis
    generator_time, classifier_time = Timed(shipped.generator), Timed(guide)
    whole_s, basis = seconds(
        lambda: lt.directions.quasi_eigenvectors_toledo2023(
            shipped.generator, guide, prior, per_label=per_label, blocks=blocks, rng=rng
        )
    )
    return {
        "per_label": per_label,
        "rows": len(basis.vectors),
        "codes": generator_time.rows,
        "whole_s": whole_s,
        "generator_s": generator_time.seconds,
        "classifier_s": classifier_time.seconds,
        "share_of_generator": generator_time.seconds / whole_s,
        "share_of_classifier": classifier_time.seconds / whole_s,
        "share_of_both": (generator_time.seconds + classifier_time.seconds) / whole_s,
    }


def shown(title: str, figures: dict[str, float]) -> None:
    print_table(Table(title, ("", "value"), tuple((name, f"{value:.4g}") for name, value in figures.items())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=int, default=200_000)
    parser.add_argument("--d", type=int, default=512)
    parser.add_argument("--components", type=int, help="all by default")
    parser.add_argument("--per_label", type=int, default=200)
    parser.add_argument("--blocks", type=int, help="as many as the codes have dimensions by default")
    parser.add_argument("--out", help="write the figures as JSON to this file")
    arguments = parser.parse_args()

    stream = against_incremental_pca(arguments.codes, arguments.d, arguments.components or arguments.d)
    shown(f"Directions of {arguments.codes} x {arguments.d} codes, {torch.get_num_threads()} thread(s)", stream)
    basis = papers_basis(arguments.per_label, arguments.blocks)
    shown("The paper's basis of the shipped digits", basis)
    if arguments.out:
        content = {
            "settings": vars(arguments) | {"threads": torch.get_num_threads()},
            "versions": installed_versions(),
            "stream": stream,
            "papers_basis": basis,
        }
        write_json(arguments.out, content)


if __name__ == "__main__":
    main()
