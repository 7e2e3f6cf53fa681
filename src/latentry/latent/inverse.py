r"""A learned start for recovery: an encoder E that has seen endless pairs of a code and what a generator makes of it.

With u(z) the code in the prior's own scale, E minimises

.. math:: E_{z \sim p} \; \frac{1}{d} \, \lVert E(G(z) + \epsilon) - u(z) \rVert^2 ,

whose minimum is the posterior mean :math:`E[u(z) \mid x]`: the code itself where the data determine it, the prior's mean in
directions that leave no trace in them. So the error runs from 1, where nothing is known, to the share of the variance that
the data do not determine. No pair is seen twice, hence nothing is overfitted, and the error of the last batches is that on
fresh codes.

The scale is that of coordinates with mean 0 and variance 1: deviations from the mean over the standard deviation, or normal
coordinates where the prior has these (Gaussianization, Chen and Gopinath, 2000), since it may have no variance.
Where the data come corrupted, the encoder may be shown what they come as: it then minimises the same of
:math:`E(C(G(z)))`, C being the corruption, drawn anew for each pair, and its minimum is the posterior mean given the
corrupted data. It needs no data, and no pair of clean and corrupted ones.

An estimate outside the support of a law is brought back to its end, which takes it nearer to every code.

References: Luo, Xu, Tang, Yang, "Learning inverse mapping by autoencoder based generative adversarial nets", 2017; Zhu,
Krähenbühl, Shechtman, Efros, "Generative visual manipulation on the natural image manifold", 2016 (an encoder as the start
of an optimisation).
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, Optimizer
from torch.optim.swa_utils import AveragedModel

from latentry.interfaces import Generator, Prior, PushforwardPrior, SampledPrior, check_generator, evaluated, module_of
from latentry.latent.fingerprints import fingerprint_of
from latentry.networks import ConvolutionalEncoder, VectorEncoder, channels_last
from latentry.networks import files as network_files
from latentry.priors import files as prior_files
from latentry.priors.distribution import SampledLaw
from latentry.storage import read_json, read_tensors, write_json, write_tensors
from latentry.training.loop import Update, train
from latentry.training.settings import LoopSettings

__all__ = ["Inverse", "InverseReport", "fit_inverse", "load_inverse", "save_inverse"]

_TRIAL_CODES = 3
_CALIBRATION_CODES = 1024
_VALIDATION_CODES = 1024
_ESTIMATION_CODES = 16384
_AT_ONCE = 256
"""Codes or data in memory at once where no gradient is asked for."""
_WARM_UP = 50
"""Iterations until the full learning rate. On the shipped digits 250 iterations leave an error of 0.82, without it 0.90."""
_LONGEST_GRADIENT = 1.0
_WEIGHTS, _CONFIG = "inverse.safetensors", "inverse.json"


@dataclass(frozen=True)
class InverseReport:
    """How good an inverse is, and what it took."""

    code_error: float
    """Mean squared error of an element of fresh codes, in units of the prior's variance, or in normal coordinates."""
    course: tuple[tuple[int, float], ...]
    """The same after so many steps, at each checkpoint."""
    forwards: int
    """Codes that went through the generator, for training, calibration and validation."""
    seconds: float
    """Time of the training, over all parts of a run that was stopped and resumed."""


@dataclass(frozen=True)
class Inverse:
    """What `fit_inverse` learned: call it on data for codes."""

    encoder: nn.Module
    """Data to codes in the prior's own scale, in eval mode."""
    prior: SampledPrior
    """Law of the codes."""
    data_shape: tuple[int, ...]
    """Shape of one datum."""
    generator_fingerprint: str | None
    """Hash of the generator's weights; None if it was no module."""
    report: InverseReport

    def __call__(self, x: Shaped[Tensor, "n *s"]) -> Float[Tensor, "n d"]:
        """Codes of data, in the dtype and on the device of the data; no gradient.

        Raises:
            ValueError: The data are not of the shape that the generator makes, or not floating-point.
        """
        if x.shape[1:] != self.data_shape:
            raise ValueError(
                f"expected data of shape (n, {', '.join(map(str, self.data_shape))}) as the generator of this inverse makes "
                f"them, got {tuple(x.shape)}; resize, or fit an inverse of your generator"
            )
        if not x.is_floating_point():
            raise ValueError(f"expected floating-point data, got {x.dtype}; scale images as the generator does")
        return _scale_of(self.prior).codes(_encode(self.encoder, x)).to(x)


