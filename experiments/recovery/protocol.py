"""The paper's protocol as cells: generators, the grid of each method on validation images, and held-out images.

**The choice** of a grid point, the same for every method, on validation codes: among those whose p-values of single codes
are uniform at 5 % the one with the least L1; where there is none, the one whose p-values are nearest to uniform in the
Kolmogorov-Smirnov distance. Nothing is chosen by dependence between coordinates, so that no method was tuned to that test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from experiments.framework.cell import Cell, Place, Row, flat, no_progress
from experiments.framework.timing import forward_seconds
from experiments.recovery.methods import METHODS, GridPoint, grid, recovery_options
from latentry.data.sources import load_dataset
from latentry.evaluation.codes import goodness_of_fit
from latentry.evaluation.extractor import ClassifierExtractor
from latentry.evaluation.fit_report import GoodnessOfFit
from latentry.evaluation.samples import evaluate_samples
from latentry.holding import evaluated
from latentry.latent.known_codes import FOUND, code_errors
from latentry.latent.recovery import Recovery, recover_codes
from latentry.models.classifier import Classifier, predict_labels
from latentry.models.gan import fit_gan
from latentry.models.pretrained import load_network, save_network
from latentry.models.saving import load_model, save_model
from latentry.models.settings import GANSettings
from latentry.networks import Cho2020Discriminator, Cho2020Generator, DCGANDiscriminator, DCGANGenerator, channels_last
from latentry.priors import IIDPrior
from latentry.reports.pictures import write_sheet
from latentry.tasks.loading import load_with_unlabelled_prior, named_prior

__all__ = ["PART", "LeastSquaresGANCell", "GridCell", "HeldOutCell", "Protocol", "chosen", "fit_numbers"]

PART = "paper"
"""What the table of results calls it."""
UNIFORM = 0.05
"""Level of the test by which a grid point is chosen."""
SHOWN = 12
APART = 500_009
"""Between seeds of codes and seeds of starts: equal ones would start at the truth."""
TRIALS = 13
"""Evaluations of a step of Levenberg-Marquardt beside the columns of its Jacobian."""
ADAM, DAMPED = 1.3, 1.8
"""Seconds of an evaluation over those of a forward pass."""
_BATCH = 128


@dataclass(frozen=True)
class LeastSquaresGANCell(Cell):
    """A least-squares GAN, whose generator and discriminator are kept."""

    data: str
    prior: str
    seed: int
    network: Literal["dcgan", "cho2020"]
    latent_dim: int
    width: int
    steps: int
    batch_size: int
    learning_rate: float
    r1: float
    classifier: str
    """Classifier by whose features its samples are evaluated, and that gives labels to reconstructions."""

    @property
    def name(self) -> str:
        return f"gan-{self.prior}-{self.seed}"

    @property
    def artifact(self) -> str:
        return f"work/{self.name}/discriminator/config.json"

    @property
    def row(self) -> Row:
        return Row("generators", f"{Path(self.data).name}, {self.prior} prior", "GAN", self.seed)

    def expected_seconds(self, place: Place) -> float:
        return self.steps * self.batch_size * 14 * self.forward_seconds(place)

    def forward_seconds(self, place: Place) -> float:
        """Of a forward pass of one code, whatever the prior and the seed."""
        return _forward_seconds(replace(self, prior="normal", seed=0), place.device)

    def networks(self) -> tuple[nn.Module, nn.Module]:
        """Untrained generator and discriminator: as the shipped ones are, or the paper's own."""
        channels, side, _ = load_dataset(self.data).shape
        if self.network == "cho2020":
            of_codes: nn.Module = Cho2020Generator(self.latent_dim, side, channels, self.width)
            of_data: nn.Module = Cho2020Discriminator(side, channels, self.width)
        else:
            of_codes = DCGANGenerator(self.latent_dim, side, channels, self.width)
            of_data = DCGANDiscriminator(side, channels, self.width, "none")
        return channels_last(of_codes), channels_last(of_data)

    @property
    def settings(self) -> GANSettings:
        """How they are trained: as the shipped generator was, or as the paper's were."""
        recipe: dict[str, Any] = {"betas": (0.9, 0.999), "ema": 0.0}
        if self.network == "dcgan":
            recipe = {"betas": (0.0, 0.99), "ema": 0.995, "r1": self.r1, "r1_every": 8, "schedule": "cosine"}
        return GANSettings(
            generator_learning_rate=self.learning_rate, discriminator_learning_rate=self.learning_rate,
            objective="least-squares", steps=self.steps, batch_size=self.batch_size,
            checkpoint_every=max(2, -(-self.steps // 4)), **recipe,
        )  # fmt: skip

    @torch.random.fork_rng()
    def work(self, place: Place) -> dict[str, Any]:
        home, device, data = place.home(self.name), torch.device(place.device), load_dataset(self.data)
        torch.manual_seed(self.seed)
        generator, discriminator = self.networks()
        fitted = fit_gan(
            data.split("train"), named_prior(self.prior, self.latent_dim), self.settings, generator=generator,
            discriminator=discriminator, device=device, rng=self.seed, progress=no_progress, checkpoint=home,
        )  # fmt: skip
        save_model(home / "generator", fitted.model, {"trained_by": "experiments recovery", "settings": asdict(self)})
        save_network(home / "discriminator", fitted.networks["discriminator"], None, {"settings": asdict(self)})

        held_out = data.split("held-out").images().to(device)
        z = fitted.model.prior.sample(len(held_out), rng=torch.Generator(device).manual_seed(self.seed))
        extractor = ClassifierExtractor(load_model(self.classifier, Classifier).network.to(device))
        report = evaluate_samples(
            fitted.model.decode(z), held_out, extractor, max_rows=2000, halves=2, rng=torch.Generator().manual_seed(0)
        )
        return {
            "generator": load_model(home / "generator").fingerprint,
            "frechet_distance": report.estimates["frechet_distance"].value,
        }

    def trained(self, place: Place) -> tuple[nn.Module, nn.Module, IIDPrior]:
        """Generator, discriminator and prior."""
        model, prior = load_with_unlabelled_prior(str(place.home(self.name) / "generator"))
        assert isinstance(prior, IIDPrior)
        discriminator = load_network(place.home(self.name) / "discriminator").network
        return model.generator.to(place.device), discriminator.to(place.device), prior


@lru_cache(maxsize=1)
def _forward_seconds(cell: LeastSquaresGANCell, device: str) -> float:
    z = torch.randn(_BATCH, cell.latent_dim, device=device)
    return forward_seconds(cell.networks()[0].to(device).eval(), z)


@dataclass(frozen=True)
class Protocol:
    """How long recovery runs, and the grid; the same for every method."""

    learning_rates: tuple[float, ...]
    weights: tuple[float, ...]
    steps: int
    restarts: int
    damped_steps: int
    """Of Levenberg-Marquardt, from one start."""

    def expected_seconds(self, method: str, gan: LeastSquaresGANCell, place: Place) -> float:
        """Of one image with one point of the grid."""
        if METHODS[method].damped:
            return self.damped_steps * (gan.latent_dim + TRIALS) * DAMPED * gan.forward_seconds(place)
        return self.restarts * self.steps * 3 * ADAM * gan.forward_seconds(place)

    def recover(self, x: Tensor, method: str, point: GridPoint, gan: LeastSquaresGANCell, place: Place) -> Recovery:
        """Codes of images by one method."""
        generator, discriminator, prior = gan.trained(place)
        damped = METHODS[method].damped
        steps, restarts = (self.damped_steps, 1) if damped else (self.steps, self.restarts)
        options = recovery_options(METHODS[method], point, steps, restarts, generator, discriminator)
        rng = torch.Generator().manual_seed(gan.seed + APART)  # the same starts for every method
        return recover_codes(generator, x, prior, rng=rng, **options)


@dataclass(frozen=True)
class GridCell(Cell):
    """The grid of one method on validation images, and which of its points is chosen."""

    gan: LeastSquaresGANCell
    method: str
    protocol: Protocol
    images: int

    @property
    def name(self) -> str:
        return f"tuning-{self.gan.prior}-{self.method}"

    @property
    def builds_on(self) -> tuple[str, ...]:
        return (self.gan.name,)

    @property
    def points(self) -> tuple[GridPoint, ...]:
        """The points that are tried."""
        prior = named_prior(self.gan.prior, self.gan.latent_dim)
        assert isinstance(prior, IIDPrior)  # the settings name no other
        return grid(METHODS[self.method], prior, self.protocol.learning_rates, self.protocol.weights)

    def expected_seconds(self, place: Place) -> float:
        return len(self.points) * self.images * self.protocol.expected_seconds(self.method, self.gan, place)

    def work(self, place: Place) -> dict[str, Any]:
        x = load_dataset(self.gan.data).split("validation").images(range(self.images)).to(place.device)
        prior, trials = self.gan.trained(place)[2], []
        for point in self.points:
            found = self.protocol.recover(x, self.method, point, self.gan, place)
            fit = fit_numbers(goodness_of_fit(found.z.cpu(), prior, rng=torch.Generator().manual_seed(0)))
            # the numbers that the choice reads, and no others
            read = {name: fit[name] for name in ("uniformity_p", "uniformity_distance")}
            trials.append(asdict(point) | {"l1": _sums(x, found)[0]} | read)
        return {"trials": trials, "chosen": chosen(trials)}


def chosen(trials: Sequence[Mapping[str, Any]]) -> int:
    """Number of the grid point that the rule of this module takes."""
    uniform = [index for index, trial in enumerate(trials) if trial["uniformity_p"] >= UNIFORM]
    if uniform:
        return min(uniform, key=lambda index: trials[index]["l1"])
    return min(range(len(trials)), key=lambda index: trials[index]["uniformity_distance"])


@dataclass(frozen=True)
class HeldOutCell(Cell):
    """One method with its chosen grid point on one generator: real held-out images, and the generator's own samples."""

    tuning: GridCell
    gan: LeastSquaresGANCell
    images: int
    known: int

    @property
    def name(self) -> str:
        return f"held-out-{self.gan.prior}-{self.tuning.method}-{self.gan.seed}"

    @property
    def builds_on(self) -> tuple[str, ...]:
        return (self.gan.name,)

    @property
    def row(self) -> Row:
        return Row(PART, f"{Path(self.gan.data).name}, {self.gan.prior} prior", self.tuning.method, self.gan.seed)

    def measures(self, result: dict[str, Any]) -> dict[str, float]:
        point = (part.rpartition(" ") for part in result["setting"].split(", "))
        named = {name: float(value) for name, _, value in point if name in ("rate", "strength")}
        return named | {"uniform": float(result["uniformity_p"] >= UNIFORM)} | dict(flat(result))

    def expected_seconds(self, place: Place) -> float:
        images = self.images + self.known
        return images * self.tuning.protocol.expected_seconds(self.tuning.method, self.gan, place)

    def work(self, place: Place) -> dict[str, Any]:
        generator, _, prior = self.gan.trained(place)
        point = self.tuning.points[place.result(self.tuning.name)["chosen"]]
        held_out = load_dataset(self.gan.data).split("held-out")
        x, y = held_out.images(range(self.images)).to(place.device), held_out.labels[: self.images]

        def recover(x: Tensor) -> Recovery:
            return self.tuning.protocol.recover(x, self.tuning.method, point, self.gan, place)

        found = recover(x)
        classifier = load_model(self.gan.classifier, Classifier).network.to(place.device)
        l1, l2 = _sums(x, found)
        shown = {"real digit": x, "recovered": found.x_hat}
        write_sheet(place.picture(self.name), [(title, images[:SHOWN].cpu()) for title, images in shown.items()])

        z = prior.sample(self.known, rng=torch.Generator().manual_seed(self.gan.seed)).to(place.device)
        with evaluated(generator), torch.no_grad():
            own = generator(z)
        error = code_errors(recover(own).z, z, prior)
        return {
            "setting": str(point),
            "l1": l1,
            "l2": l2,
            "agreement": (predict_labels(classifier, found.x_hat)[0].cpu() == y).double().mean().item(),
            **fit_numbers(goodness_of_fit(found.z.cpu(), prior, rng=torch.Generator().manual_seed(0))),
            "code_error": error.median().item(),
            "found": (error < FOUND).double().mean().item(),
            "evaluations": found.evaluations.double().mean().item(),
        }


def _sums(x: Tensor, found: Recovery) -> tuple[float, float]:
    """The paper's L1 and L2: means over images of the sums over pixels."""
    difference = (found.x_hat - x).flatten(1)
    return difference.abs().sum(1).mean().item(), difference.square().sum(1).mean().item()


_TESTS = {
    "elements": "elements, KS",
    "codes": "codes, KS",
    "norm": "norm",
    "correlation": "correlation",
    "projections": "projections",
}
"""Tests by the beginnings of their names in the report."""


def fit_numbers(fit: GoodnessOfFit) -> dict[str, Any]:
    """What tables show of a report."""
    tests = {name: next(check for check in fit.checks if check.name.startswith(start)) for name, start in _TESTS.items()}
    return {
        "mean": fit.mean,
        "variance": fit.std**2,
        "ks": fit.statistic,
        "ks_p": fit.p_value,
        "uniformity_p": fit.uniformity_p_value,
        "uniformity_distance": tests["codes"].statistic,
        "p_values": {name: check.p_value for name, check in tests.items()},
        "passes": fit.passes,
        "verdict": fit.verdict,
    }
