"""Known codes and provenance as cells.

Codes drawn from the prior of trained generators are recovered from their images, from draws of the prior and from a learned
start (`latent.known_codes` says when one is found). The cost of a code is counted in forward passes of the generator: 1 for
one of them or a column of a Jacobian, 2 for a gradient; starts that failed count. A start that makes the data ends the
search, so that the share found at a cost of c or less is what a budget of c buys.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from experiments.framework.cell import Cell, Place, Row, no_progress
from experiments.framework.timing import forward_seconds
from experiments.recovery.protocol import ADAM, APART, DAMPED, TRIALS, LeastSquaresGANCell
from latentry.data.images import from_pixels, to_pixels
from latentry.data.sources import load_dataset
from latentry.evaluation.codes import goodness_of_fit
from latentry.holding import evaluated
from latentry.latent.inverse import Inverse, fit_inverse
from latentry.latent.inverse_files import load_inverse, save_inverse
from latentry.latent.known_codes import FOUND, code_errors, identifiable_errors
from latentry.latent.provenance import is_from
from latentry.latent.recovery import recover_codes
from latentry.latent.settings import InverseSettings
from latentry.latent.solvers.adam import Adam
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt
from latentry.numerics.ranks import roc_auc
from latentry.priors import UnlabelledPrior
from latentry.storage import read_tensors, write_tensors
from latentry.tasks.loading import load_with_unlabelled_prior

__all__ = ["BUDGETS", "PART", "ChunkCell", "InverseCell", "KnownCodesCell", "ProvenanceCell", "cost_of_found"]

PART = "known-codes"
"""What the table of results calls it."""
BUDGETS = (2500, 10_000)
"""Costs of a code at which the share found is reported."""
_USED = {"learned": 0.08, "prior": 0.17}
"""Share of the most evaluations that Levenberg-Marquardt is expected to need, by its start; from trials."""
_ENCODER = 8
"""Cost of an iteration on a pair over that of a forward pass."""


def _generator(place: Place, name: str) -> tuple[nn.Module, UnlabelledPrior]:
    model, prior = load_with_unlabelled_prior(place.sources[name])
    return model.generator.to(place.device), prior


@lru_cache(maxsize=8)
def _sizes(name: str, device: str) -> tuple[int, float]:
    """Length of a generator's codes, and the seconds of a forward pass of one."""
    model, prior = load_with_unlabelled_prior(name)
    z = torch.randn(128, prior.latent_dim, device=device)
    return prior.latent_dim, forward_seconds(model.generator.to(device), z)