def fit_inverse(
    generator: Generator,
    prior: SampledPrior,
    *,
    steps: int = 4000,
    batch_size: int = 64,
    width: int = 32,
    learning_rate: float = 6e-3,
    noise: float = 0.0,
    corrupt: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    rng: torch.Generator | None = None,
    folder: str | Path | None = None,
    checkpoint_every: int = 250,
    progress: Callable[[int, int], None] | None = None,
) -> Inverse:
    """Train an encoder on endless pairs (z, G(z)), so that recovery has a start near the code.

    Reference: Luo et al. (2017).

    Args:
        generator: Any differentiable, deterministic callable z -> x of images `(n, c, h, w)`, signals `(n, c, length)` or
            vectors `(n, m)`. If it is a module or a method of one, it is held in eval mode with frozen parameters meanwhile.
        prior: Law of the codes.
        steps: Optimiser iterations; the learning rate falls along a cosine over all of them.
        batch_size: Pairs of one iteration.
        width: Channels of the encoder's first hidden layer.
        learning_rate: Full learning rate of Adam, reached after 50 iterations.
        noise: Standard deviation of normal noise on the data the encoder sees, in their units. 1/255 makes it fit for images
            in [-1, 1] that went through 8 bits; at 0 it also reads what rounding destroys.
        corrupt: What is done to the generator's data before that, `(x, rng)` to data of any one shape, as in
            `latentry.data.corruptions`; the encoder then finds the codes of data corrupted like this. A run that is resumed
            knows it by its `repr`.
        rng: Source of the seed of all random choices; torch's global one by default.
        folder: Where to keep checkpoints; a run that was stopped goes on from the last one and ends as if it had not been.
        checkpoint_every: Iterations between two checkpoints and validations.
        progress: Called as `progress(done, total)` after each iteration.

    Raises:
        ValueError: A number is outside its range, the prior has no variance, the generator is stochastic, depends on its
            batch, has no gradient or makes data of another kind, or the checkpoints belong to another run.
        TrainingDivergedError: A loss or a weight became NaN or infinite.
    """
    from accelerate.accelerator import Accelerator

    settings = LoopSettings(steps, batch_size, "cosine", checkpoint_every, keep_checkpoints=1)
    if batch_size < 2 or width < 1 or not (learning_rate > 0 and 0 <= noise < math.inf):
        raise ValueError(
            "expected batch_size >= 2, width >= 1, learning_rate > 0 and a finite noise >= 0, "
            f"got {batch_size}, {width}, {learning_rate} and {noise}"
        )
    seed = int(torch.randint(2**31, (), generator=rng, device=rng.device if rng is not None else None))
    scale = _scale_of(prior)
    with evaluated(generator), torch.random.fork_rng(), TemporaryDirectory() as temporary:
        torch.manual_seed(seed)
        pairs = _Pairs(generator, prior, noise, corrupt)
        z, _ = pairs.draw(_TRIAL_CODES, torch.Generator().manual_seed(0))
        check_generator(generator, pairs.for_generator(z))
        _, x = pairs.draw(_CALIBRATION_CODES, torch.Generator().manual_seed(seed))
        encoder = _encoder_for(tuple(x.shape[1:]), prior.latent_dim, width)
        encoder.calibrate(x, noise)
        weights = fingerprint_of(generator)
        accelerator = Accelerator(cpu=x.device.type == "cpu")
        # the same after a resume, whatever the seed
        validation = pairs.draw(_VALIDATION_CODES, torch.Generator().manual_seed(1))
        place = Path(folder) if folder is not None else Path(temporary)
        course = _Course(place / "course.json", lambda: _code_error(encoder, scale, *validation))
        train(
            _Training(encoder, pairs, scale, learning_rate),
            _Turns(batch_size),
            settings,
            place,
            seed=seed,
            accelerator=accelerator,
            identity={
                "steps": steps,
                "batch_size": batch_size,
                "width": width,
                "learning_rate": learning_rate,
                "noise": noise,
                "corrupt": repr(corrupt),
                "latent_dim": prior.latent_dim,
                "data_shape": x.shape[1:],
                "generator": weights,
            },
            at_checkpoint=course.note,
            progress=progress or (lambda done, total: None),
        )
        code_error = _code_error(encoder, scale, *validation)
    report = InverseReport(
        code_error=code_error,
        course=tuple((entry["step"], entry["code_error"]) for entry in course.entries),
        forwards=_CALIBRATION_CODES + _VALIDATION_CODES + steps * batch_size,
        seconds=course.seconds(),
    )
    return Inverse(encoder.eval(), prior, tuple(x.shape[1:]), weights, report)


