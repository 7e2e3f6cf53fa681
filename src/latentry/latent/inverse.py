r"""An inverse: an encoder E that is trained on samples of the generator, and gives recovery its start.

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

An estimate outside the support of a distribution is brought back to its end, which takes it nearer to every code.

References: Luo, Xu, Tang, Yang, "Learning inverse mapping by autoencoder based generative adversarial nets", 2017; Zhu,
Krähenbühl, Shechtman, Efros, "Generative visual manipulation on the natural image manifold", 2016 (an encoder as the start
of an optimisation).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from latentry.display import Facts, Plottable
from latentry.display.progress import Progress
from latentry.holding import Condition, as_condition, evaluated, require_generator, weights_like
from latentry.holding.conditions import cycled, named_parts
from latentry.interfaces import Generator, Prior
from latentry.latent.encoder_fitting import (
    Pairs,
    code_error,
    deviations,
    element_errors,
    encode,
    first_encoder,
    gentle_adam,
    prior_record,
)
from latentry.latent.fingerprints import fingerprint_of
from latentry.latent.inverse_report import InverseReport
from latentry.latent.settings import InverseSettings
from latentry.numerics.inputs import checked
from latentry.priors.adapters import as_prior, draw
from latentry.priors.diagonal_normal import DiagonalNormal
from latentry.priors.location_scale import Standardization
from latentry.storage import fingerprint
from latentry.training.fitting import Randomness, training_run
from latentry.training.history import History
from latentry.training.loop import Update
from latentry.training.own_networks import own_identity
from latentry.training.settings import settings_identity

__all__ = ["Inverse", "fit_inverse"]

_DEFAULTS = InverseSettings()
_TRIAL_CODES = 3
_CALIBRATION_CODES = 1024
_VALIDATION_CODES = 1024


@dataclass(frozen=True, repr=False)
class Inverse(Plottable):
    """What `fit_inverse` or `fit_encoder` learned: call it on data for codes.

    Example:
        >>> import torch, latentry as lt
        >>> settings = lt.settings.InverseSettings(steps=2, width=1)
        >>> inverse = lt.fit_inverse(lambda z: 2 * z, lt.priors.Normal(3), settings, rng=0, progress=False)
        >>> inverse(torch.zeros(5, 3)).shape
        torch.Size([5, 3])
    """

    encoder: nn.Module
    """Data to codes in the prior's own scale, in eval mode; a variational one gives as many deviations too."""
    prior: Prior
    """Distribution of the codes."""
    data_shape: tuple[int, ...]
    """Shape of one datum."""
    generator_fingerprint: str | None
    """Hash of the generator's weights; None if it was no module."""
    report: InverseReport
    variational: bool = False
    """Whether the encoder gives each datum a distribution of its codes; calling it gives their mean."""

    def _facts(self) -> Facts:
        facts = self.report._facts()
        shape = " x ".join(map(str, self.data_shape))
        rows = (
            ("encoder", type(self.encoder).__name__ + (", variational" if self.variational else "")),
            ("prior", repr(self.prior)),
            ("generator", self.generator_fingerprint or "not known"),
            *facts.rows,
        )
        return Facts(f"Inverse from data of {shape} to codes of {self.prior.latent_dim} elements", rows, facts.meaning)

    def _draw(self, figure: Any) -> None:
        self.report._draw(figure)

    @checked()
    def __call__(self, x: Shaped[Tensor, "n *s"]) -> Float[Tensor, "n d"]:
        """Codes of data, in the dtype and on the device of the data; no gradient.

        Raises:
            ValueError: The data are not of the shape that the generator makes, or not floating-point.
        """
        self._check(x)
        return as_prior(self.prior).standardization().codes(encode(self.encoder, x)[:, : self.prior.latent_dim]).to(x)

    @checked()
    def encode(self, x: Shaped[Tensor, "n *s"]) -> DiagonalNormal:
        """The distribution q(z | x) of codes of data: normal about the network's code, as wide in each element as the error
        on fresh codes.

        Raises:
            ValueError: The data do not fit, or the inverse is of an earlier version, which did not save these errors.

        Example:
            >>> import torch, latentry as lt
            >>> settings = lt.settings.InverseSettings(steps=2, width=1)
            >>> inverse = lt.fit_inverse(lambda z: 2 * z, lt.priors.Normal(3), settings, rng=0, progress=False)
            >>> inverse.encode(torch.zeros(5, 3)).rsample().shape
            torch.Size([5, 3])
        """
        errors = self.report.element_errors
        if errors is None:
            raise ValueError(
                "expected an inverse that knows the errors of its elements, got one of an earlier version; fit it again"
            )
        z = self(x)
        return DiagonalNormal(z, z.new_tensor(errors).clamp(min=torch.finfo(z.dtype).tiny).expand_as(z))

    @checked()
    def sample(self, x: Shaped[Tensor, "n *s"], *, rng: torch.Generator | None = None) -> Float[Tensor, "n d"]:
        """One code of each datum from the distribution that a variational encoder gives it, as otherwise `__call__` its
        mean.

        Args:
            x: Data.
            rng: Source of randomness; torch's global one by default.

        Raises:
            ValueError: The encoder is not variational, or the data do not fit.
        """
        if not self.variational:
            raise ValueError("expected a variational encoder, got one code for each datum; call it, or fit such a one")
        self._check(x)
        mean, raw = encode(self.encoder, x).chunk(2, 1)
        noise = torch.randn(mean.shape, generator=rng, device=rng.device if rng is not None else None).to(mean)
        return as_prior(self.prior).standardization().codes(mean + deviations(raw) * noise).to(x)

    def _check(self, x: Tensor) -> None:
        if x.shape[1:] != self.data_shape:
            raise ValueError(
                f"expected data of shape (n, {', '.join(map(str, self.data_shape))}) as the generator of this inverse makes "
                f"them, got {tuple(x.shape)}; resize, or fit an inverse of your generator"
            )
        if not x.is_floating_point():
            raise ValueError(f"expected floating-point data, got {x.dtype}; scale images as the generator does")


