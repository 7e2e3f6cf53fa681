r"""An encoder of real data for a frozen generator: codes E(x) whose image G(E(x)) is similar to x and has the same label.

With a frozen generator G and a frozen classifier C, E minimises over data x with labels y

.. math::
    dif(G(z), x) + a \, CE(C(G(z)), y) + b \, CE(s(z), y) + c \, K, \qquad z = E(x),

where the difference is a mean over elements: of squares, of absolute values, or of the hinge max(0, 1 - G(z) x). Labels are
used in training only; the encoder itself sees x alone. In contrast, an `Inverse` is trained on the generator's samples, and
real data differ from these: on the shipped digits two thirds of its reconstructions have the label of the datum.

K keeps the codes near the prior, in standardized coordinates (`Standardization`). A variational encoder gives each datum a
distribution :math:`N(\mu, \sigma^2)`, and K is its mean divergence from N(0, 1) (Kingma and Welling, 2014),

.. math:: K = \frac{1}{2 d} \sum_j (\mu_j^2 + \sigma_j^2 - 1 - \ln \sigma_j^2) .

For an encoder without distributions, K is the same divergence with the mean and the variance of each element over the
batch. So the codes of a batch together have the moments of the prior, while a single code may be anywhere. (The divergence
of single codes would pull each of them to the mean, where no sample of the prior is.)

The terms with a and K, the hinge and the variational form are those of Toledo-Marin and Glazier. They sum the divergence
over elements, take a = 100 and have no term with b. The term with b is an addition of Latentry: s(z) are scores of the rows
of a basis, labelled rows first, such as the coefficients of a code in quasi-eigenvectors. With it, E is trained to make the
coefficient of the label the largest one. Then the agreement of label and largest coefficient is a result of the training,
not a finding about the generator. On data without a part in the training it shows how well E generalises. For other codes
there is no such agreement: of 64 coefficients of a code from N(0, I) the largest one is seldom among the ten of labels. And
codes that Levenberg-Marquardt recovers from the codes of E have a fifth of their pixel error, but only two of five digits
keep the label at rank one, instead of nearly all.

References: Toledo-Marin and Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space",
2023 (hinge, classifier and divergence with frozen G and C); Kingma and Welling, "Auto-encoding variational Bayes", 2014.

This module has more than 350 lines, half of them this text and the arguments of `fit_encoder`; losses and training stay
beside the formulas that define them.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.distributions import kl_divergence
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from latentry.display.progress import Progress
from latentry.holding import Condition, as_condition, called, evaluated, require_generator, tried, weights_like
from latentry.holding.conditions import cycled, named_parts, rows_at
from latentry.interfaces import Generator, Prior
from latentry.latent.encoder_fitting import (
    AT_ONCE,
    Pairs,
    code_error,
    deviations,
    element_errors,
    encode,
    encoder_for,
    first_encoder,
    gentle_adam,
    prior_record,
)
from latentry.latent.fingerprints import fingerprint_of
from latentry.latent.inverse import Inverse
from latentry.latent.inverse_report import DataReport, InverseReport
from latentry.latent.settings import EncoderSettings, Reconstruction
from latentry.network_outputs import logits_of
from latentry.networks import ConvolutionalEncoder, VectorEncoder
from latentry.networks import files as network_files
from latentry.numerics.batches import in_batches
from latentry.numerics.data_range import check_range
from latentry.numerics.inputs import checked
from latentry.priors import DiagonalNormal, Normal
from latentry.priors.adapters import as_prior, draw
from latentry.priors.location_scale import Standardization
from latentry.storage import fingerprint
from latentry.training.fitting import Randomness, training_run
from latentry.training.history import History
from latentry.training.loop import Update
from latentry.training.own_networks import TRIAL, own_identity, own_network
from latentry.training.settings import settings_identity

__all__ = ["fit_encoder"]

_DEFAULTS = EncoderSettings()
_TRIAL_CODES = 3
_VALIDATION_CODES = 1024
_VALIDATION_DATA = 1024
"""Training data to report on where none are held back."""
_LEAST_VARIANCE = 1e-6
"""Below this a batch counts as constant, so that the logarithm stays finite."""


@checked(any_value=("x",))
def fit_encoder(
    generator: Generator,
    x: Shaped[Tensor, "n *s"],
    prior: Prior,
    settings: EncoderSettings = _DEFAULTS,
    *,
    encoder: nn.Module | None = None,
    y: Shaped[Tensor, "m"] | None = None,
    condition: Condition | None = None,
    classifier: Callable[[Tensor], Tensor] | None = None,
    scores: Callable[[Tensor], Tensor] | None = None,
    start: Inverse | None = None,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    validation: tuple[Tensor, Tensor | None] | tuple[Tensor, Tensor | None, Condition] | None = None,
    rng: Randomness = None,
    progress: Progress = True,
    callback: Callable[[int, Inverse], None] | None = None,
    checkpoint: str | Path | None = None,
) -> Inverse:
    """Train an encoder of data, with generator and classifier frozen.

    Reference: Toledo-Marin and Glazier (2023), its encoder; `scores` goes beyond it.

    Args:
        generator: Any differentiable, deterministic callable z -> x, or (z, condition) -> x; modules behind it are held in
            eval mode meanwhile.
        x: Training data, in the units of the generator's output.
        prior: Distribution of the codes.
        settings: Losses, length, width, rate.
        encoder: A network of your own, data to codes `(n, d)` in the prior's own scale (mean 0 and variance 1), or
            `(n, 2 d)` if `variational`. A copy of it is trained.
        y: Labels of the data; by default what the classifier takes them for.
        condition: What a conditional generator takes along with codes, one row for each datum; the encoder reads the data
            alone.
        classifier: C, data to logits; without it the label of G(E(x)) has no say.
        scores: Codes to one logit for each row of a basis, the row of label l in place l, the complement after the labels:
            `lambda z: 4 * math.sqrt(d) * basis.coefficients(z)` gives coordinates in a basis of codes a sharpness of 4.
        start: Where to begin: an inverse of the same generator, whose width then counts; random weights by default.
        augment: Data changed at random, such as shifted a little, as `augment(x, rng)`; the changed data are what is encoded
            and what is to come out. A resumed run knows a dataclass by its `repr`, and of others only that there is one.
        validation: Data held back and their labels (or None), and their condition where there is one, for the report alone;
            else it is on training data.
        rng, progress, callback, checkpoint: As for `fit_inverse`.

    Returns:
        An `Inverse` whose `report.data` tells how it does on data.

    Raises:
        ValueError: Labels lack a use, a source or a logit, the data do not fit the generator, `start` is of another
            generator, the generator is stochastic, depends on its batch or has no gradient, or the checkpoints belong to
            another run.
        TrainingDivergedError: A loss or a weight became NaN or infinite.

    Example:
        >>> import torch, latentry as lt
        >>> from latentry.latent.settings import EncoderSettings
        >>> x, short = torch.randn(20, 3), EncoderSettings(steps=2, batch_size=8, width=1)
        >>> encoder = lt.fit_encoder(lambda z: 2 * z, x, lt.priors.Normal(3), short, rng=0)
        >>> encoder(x).shape
        torch.Size([20, 3])
    """
    if encoder is not None and start is not None:
        raise ValueError("expected an encoder of your own or a start, got both; a start brings its own encoder")
    scale, condition = as_prior(prior).standardization(), as_condition(condition, len(x))
    with (
        evaluated(generator, classifier, scores, augment, prior),
        training_run(settings, weights_like(generator, draw(prior, (0,))).device, rng, checkpoint) as run,
    ):
        pairs = Pairs(generator, prior, condition=condition)
        trial = pairs.for_generator(pairs.codes(_TRIAL_CODES, torch.Generator().manual_seed(0)))
        require_generator(generator, trial, cycled(condition, len(trial)))
        z, made = pairs.draw(_TRIAL_CODES, torch.Generator().manual_seed(0))
        data = _labelled(x, y, condition, classifier, scores, z, made, settings.difference)
        monitored = data.first(_VALIDATION_DATA)
        if validation is not None:
            x_held, y_held, held = validation if len(validation) == 3 else (*validation, None)
            if (held is None) != (condition is None):
                raise ValueError("expected a condition of training and of validation data, or of none, got one; pass both")
            held = as_condition(held, len(x_held))
            monitored = _labelled(x_held, y_held, held, classifier, scores, z, made, settings.difference)
        weights = fingerprint_of(generator)
        outputs = 2 * prior.latent_dim if settings.variational else prior.latent_dim
        if start is None:
            trained = first_encoder(encoder, data.x, outputs, settings.width)
        else:
            trained = _from_start(start, made, prior.latent_dim, outputs, weights)
        fresh = pairs.draw(_VALIDATION_CODES, torch.Generator().manual_seed(1))
        outcome = _Outcome(pairs, scale, classifier, scores, prior.latent_dim)
        history = History(run.folder / "course.json")

        def measure() -> DataReport:
            return outcome.report(trained, monitored, held_back=validation is not None)

        def inverse(step: int) -> Inverse:
            report = InverseReport(
                code_error=code_error(trained, scale, *fresh),
                course=history.of("code_error"),
                forwards=_VALIDATION_CODES + step * settings.batch_size + len(history.entries) * len(monitored),
                seconds=history.seconds(),
                data=measure(),
                element_errors=element_errors(trained, scale, *fresh),
            )
            shape = tuple(made.shape[1:])
            return Inverse(trained.eval(), prior, shape, weights, report, settings.variational)

        def at_checkpoint(step: int) -> None:
            history.note(step, lambda: {"code_error": code_error(trained, scale, *fresh), **asdict(measure())})
            if callback is not None:
                callback(step, inverse(step))

        run.train(
            _Training(trained, outcome, settings, augment, condition),
            data,
            settings,
            identity={
                **settings_identity(settings, EncoderSettings),
                "width": getattr(trained, "arguments", {}).get("width", settings.width),
                "latent_dim": prior.latent_dim,
                "prior": prior_record(prior),
                "generator": weights,
                "classifier": None if classifier is None else _trace(classifier, made),
                "scores": None if scores is None else _trace(scores, z.to(made)),
                "start": None if start is None else fingerprint_of(start.encoder),
                "augmented": repr(augment) if is_dataclass(augment) else augment is not None,
                "data": data.fingerprint(),
                **own_identity(encoder=encoder),
            },
            at_checkpoint=at_checkpoint,
            progress=progress,
        )
        return inverse(settings.steps)


class _LabelledData:
    """Data in single precision on the generator's device, their labels, -1 where nothing asks for any, and conditions."""

    def __init__(self, x: Tensor, y: Tensor, condition: Condition | None) -> None:
        self.x, self.y, self.condition = x, y, condition

    def __len__(self) -> int:
        return len(self.x)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Data, labels, and their row numbers, by which conditions are found."""
        chosen = torch.tensor(indices, device=self.x.device)
        return self.x[chosen], self.y[chosen], chosen

    def first(self, n: int) -> "_LabelledData":
        return _LabelledData(self.x[:n], self.y[:n], rows_at(self.condition, slice(n)))

    def fingerprint(self) -> str:
        return fingerprint({"x": self.x, "y": self.y, **named_parts(self.condition)})


class _Outcome:
    """What becomes of codes in the prior's scale: data, and logits of both kinds."""

    def __init__(
        self,
        pairs: Pairs,
        scale: Standardization,
        classifier: Callable[[Tensor], Tensor] | None,
        scores: Callable[[Tensor], Tensor] | None,
        latent_dim: int,
    ) -> None:
        self.pairs, self.scale, self.latent_dim = pairs, scale, latent_dim
        self.classifier, self.scores = classifier, scores

    def __call__(self, units: Tensor, condition: Condition | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """G(z), C(G(z)) and s(z)."""
        z = self.scale.codes(units)
        x_hat = called(self.pairs.generator, self.pairs.for_generator(z), condition).float()
        classes = None if self.classifier is None else logits_of(self.classifier(x_hat))
        return x_hat, classes, None if self.scores is None else logits_of(self.scores(z))

    def report(self, encoder: nn.Module, data: _LabelledData, *, held_back: bool) -> DataReport:
        """How an encoder does on data."""
        units = encode(encoder, data.x)[:, : self.latent_dim]
        squares, agreed, spectral = 0.0, 0.0, 0.0
        with torch.no_grad():
            for rows in torch.arange(len(units)).split(AT_ONCE):
                x, y = data.x[rows], data.y[rows]
                x_hat, classes, scores = self(units[rows], rows_at(data.condition, rows))
                squares += (x_hat - x).square().sum().item()
                agreed += 0.0 if classes is None else (classes.argmax(1) == y).sum().item()
                spectral += 0.0 if scores is None else (scores.argmax(1) == y).sum().item()
        return DataReport(
            reconstruction_error=squares / data.x.numel(),
            mean_square=units.square().mean().item(),
            agreement=None if self.classifier is None else agreed / len(data),
            spectral_agreement=None if self.scores is None else spectral / len(data),
            held_back=held_back,
        )


class _Training:
    """The step that trains an encoder of data."""

    def __init__(
        self,
        encoder: nn.Module,
        outcome: _Outcome,
        settings: EncoderSettings,
        augment: Callable[[Tensor, torch.Generator], Tensor] | None,
        condition: Condition | None,
    ) -> None:
        self.encoder, self.outcome, self.settings, self.augment = encoder, outcome, settings, augment
        self.condition = condition
        self.networks = {"encoder": encoder}
        self.averages: dict[str, AveragedModel] = {}
        self.optimizers: dict[str, Optimizer] = {"encoder": gentle_adam(encoder, settings.learning_rate)}

    def step(self, batch: tuple[Tensor, Tensor, Tensor], rng: torch.Generator, update: Update) -> dict[str, Tensor]:
        """One update on a batch of data, labels and row numbers."""
        x, y, rows = batch
        if self.augment is not None:
            x = self.augment(x, rng)
        units = self.encoder(x)
        if self.settings.variational:
            mean, raw = units.chunk(2, 1)
            q = DiagonalNormal(mean, deviations(raw))
            units = q.rsample(rng=rng)
        else:  # all codes of the batch together
            q = DiagonalNormal(units.mean(0), units.var(0).clamp(min=_LEAST_VARIANCE).sqrt())
        divergence = kl_divergence(q, Normal(q.event_shape[0]).to(units)()).mean() / q.event_shape[0]
        x_hat, classes, scores = self.outcome(units, rows_at(self.condition, rows.cpu()))
        losses = {"reconstruction": _difference(x_hat, x, self.settings.difference), "prior": divergence}
        total = losses["reconstruction"] + self.settings.prior_weight * divergence
        weights = {"class": self.settings.class_weight, "score": self.settings.score_weight}
        for name, logits in (("class", classes), ("score", scores)):
            if logits is not None:
                losses[name] = cross_entropy(logits, y)
                total = total + weights[name] * losses[name]
        update({"encoder": total})
        return losses


def _difference(x_hat: Tensor, x: Tensor, kind: Reconstruction) -> Float[Tensor, ""]:
    if kind == "hinge":
        return (1 - x_hat * x).relu().mean()
    return (x_hat - x).square().mean() if kind == "l2" else (x_hat - x).abs().mean()


def _from_start(start: Inverse, made: Tensor, latent_dim: int, outputs: int, weights: str | None) -> nn.Module:
    """An encoder with the weights of the start."""
    data_shape = tuple(made.shape[1:])
    if (start.data_shape, start.prior.latent_dim) != (data_shape, latent_dim):
        raise ValueError(
            f"expected a start from data of shape {data_shape} to codes of length {latent_dim}, got one from "
            f"{start.data_shape} to {start.prior.latent_dim}; fit an inverse of this generator"
        )
    if None not in (weights, start.generator_fingerprint) and weights != start.generator_fingerprint:
        raise ValueError(
            f"expected a start fitted to the generator with weights {weights}, got one fitted to "
            f"{start.generator_fingerprint}; fit an inverse of this generator"
        )
    if not isinstance(start.encoder, ConvolutionalEncoder | VectorEncoder):
        return own_network(start.encoder, "encoder of the start", [made[:TRIAL].cpu()], (outputs,))
    known = start.encoder.state_dict()
    arguments = network_files.record(start.encoder)["arguments"]
    encoder = encoder_for(data_shape, outputs, arguments["width"])
    encoder.load_state_dict({name: _fitted(known[name], value) for name, value in encoder.state_dict().items()})
    return encoder


def _fitted(known: Tensor, template: Tensor) -> Tensor:
    """The weights `known` in the shape of `template`, cut off or filled with zeros: an encoder of means and one of
    distributions differ in the number of outputs."""
    if known.shape == template.shape:
        return known
    filled = torch.zeros_like(template)
    rows = min(len(known), len(template))
    filled[:rows] = known[:rows]
    return filled


def _labelled(
    x: Tensor,
    y: Tensor | None,
    condition: Condition | None,
    classifier: Callable[[Tensor], Tensor] | None,
    scores: Callable[[Tensor], Tensor] | None,
    z: Tensor,
    made: Tensor,
    difference: Reconstruction,
) -> _LabelledData:
    """Data beside their labels, after every check that a few trial codes `z` and what they make allow."""
    if x.shape[1:] != made.shape[1:] or len(x) == 0 or not x.is_floating_point() or not x.isfinite().all():
        raise ValueError(
            f"expected finite floating-point data, at least one, of shape (n, {', '.join(map(str, made.shape[1:]))}) as the "
            f"generator makes them, got {x.dtype} of {tuple(x.shape)}"
            f"{'' if x.isfinite().all() else ' with NaN or infinity'}; resize and scale them"
        )
    check_range(x, made)
    if difference == "hinge" and x.abs().max() > 1.001:
        raise ValueError(
            f"expected data in [-1, 1] for the hinge, got values from {x.min():.3g} to {x.max():.3g}; scale them, or take l2"
        )
    x = x.to(made)
    if classifier is None and scores is None:
        if y is not None:
            raise ValueError("expected a classifier or scores along with labels, got neither; pass one, or leave y out")
        return _LabelledData(x, torch.full((len(x),), -1, device=x.device), condition)
    if y is None and classifier is None:
        raise ValueError("expected labels for the scores, got none and no classifier to give them; pass y or a classifier")
    fewest = min(
        _logits(function, trial, name).shape[1]
        for name, function, trial in (("classifier", classifier, made), ("scores", scores, z.to(made)))
        if function is not None
    )
    if y is None:
        assert classifier is not None
        with torch.no_grad():
            y = in_batches(lambda part: logits_of(classifier(part)).argmax(1), x, size=AT_ONCE)
    if y.shape != x.shape[:1] or y.is_floating_point() or (len(y) > 0 and not 0 <= y.min() <= y.max() < fewest):
        raise ValueError(
            f"expected one label from 0 to {fewest - 1} for each of {len(x)} data, as there are logits, got {y.dtype} of "
            f"shape {tuple(y.shape)}{f' from {y.min()} to {y.max()}' if y.numel() else ''}; "
            "correct y, or give the basis and the classifier a row for each label"
        )
    return _LabelledData(x, y.to(x.device, torch.int64), condition)


def _trace(function: Callable[[Tensor], Tensor], trial: Tensor) -> str:
    """What tells a classifier or a basis from another: its weights, or else what it makes of a trial, but for rounding."""
    with torch.no_grad():
        return fingerprint_of(function) or fingerprint({"trial": logits_of(function(trial)).round(decimals=3)})


def _logits(function: Callable[[Tensor], Tensor], trial: Tensor, name: str) -> Tensor:
    """What a classifier or a basis makes of a trial."""
    with torch.no_grad():
        logits = logits_of(tried(function, trial))
    if logits.ndim != 2 or len(logits) != len(trial):
        raise ValueError(
            f"expected {name} to give ({len(trial)}, k) logits for {len(trial)} rows, got {tuple(logits.shape)}; wrap it"
        )
    return logits