def save_inverse(folder: str | Path, inverse: Inverse) -> None:
    """Write `inverse.safetensors` and `inverse.json`, in a folder of their own or beside the generator's files.

    Raises:
        ValueError: The encoder is not a public class of `latentry.networks`.
    """
    prior = inverse.prior
    config = {
        "encoder": network_files.record(inverse.encoder),
        "prior": prior_files.record(prior) if isinstance(prior, prior_files.SavedPrior) else None,
        "data_shape": list(inverse.data_shape),
        "generator": inverse.generator_fingerprint,
        "report": asdict(inverse.report),
    }
    write_tensors(Path(folder) / _WEIGHTS, inverse.encoder.state_dict())
    write_json(Path(folder) / _CONFIG, config)


def load_inverse(folder: str | Path, generator: Generator | None = None, prior: SampledPrior | None = None) -> Inverse:
    """What `save_inverse` wrote, on the CPU.

    Args:
        folder: Where it lies.
        generator: The generator that it is meant for, to make sure that it is the one it was fitted to: by its weights if it
            is a module, by the shapes of codes and data in any case.
        prior: Law of the codes; that of the file by default. One that is no class of this package has to be given again.

    Raises:
        ValueError: The folder lacks a file or holds an inverse of another version, generator or prior.
    """
    config = read_json(Path(folder) / _CONFIG)
    weights = read_tensors(Path(folder) / _WEIGHTS)
    try:
        encoder = network_files.from_record(config["encoder"])
        encoder.load_state_dict(weights)
        saved_prior = None if config["prior"] is None else prior_files.from_record(config["prior"])
        latent_dim: int = config["encoder"]["arguments"]["latent_dim"]
        data_shape = tuple(config["data_shape"])
        course = tuple((step, error) for step, error in config["report"]["course"])
        report = InverseReport(**{**config["report"], "course": course})
        fitted_to = config["generator"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{folder} does not describe an inverse of this version of latentry ({error}); fit and save it again"
        ) from None
    prior = _settled_prior(folder, prior, saved_prior, latent_dim)
    if generator is not None:
        _check_generator_fits(folder, generator, prior, fitted_to, data_shape)
    return Inverse(channels_last(encoder).eval(), prior, data_shape, fitted_to, report)


def _settled_prior(
    folder: str | Path, given: SampledPrior | None, saved: SampledPrior | None, latent_dim: int
) -> SampledPrior:
    prior = given if given is not None else saved
    if prior is None:
        raise ValueError(
            f"expected the prior along with {folder}, since no class of latentry.priors describes it; pass prior"
        )
    if prior.latent_dim != latent_dim:
        raise ValueError(
            f"expected codes of length {latent_dim} for the inverse in {folder}, got a prior of {prior.latent_dim}; "
            "fit an inverse of this generator"
        )
    if isinstance(given, prior_files.SavedPrior) and isinstance(saved, prior_files.SavedPrior):
        records = [json.dumps(prior_files.record(one)) for one in (given, saved)]
        if records[0] != records[1]:
            raise ValueError(
                f"expected the prior {saved!r} that the inverse in {folder} was fitted to, got {given!r}; "
                "pass that prior or none, or fit an inverse anew"
            )
    return prior