@checked()
def fit_inverse(
    generator: Generator,
    prior: Prior,
    settings: InverseSettings = _DEFAULTS,
    *,
    encoder: nn.Module | None = None,
    condition: Condition | None = None,
    corrupt: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    rng: Randomness = None,
    progress: Progress = True,
    callback: Callable[[int, Inverse], None] | None = None,
    checkpoint: str | Path | None = None,
) -> Inverse:
    """Train an encoder on endless pairs (z, G(z)), so that recovery has a start near the code.

    Reference: Luo et al. (2017).

    Args:
        generator: Any differentiable, deterministic callable z -> x, or (z, condition) -> x, of images `(n, c, h, w)`,
            signals `(n, c, length)` or vectors `(n, m)`. The modules behind it are held in eval mode with frozen parameters
            meanwhile.
        prior: Distribution of the codes.
        settings: Length, width, rate, noise.
        encoder: A network of your own, data to codes `(n, d)` in the prior's own scale: mean 0 and variance 1. A copy of it
            is trained. With it the data may have any shape.
        condition: Conditions of a conditional generator, any number of rows: each code gets one of them, drawn anew. The
            encoder reads the data alone.
        corrupt: What is done to the generator's data before the encoder sees them, `(x, rng)` to data of any one shape, as
            in `latentry.data.corruptions`; the encoder then finds the codes of data corrupted like this. A run that is
            resumed knows it by its `repr`.
        rng: Seed of all random choices, or the source that draws it; torch's default generator if None.
        progress: Called as `progress(done, total)` after each iteration; by default a bar on a terminal.
        callback: Called as `callback(step, inverse)` at each checkpoint.
        checkpoint: Folder for checkpoints. A run that was stopped goes on from the last one and ends bit for bit as if it
            had not been. None keeps nothing.

    Raises:
        ValueError: The prior has no variance, the generator is stochastic, depends on its batch, has no gradient or makes
            data of another kind, or the checkpoints belong to another run.
        TrainingDivergedError: A loss or a weight became NaN or infinite.

    Example:
        >>> import torch, latentry as lt
        >>> from latentry.latent.settings import InverseSettings
        >>> inverse = lt.fit_inverse(lambda z: 2 * z, lt.priors.Normal(3), InverseSettings(steps=2, width=1), rng=0)
        >>> inverse(torch.zeros(5, 3)).shape
        torch.Size([5, 3])
    """
    scale, condition = as_prior(prior).standardization(), as_condition(condition)
    with (
        evaluated(generator, prior, corrupt),
        training_run(settings, weights_like(generator, draw(prior, (0,))).device, rng, checkpoint) as run,
    ):
        pairs = Pairs(generator, prior, settings.noise, corrupt, condition)
        trial = pairs.for_generator(pairs.codes(_TRIAL_CODES, torch.Generator().manual_seed(0)))
        require_generator(generator, trial, cycled(condition, len(trial)))
        _, x = pairs.draw(_CALIBRATION_CODES, torch.Generator().manual_seed(run.seed))
        trained = first_encoder(encoder, x, prior.latent_dim, settings.width, settings.noise)
        weights = fingerprint_of(generator)
        # the same after a resume, whatever the seed
        validation = pairs.draw(_VALIDATION_CODES, torch.Generator().manual_seed(1))
        history = History(run.folder / "course.json")

        def inverse(forwards: int) -> Inverse:
            report = InverseReport(
                code_error=code_error(trained, scale, *validation),
                course=history.of("code_error"),
                forwards=_CALIBRATION_CODES + _VALIDATION_CODES + forwards,
                seconds=history.seconds(),
                element_errors=element_errors(trained, scale, *validation),
            )
            return Inverse(trained.eval(), prior, tuple(x.shape[1:]), weights, report)

        def at_checkpoint(step: int) -> None:
            history.note(step, lambda: {"code_error": code_error(trained, scale, *validation)})
            if callback is not None:
                callback(step, inverse(step * settings.batch_size))

        run.train(
            _Training(trained, pairs, scale, settings.learning_rate),
            _Turns(settings.batch_size),
            settings,
            identity={
                **settings_identity(settings, InverseSettings),
                "corrupt": repr(corrupt),
                "latent_dim": prior.latent_dim,
                "prior": prior_record(prior),
                "data_shape": x.shape[1:],
                "generator": weights,
                **own_identity(encoder=encoder),
                **({} if condition is None else {"condition": fingerprint(named_parts(condition))}),
            },
            at_checkpoint=at_checkpoint,
            progress=progress,
        )
        return inverse(settings.steps * settings.batch_size)


class _Training:
    """The step that trains an encoder; every batch is drawn anew."""

    def __init__(self, encoder: nn.Module, pairs: Pairs, scale: Standardization, learning_rate: float) -> None:
        self.encoder, self.pairs, self.scale = encoder, pairs, scale
        self.networks = {"encoder": encoder}
        self.averages: dict[str, AveragedModel] = {}
        self.optimizers: dict[str, Optimizer] = {"encoder": gentle_adam(encoder, learning_rate)}

    def step(self, batch: tuple[Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One update on as many fresh pairs as the batch has turns."""
        z, x = self.pairs.draw(len(batch[0]), rng)
        device = batch[0].device
        loss = (self.encoder(x.to(device)) - self.scale.units(z).to(device, torch.float32)).square().mean()
        update({"encoder": loss})
        return {"code error": loss}


class _Turns:
    """What the loop draws batches from where there is no data set: as many places as one batch has."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size

    def __len__(self) -> int:
        return self.batch_size

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor]:
        return (torch.tensor(indices),)
