"""The cells of `python -m experiments recovery`: what decides the result of each, and how it is worked out.

- `GANCell` trains a least-squares GAN and keeps its generator and its discriminator.
- `TuningCell` tries a method's whole grid on validation images and keeps what `recovery_comparison.chosen` takes.
- `HeldOutCell` recovers held-out images, and samples of the generator's own, with that setting.
- `InverseCell` fits a learned start to a generator, from its last checkpoint if it was stopped.
- `KnownCell` recovers a chunk of known codes.
- `ProvenanceCell` tells a generator's own samples from real images and from those of another generator.

A cell names the cells it builds on in its settings; they must be done before it.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate.accelerator import Accelerator
from torch import Tensor, nn

from experiments.frame.cells import Cell, unseen
from experiments.recovery.comparison import chosen, fit_numbers
from experiments.recovery.known_codes import code_errors
from experiments.recovery.methods import METHODS, Setting, grid, recovery_options
from latentry.data.images import from_pixels, to_pixels
from latentry.data.sources import load_dataset
from latentry.evaluation.codes import goodness_of_fit
from latentry.evaluation.extractor import ClassifierExtractor
from latentry.evaluation.samples import evaluate_samples
from latentry.holding import evaluated
from latentry.latent.inverse import Inverse, fit_inverse, load_inverse, save_inverse
from latentry.latent.provenance import is_from
from latentry.latent.recovery import Recovery, recover_codes
from latentry.latent.solvers.adam import Adam
from latentry.latent.solvers.levenberg_marquardt import LevenbergMarquardt
from latentry.models.classifier import predict_labels
from latentry.models.gan import GAN
from latentry.models.pretrained import load_pretrained, save_pretrained
from latentry.networks import Cho2020Discriminator, Cho2020Generator, DCGANDiscriminator, DCGANGenerator, channels_last
from latentry.numerics.ranks import roc_auc
from latentry.priors import IIDPrior, UnlabelledPrior
from latentry.reports.pictures import grid as sheet
from latentry.reports.pictures import write_png
from latentry.reports.recoveries import FOUND
from latentry.storage import read_json, read_tensors, write_tensors
from latentry.tasks.runs import load_generator, named_prior
from latentry.training.loop import train
from latentry.training.settings import LoopSettings

__all__ = [
    "GANCell",
    "HeldOutCell",
    "InverseCell",
    "KnownCell",
    "Places",
    "Protocol",
    "ProvenanceCell",
    "TuningCell",
    "gan",
    "recovered_codes",
    "tuning_grid",
    "work",
]

_SHOWN = 12
_APART = 500_009
"""Between seeds of codes and seeds of starts: equal ones would start at the truth."""


@dataclass(frozen=True)
class Places:
    """Where things are; changes no result."""

    folder: Path
    """Of the whole experiment."""
    device: str
    generators: dict[str, str]
    """Name or folder of each generator, by what reports call it."""


@dataclass(frozen=True)
class GANCell:
    """A least-squares GAN."""

    data: str
    prior: str
    seed: int
    network: Literal["dcgan", "cho2020"]
    latent_dim: int
    width: int
    steps: int
    batch_size: int
    lr: float
    r1: float
    classifier: str
    """Through which its samples are seen."""

    @property
    def name(self) -> str:
        return f"gan-{self.prior}-{self.seed}"


@dataclass(frozen=True)
class Protocol:
    """How long recovery runs, and the grid; the same for every method."""

    learning_rates: tuple[float, ...]
    weights: tuple[float, ...]
    steps: int
    restarts: int
    damped_steps: int
    """Of Levenberg-Marquardt, from one start."""


@dataclass(frozen=True)
class TuningCell:
    """The grid of one method on validation images."""

    gan: GANCell
    method: str
    protocol: Protocol
    images: int

    @property
    def name(self) -> str:
        return f"tuning-{self.gan.prior}-{self.method}"


@dataclass(frozen=True)
class HeldOutCell:
    """One method with its chosen setting on one generator."""

    tuning: TuningCell
    gan: GANCell
    images: int
    known: int

    @property
    def name(self) -> str:
        return f"held-out-{self.gan.prior}-{self.tuning.method}-{self.gan.seed}"


@dataclass(frozen=True)
class InverseCell:
    """A learned start."""

    generator: str
    fingerprint: str
    seed: int
    steps: int
    batch_size: int
    width: int

    @property
    def name(self) -> str:
        return f"inverse-{self.generator}"


@dataclass(frozen=True)
class KnownCell:
    """A chunk of known codes of one generator."""

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
    def first_seed(self) -> int:
        """Seed of its codes."""
        return 1_000_003 * (self.seed + 1) + self.chunk

    @property
    def method(self) -> str:
        """What reports call it."""
        title = {"levenberg-marquardt": "Levenberg-Marquardt", "adam": "Adam"}[self.solver]
        start = "prior" if self.inverse is None else "learned"
        return f"{title}, {start} start" + (", 8 bits" if self.eight_bit else "")

    @property
    def name(self) -> str:
        start = "prior" if self.inverse is None else "learned"
        bits = "-8bit" if self.eight_bit else ""
        return f"known-{self.generator}-{self.solver}-{start}{bits}-{self.chunk:03d}"


@dataclass(frozen=True)
class ProvenanceCell:
    """Own samples against real held-out images and against those of another generator of the same data."""

    generator: str
    fingerprint: str
    inverse: InverseCell
    data: str
    other: GANCell | None
    images: int
    calibration: int
    steps: int
    seed: int

    @property
    def name(self) -> str:
        return f"provenance-{self.generator}"


def work(places: Places, cell: Cell) -> dict[str, Any]:
    """The result of any of these cells."""
    asked = cell.settings
    if isinstance(asked, GANCell):
        return _train_gan(places, asked)
    if isinstance(asked, TuningCell):
        return _tune(places, asked)
    if isinstance(asked, HeldOutCell):
        return _hold_out(places, asked)
    if isinstance(asked, InverseCell):
        return _fit_inverse(places, asked)
    if isinstance(asked, KnownCell):
        return _recover_known(places, asked)
    assert isinstance(asked, ProvenanceCell)
    return _tell_apart(places, asked)


def gan(asked: GANCell, prior: UnlabelledPrior, side: int, channels: int) -> GAN:
    """The untrained networks and how they will be trained: as the shipped generator was, or as the paper's were."""
    if asked.network == "cho2020":
        return GAN(
            channels_last(Cho2020Generator(asked.latent_dim, side, channels, asked.width)),
            channels_last(Cho2020Discriminator(side, channels, asked.width)),
            prior,
            objective="least-squares",
            generator_lr=asked.lr,
            discriminator_lr=asked.lr,
            betas=(0.9, 0.999),
            ema=0.0,
        )
    return GAN(
        channels_last(DCGANGenerator(asked.latent_dim, side, channels, asked.width)),
        channels_last(DCGANDiscriminator(side, channels, asked.width, "none")),
        prior,
        objective="least-squares",
        r1=asked.r1,
        r1_every=8,
        generator_lr=asked.lr,
        discriminator_lr=asked.lr,
        betas=(0.0, 0.99),
        ema=0.995,
    )