def _check_generator_fits(
    folder: str | Path, generator: Generator, prior: SampledPrior, fitted_to: str | None, data_shape: tuple[int, ...]
) -> None:
    weights = fingerprint_of(generator)
    if None not in (weights, fitted_to) and weights != fitted_to:
        raise ValueError(
            f"expected the generator with weights {fitted_to} that the inverse in {folder} was fitted to, got one with "
            f"{weights}; fit an inverse of this one"
        )
    with evaluated(generator), torch.no_grad():
        try:
            x = _Pairs(generator, prior).draw(_TRIAL_CODES, torch.Generator().manual_seed(0))[1]
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"expected a generator of codes of length {prior.latent_dim} for the inverse in {folder}, got one that "
                f"refuses them ({str(error).splitlines()[0]}); fit an inverse of this one"
            ) from None
    if x.shape[1:] != data_shape:
        raise ValueError(
            f"expected a generator of data of shape {data_shape} for the inverse in {folder}, got {tuple(x.shape[1:])}; "
            "fit an inverse of this one"
        )


@dataclass(frozen=True)
class _Scale:
    """The prior's own scale: coordinates of mean 0 and variance 1."""

    units: Callable[[Tensor], Tensor]
    """Codes to coordinates."""
    codes: Callable[[Tensor], Tensor]
    """Coordinates to codes; those outside the support to its end."""
    inside: Callable[[Tensor], Tensor]
    """Coordinates to those of what `codes` makes of them."""


def _scale_of(prior: SampledPrior) -> _Scale:
    if isinstance(prior, PushforwardPrior) and not isinstance(prior, Prior):
        return _Scale(prior.to_normal, prior.from_normal, lambda units: units)
    low, high = -math.inf, math.inf
    if isinstance(prior, Prior):
        mean, variance = torch.tensor(prior.law.mean), torch.tensor(prior.law.variance)
        if isinstance(prior.law, SampledLaw):
            low, high = prior.law.support
    else:  # with labels, or a stranger's
        rng = torch.Generator(prior.sample(0).device).manual_seed(0)
        sample = prior.sample(_ESTIMATION_CODES, rng=rng)
        mean, variance = sample.mean(0), sample.var(0)
    if not (mean.isfinite().all() and variance.isfinite().all() and (variance > 0).all()):
        raise ValueError(
            f"expected a prior with a finite mean and a variance above 0, got {prior!r}; give it normal coordinates "
            "(to_normal and from_normal, as radial priors have)"
        )
    deviation = variance.sqrt()

    def units(z: Tensor) -> Tensor:
        return (z - mean.to(z)) / deviation.to(z)

    def codes(units: Tensor) -> Tensor:
        return (mean.to(units) + deviation.to(units) * units).clamp(low, high)

    return _Scale(units, codes, lambda found: units(codes(found)))