@dataclass(frozen=True)
class InverseCell(Cell):
    """A learned start: an encoder of the generator's own images, from its last checkpoint if it was stopped."""

    generator: str
    fingerprint: str
    seed: int
    steps: int
    batch_size: int
    width: int

    @property
    def name(self) -> str:
        return f"inverse-{self.generator}"

    @property
    def artifact(self) -> str:
        return f"work/{self.name}/config.json"

    @property
    def row(self) -> Row:
        return Row("learned-starts", self.generator, "inverse", self.seed)

    def expected_seconds(self, place: Place) -> float:
        return self.steps * self.batch_size * _ENCODER * _sizes(place.sources[self.generator], place.device)[1]

    def work(self, place: Place) -> dict[str, Any]:
        inverse = fit_inverse(
            *_generator(place, self.generator),
            InverseSettings(
                steps=self.steps,
                batch_size=self.batch_size,
                width=self.width,
                checkpoint_every=max(1, min(250, self.steps // 2)),
            ),
            rng=torch.Generator().manual_seed(self.seed),
            checkpoint=place.home(self.name),
            progress=no_progress,
        )
        save_inverse(place.home(self.name), inverse)
        return asdict(inverse.report)

    def trained(self, place: Place, generator: nn.Module) -> Inverse:
        """The encoder."""
        return load_inverse(place.home(self.name), generator)


@dataclass(frozen=True)
class ChunkCell(Cell):
    """Some known codes of one generator, recovered in one way."""

    generator: str
    fingerprint: str
    solver: Literal["levenberg-marquardt", "adam"]
    inverse: InverseCell | None
    """Learned start; None for draws of the prior alone."""
    eight_bit: bool
    """Whether images are rounded first."""
    steps: int
    starts: int
    chunk: int
    count: int
    seed: int

    @property
    def start(self) -> str:
        """Where it begins."""
        return "prior" if self.inverse is None else "learned"

    @property
    def method(self) -> str:
        """What tables call it."""
        title = {"levenberg-marquardt": "Levenberg-Marquardt", "adam": "Adam"}[self.solver]
        return f"{title}, {self.start} start" + (", 8 bits" if self.eight_bit else "")

    @property
    def way(self) -> str:
        """Generator and method, as names of files have them."""
        return f"{self.generator}-{self.solver}-{self.start}{'-8bit' if self.eight_bit else ''}"

    @property
    def name(self) -> str:
        return f"known-{self.way}-{self.chunk:03d}"

    @property
    def artifact(self) -> str:
        return f"codes/{self.name}.safetensors"

    @property
    def builds_on(self) -> tuple[str, ...]:
        return () if self.inverse is None else (self.inverse.name,)

    def expected_seconds(self, place: Place) -> float:
        d, forward = _sizes(place.sources[self.generator], place.device)
        if self.solver == "adam":
            return self.count * self.starts * self.steps * 3 * ADAM * forward
        return self.count * self.starts * self.steps * (d + TRIALS) * _USED[self.start] * DAMPED * forward

    def work(self, place: Place) -> dict[str, Any]:
        generator, prior = _generator(place, self.generator)
        # the same codes and starts for every method, and no start a code
        codes, starts = (
            torch.Generator().manual_seed(1_000_003 * (self.seed + 1) + self.chunk + offset) for offset in (0, APART)
        )
        z = prior.sample(self.count, rng=codes).to(place.device)
        x = _images(generator, z)
        damped = LevenbergMarquardt(steps=self.steps)
        found = recover_codes(
            generator,
            from_pixels(to_pixels(x)) if self.eight_bit else x,
            prior,
            solver=damped if self.solver == "levenberg-marquardt" else Adam(steps=self.steps, halve_at=None),
            start=None if self.inverse is None else self.inverse.trained(place, generator),
            restarts=self.starts,
            rng=starts,
        )
        with evaluated(generator):
            identifiable = identifiable_errors(generator, found.z, z, prior)
        write_tensors(place.folder / self.artifact, {"z": z, "z_hat": found.z})
        return {
            "code_error": code_errors(found.z, z, prior).tolist(),
            "identifiable_error": identifiable.error.tolist(),
            "rank": identifiable.rank.tolist(),
            "evaluations": found.evaluations.tolist(),
            "reconstruction_error": found.reconstruction_error.tolist(),
            "met": found.met.tolist(),
        }


@dataclass(frozen=True)
class KnownCodesCell(Cell):
    """All known codes of one generator that were recovered in one way."""

    first: ChunkCell
    count: int
    """Codes of all chunks together."""

    @property
    def chunks(self) -> tuple[ChunkCell, ...]:
        """Where the codes are."""
        size = self.first.count
        return tuple(
            replace(self.first, chunk=chunk, count=min(size, self.count - chunk * size))
            for chunk in range(-(-self.count // size))
        )

    @property
    def name(self) -> str:
        return f"known-{self.first.way}"

    @property
    def builds_on(self) -> tuple[str, ...]:
        return tuple(chunk.name for chunk in self.chunks)

    @property
    def row(self) -> Row:
        return Row(PART, self.first.generator, self.first.method, self.first.seed)

    def expected_seconds(self, place: Place) -> float:
        return 1.0

    def work(self, place: Place) -> dict[str, Any]:
        _, prior = _generator(place, self.first.generator)
        z_hat = torch.cat([read_tensors(place.folder / chunk.artifact)["z_hat"] for chunk in self.chunks])
        fit = goodness_of_fit(z_hat, prior, rng=torch.Generator().manual_seed(0))
        return summary([place.result(chunk.name) for chunk in self.chunks]) | {"passes": fit.passes, "verdict": fit.verdict}


def summary(chunks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Shares found, cost and dimension of the identifiable subspace over the results of all chunks."""

    def joined(name: str) -> Tensor:
        return torch.tensor([value for result in chunks for value in result[name]], dtype=torch.float64)

    found, cost, rank = joined("code_error") < FOUND, joined("evaluations"), joined("rank")
    return {
        "codes": len(found),
        "found": found.double().mean().item(),
        "identifiable": (joined("identifiable_error") < FOUND).double().mean().item(),
        "within": {str(budget): (found & (cost <= budget)).double().mean().item() for budget in BUDGETS},
        "dimension": {"least": int(rank.min()), "most": int(rank.max())},
        "evaluations": {"mean": cost.mean().item(), "90 %": cost.quantile(0.9).item(), "most": cost.max().item()},
    }


def cost_of_found(chunks: Sequence[dict[str, Any]]) -> tuple[list[float], int]:
    """What each found code cost, and how many codes there were."""
    pairs = [pair for result in chunks for pair in zip(result["evaluations"], result["code_error"], strict=True)]
    return sorted(float(cost) for cost, error in pairs if error < FOUND), len(pairs)


@dataclass(frozen=True)
class ProvenanceCell(Cell):
    """Own samples against real held-out images and against those of another generator of the same data."""

    generator: str
    fingerprint: str
    inverse: InverseCell
    data: str
    other: LeastSquaresGANCell | None
    images: int
    calibration: int
    steps: int
    seed: int

    @property
    def name(self) -> str:
        return f"provenance-{self.generator}"

    @property
    def builds_on(self) -> tuple[str, ...]:
        return (self.inverse.name, *(() if self.other is None else (self.other.name,)))

    @property
    def row(self) -> Row:
        return Row("provenance", self.generator, "recovery-error", self.seed)

    def expected_seconds(self, place: Place) -> float:
        d, forward = _sizes(place.sources[self.generator], place.device)
        images = self.images * (2 if self.other is None else 3) + self.calibration
        return images * self.steps * (d + TRIALS) * DAMPED * forward

    def work(self, place: Place) -> dict[str, Any]:
        generator, prior = _generator(place, self.generator)
        rng = torch.Generator().manual_seed(self.seed)
        images = {"own": _images(generator, prior.sample(self.images, rng=rng).to(place.device))}
        images["real"] = load_dataset(self.data).split("held-out").images(range(self.images)).to(place.device)
        if self.other is not None:
            other, _, of_other = self.other.trained(place)
            images["other generator"] = _images(other, of_other.sample(self.images, rng=rng).to(place.device))
        found = is_from(
            generator,
            torch.cat(list(images.values())),
            prior,
            calibration=self.calibration,
            eight_bit=True,  # real images have no more
            rng=rng,
            solver=LevenbergMarquardt(steps=self.steps),
            start=self.inverse.trained(place, generator),
            restarts=1,
        )
        scores = dict(zip(images, found.score.cpu().split(self.images), strict=True))
        p_values = dict(zip(images, found.p_value.cpu().split(self.images), strict=True))
        return {
            "auc": {name: asdict(roc_auc(score, scores["own"])) for name, score in scores.items() if name != "own"},
            "rejected": {name: (p <= 0.05).double().mean().item() for name, p in p_values.items()},
            "median_score": {name: score.median().item() for name, score in scores.items()},
        }


def _images(generator: nn.Module, z: Tensor) -> Tensor:
    with evaluated(generator), torch.no_grad():
        return generator(z)