@torch.random.fork_rng()
def _train_gan(places: Places, asked: GANCell) -> dict[str, Any]:
    """Train and keep both networks; the generator's moving average counts."""
    home, device = places.folder / "work" / asked.name, torch.device(places.device)
    data = load_dataset(asked.data)
    channels, side, _ = data.shape
    torch.manual_seed(asked.seed)
    prior = named_prior(asked.prior, asked.latent_dim).to(device)
    model: Any = gan(asked, prior, side, channels)
    schedule: Literal["cosine", "constant"] = "cosine" if asked.network == "dcgan" else "constant"
    loop = LoopSettings(asked.steps, asked.batch_size, schedule, checkpoint_every=max(2, -(-asked.steps // 4)))
    train(
        model,
        data.split("train"),
        loop,
        home,
        seed=asked.seed,
        accelerator=Accelerator(cpu=device.type == "cpu"),
        identity=asdict(asked),
        progress=unseen,
    )
    generator = model.averaged_generator(torch.Generator(device).manual_seed(asked.seed))
    save_pretrained(home / "generator", generator, prior, {"trained_by": "experiments recovery", "settings": asdict(asked)})
    save_pretrained(home / "discriminator", model.networks["discriminator"], None, {"settings": asdict(asked)})

    kept, held_out = load_pretrained(home / "generator"), data.split("held-out")
    z = prior.sample(len(held_out), rng=torch.Generator(device).manual_seed(asked.seed))
    seen_through = load_pretrained(asked.classifier)
    extractor = ClassifierExtractor(seen_through.network.to(device))
    with evaluated(generator), torch.no_grad():
        samples = torch.cat([generator(part) for part in z.split(500)])
        write_png(_picture(places, asked.name), sheet(samples[: 4 * _SHOWN].cpu(), _SHOWN), magnify=2)
    report = evaluate_samples(samples, held_out.images().to(device), extractor, max_rows=2000, halves=2)
    return {"generator": kept.fingerprint, "frechet_distance": report.estimates["frechet_distance"].value}


@dataclass(frozen=True)
class _Bench:
    """What recovery under the paper's protocol needs."""

    generator: nn.Module
    discriminator: nn.Module
    prior: IIDPrior
    device: torch.device

    def recover(self, x: Tensor, method: str, setting: Setting, protocol: Protocol, seed: int) -> Recovery:
        way = METHODS[method]
        steps, restarts = (protocol.damped_steps, 1) if way.damped else (protocol.steps, protocol.restarts)
        return recover_codes(
            self.generator,
            x,
            self.prior,
            rng=torch.Generator().manual_seed(seed + _APART),  # the same starts for every method
            **recovery_options(way, setting, steps, restarts, self.generator, self.discriminator),
        )


def _bench(places: Places, asked: GANCell) -> _Bench:
    home, device = places.folder / "work" / asked.name, torch.device(places.device)
    model, prior = load_generator(str(home / "generator"))
    assert isinstance(prior, IIDPrior)
    return _Bench(model.network.to(device), load_pretrained(home / "discriminator").network.to(device), prior, device)


def tuning_grid(asked: TuningCell) -> tuple[Setting, ...]:
    """The settings that are tried."""
    prior = named_prior(asked.gan.prior, asked.gan.latent_dim)
    assert isinstance(prior, IIDPrior)  # the settings of the verb name no other
    return grid(METHODS[asked.method], prior, asked.protocol.learning_rates, asked.protocol.weights)


def _tune(places: Places, asked: TuningCell) -> dict[str, Any]:
    bench = _bench(places, asked.gan)
    x = load_dataset(asked.gan.data).split("validation").images(range(asked.images)).to(bench.device)
    settings = tuning_grid(asked)
    trials = []
    for setting in settings:
        found = bench.recover(x, asked.method, setting, asked.protocol, asked.gan.seed)
        fit = fit_numbers(goodness_of_fit(found.z.cpu(), bench.prior))
        # the numbers that the choice reads, and no others
        read = {name: fit[name] for name in ("uniformity_p", "uniformity_distance")}
        trials.append(asdict(setting) | {"l1": _sums(x, found)[0]} | read)
    return {"trials": trials, "chosen": chosen(trials)}


def _hold_out(places: Places, asked: HeldOutCell) -> dict[str, Any]:
    bench, method = _bench(places, asked.gan), asked.tuning.method
    tuned = read_json(places.folder / "cells" / f"{asked.tuning.name}.json")["result"]
    setting = tuning_grid(asked.tuning)[tuned["chosen"]]
    held_out = load_dataset(asked.gan.data).split("held-out")
    x, y = held_out.images(range(asked.images)).to(bench.device), held_out.labels[: asked.images]
    found = bench.recover(x, method, setting, asked.tuning.protocol, asked.gan.seed)
    classifier = load_pretrained(asked.gan.classifier).network.to(bench.device)
    l1, l2 = _sums(x, found)
    write_png(_picture(places, asked.name), sheet(torch.cat([x[:_SHOWN], found.x_hat[:_SHOWN]]).cpu(), _SHOWN), magnify=2)

    z = bench.prior.sample(asked.known, rng=torch.Generator().manual_seed(asked.gan.seed)).to(bench.device)
    with evaluated(bench.generator), torch.no_grad():
        own = bench.generator(z)
    again = bench.recover(own, method, setting, asked.tuning.protocol, asked.gan.seed)
    error = (again.z - z).square().mean(1) / bench.prior().variance.mean().to(z)
    return {
        "setting": str(setting),
        "l1": l1,
        "l2": l2,
        "agreement": (predict_labels(classifier, found.x_hat)[0].cpu() == y).double().mean().item(),
        **fit_numbers(goodness_of_fit(found.z.cpu(), bench.prior)),
        "code_error": error.median().item(),
        "found": (error < FOUND).double().mean().item(),
        "evaluations": found.evaluations.double().mean().item(),
    }


def _sums(x: Tensor, found: Recovery) -> tuple[float, float]:
    """The paper's L1 and L2: means over images of the sums over pixels."""
    difference = (found.x_hat - x).flatten(1)
    return difference.abs().sum(1).mean().item(), difference.square().sum(1).mean().item()


def _fit_inverse(places: Places, asked: InverseCell) -> dict[str, Any]:
    generator, prior = _generator(places, asked.generator)
    home = places.folder / "work" / asked.name
    inverse = fit_inverse(
        generator,
        prior,
        steps=asked.steps,
        batch_size=asked.batch_size,
        width=asked.width,
        rng=torch.Generator().manual_seed(asked.seed),
        folder=home,
        checkpoint_every=max(1, min(250, asked.steps // 2)),
        progress=unseen,
    )
    save_inverse(home, inverse)
    return asdict(inverse.report)


def _recover_known(places: Places, asked: KnownCell) -> dict[str, Any]:
    generator, prior = _generator(places, asked.generator)
    like = next(generator.parameters())
    # the same codes and starts for every method, and no start a code
    codes, starts = (torch.Generator().manual_seed(asked.first_seed + offset) for offset in (0, _APART))
    z = prior.sample(asked.count, rng=codes).to(like)
    with evaluated(generator), torch.no_grad():
        x = generator(z)
        x = from_pixels(to_pixels(x)) if asked.eight_bit else x
    damped = LevenbergMarquardt(steps=asked.steps)
    found = recover_codes(
        generator,
        x,
        prior,
        solver=damped if asked.solver == "levenberg-marquardt" else Adam(steps=asked.steps, halve_at=None),
        start=None if asked.inverse is None else _inverse(places, asked.inverse, generator),
        restarts=asked.starts,
        rng=starts,
    )
    with evaluated(generator):
        error, identifiable, rank = code_errors(generator, z, found.z, prior().variance.mean().item())
    write_tensors(_codes(places.folder, asked.name), {"z": z, "z_hat": found.z})
    return {
        "code_error": error.tolist(),
        "identifiable_error": identifiable.tolist(),
        "rank": rank.tolist(),
        "evaluations": found.evaluations.tolist(),
        "reconstruction_error": found.reconstruction_error.tolist(),
        "met": found.met.tolist(),
    }


def _tell_apart(places: Places, asked: ProvenanceCell) -> dict[str, Any]:
    generator, prior = _generator(places, asked.generator)
    like = next(generator.parameters())
    rng = torch.Generator().manual_seed(asked.seed)
    held_out = load_dataset(asked.data).split("held-out")
    images = {"own": _samples(generator, prior.sample(asked.images, rng=rng).to(like))}
    images["real"] = held_out.images(range(asked.images)).to(like)
    if asked.other is not None:
        other = _bench(places, asked.other)
        images["other generator"] = _samples(other.generator, other.prior.sample(asked.images, rng=rng).to(like))
    found = is_from(
        generator,
        torch.cat(list(images.values())),
        prior,
        calibration=asked.calibration,
        eight_bit=True,  # real images have no more
        rng=rng,
        solver=LevenbergMarquardt(steps=asked.steps),
        start=_inverse(places, asked.inverse, generator),
        restarts=1,
    )
    scores = dict(zip(images, found.score.cpu().split(asked.images), strict=True))
    p_values = dict(zip(images, found.p_value.cpu().split(asked.images), strict=True))
    return {
        "auc": {name: asdict(roc_auc(score, scores["own"])) for name, score in scores.items() if name != "own"},
        "rejected": {name: (p <= 0.05).double().mean().item() for name, p in p_values.items()},
        "median_score": {name: score.median().item() for name, score in scores.items()},
    }


def _samples(generator: nn.Module, z: Tensor) -> Tensor:
    with evaluated(generator), torch.no_grad():
        return generator(z)


def _generator(places: Places, name: str) -> tuple[nn.Module, UnlabelledPrior]:
    model, prior = load_generator(places.generators[name])
    return model.network.to(places.device), prior


def _inverse(places: Places, asked: InverseCell, generator: nn.Module) -> Inverse:
    return load_inverse(places.folder / "work" / asked.name, generator)


def _picture(places: Places, name: str) -> Path:
    return places.folder / "pictures" / f"{name}.png"


def _codes(folder: Path, name: str) -> Path:
    return folder / "codes" / f"{name}.safetensors"


def recovered_codes(folder: Path, name: str) -> Tensor:
    """Codes that a `KnownCell` found."""
    return read_tensors(_codes(folder, name))["z_hat"]