class _Pairs:
    """Endless pairs of a code and what the generator makes of it, both in single precision on the generator's device."""

    def __init__(
        self,
        generator: Generator,
        prior: SampledPrior,
        noise: float = 0.0,
        corrupt: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    ) -> None:
        self.generator, self.prior, self.noise, self.corrupt = generator, prior, noise, corrupt
        self.prior_device = prior.sample(0).device
        module = module_of(generator)
        self.like = prior.sample(0)
        if module is not None:
            self.like = next((p for p in module.parameters() if p.is_floating_point()), self.like).detach()

    def draw(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """n codes `(n, d)` of the prior and their data, corruption and noise included."""
        z = self.prior.sample(n, rng=self._on_prior_device(rng))
        with torch.no_grad():
            x = torch.cat([self.generator(self.for_generator(part)) for part in z.split(_AT_ONCE)]).float()
        if self.corrupt is not None:
            x = self.corrupt(x, rng)
        if self.noise > 0:
            x = x + self.noise * torch.randn(x.shape, generator=rng, device=rng.device).to(x)
        return z.to(x.device), x

    def for_generator(self, z: Tensor) -> Tensor:
        """Codes in the dtype and on the device of the generator's weights."""
        return z.to(self.like)

    def _on_prior_device(self, rng: torch.Generator) -> torch.Generator:
        if rng.device == self.prior_device:
            return rng
        seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
        return torch.Generator(self.prior_device).manual_seed(seed)


class _Training:
    """The step that trains an encoder; every batch is drawn anew."""

    def __init__(self, encoder: nn.Module, pairs: _Pairs, scale: _Scale, learning_rate: float) -> None:
        self.encoder, self.pairs, self.scale = encoder, pairs, scale
        self.networks = {"encoder": encoder}
        self.averages: dict[str, AveragedModel] = {}
        self.optimizers: dict[str, Optimizer] = {"encoder": Adam(encoder.parameters(), lr=learning_rate, betas=(0.9, 0.99))}
        self.optimizers["encoder"].register_step_pre_hook(self._soften)

    def step(self, batch: tuple[Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One update on as many fresh pairs as the batch has turns."""
        z, x = self.pairs.draw(len(batch[0]), rng)
        device = batch[0].device
        loss = (self.encoder(x.to(device)) - self.scale.units(z).to(device, torch.float32)).square().mean()
        update("encoder", loss)
        return {"code error": loss}

    def _soften(self, optimizer: Optimizer, arguments: Any, options: Any) -> None:
        """Clip the gradient before a step, and let the learning rate that the loop has set rise over the first steps."""
        clip_grad_norm_(self.encoder.parameters(), _LONGEST_GRADIENT)
        turn = 1 + next((int(state["step"]) for state in optimizer.state.values()), 0)
        for group in optimizer.param_groups:
            group["lr"] *= min(1.0, turn / _WARM_UP)


class _Turns:
    """What the loop draws batches from where there is no data set: as many places as one batch has."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size

    def __len__(self) -> int:
        return self.batch_size

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor]:
        return (torch.tensor(indices),)


class _Course:
    """Validation at each checkpoint and the time it took to get there, in a file that outlives a kill."""

    def __init__(self, path: Path, measure: Callable[[], float]) -> None:
        self.path, self.measure = path, measure
        self.entries: list[dict[str, Any]] = read_json(path) if path.exists() else []
        self.before: float = self.entries[-1]["seconds"] if self.entries else 0.0
        self.began = time.perf_counter()

    def note(self, step: int) -> None:
        """Measure after `step` iterations, unless that is known from before a stop."""
        self.entries = [entry for entry in self.entries if entry["step"] <= step]
        if not self.entries or self.entries[-1]["step"] < step:
            self.entries.append({"step": step, "code_error": self.measure(), "seconds": self.seconds()})
            write_json(self.path, self.entries)

    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.began


def _encoder_for(data_shape: tuple[int, ...], latent_dim: int, width: int) -> ConvolutionalEncoder | VectorEncoder:
    if len(data_shape) == 1:
        return VectorEncoder(latent_dim, data_shape, width)
    if len(data_shape) in (2, 3):
        return channels_last(ConvolutionalEncoder(latent_dim, data_shape, width))  # type: ignore[return-value]
    raise ValueError(
        f"expected a generator of images (n, c, h, w), signals (n, c, length) or vectors (n, m), got data of shape "
        f"(n, {', '.join(map(str, data_shape))}); wrap it in a lambda that reshapes them"
    )


def _encode(encoder: nn.Module, x: Tensor) -> Float[Tensor, "n d"]:
    """Coordinates of data in eval mode, in single precision on the encoder's device."""
    like = next(encoder.parameters())
    with evaluated(encoder), torch.no_grad():
        return torch.cat([encoder(part.to(like)) for part in x.split(_AT_ONCE)])


def _code_error(encoder: nn.Module, scale: _Scale, z: Tensor, x: Tensor) -> float:
    """Mean squared error in the prior's scale, of codes brought back into the support."""
    units = scale.units(z)
    return (scale.inside(_encode(encoder, x)).to(units) - units).square().mean().item()
