"""Generators and priors by name or file, as the verbs take them."""

from collections.abc import Callable
from dataclasses import replace

import torch

from latentry.generators.adapted import AdaptedGenerator
from latentry.models.generative import GenerativeModel
from latentry.models.loading import load_generator
from latentry.models.saving import load_model
from latentry.paths import user_path
from latentry.priors import (
    GammaRadius,
    HalfUniformHalfNormal,
    LogUniformRadius,
    Normal,
    NormalMixture,
    SavedPrior,
    SphericalCauchy,
    TruncatedCauchy,
    Uniform,
    UnlabelledPrior,
    design_interpolable,
    design_radial,
    load_prior,
)
from latentry.tasks.settings import GeneratorSettings

__all__ = [
    "chosen_generator",
    "chosen_unlabelled_generator",
    "load_with_unlabelled_prior",
    "named_prior",
    "prior_notes",
    "without_labels",
]

_SAMPLES, _OVERSHOOT, _SELDOM = 64, 0.25, 0.01
"""Samples that are looked at for their range, how far images may leave it, and how seldom they may go further."""
_PRIORS: dict[str, Callable[[int], UnlabelledPrior]] = {
    "normal": Normal,
    "uniform": Uniform,
    "half-uniform-half-normal": HalfUniformHalfNormal,
    "truncated-cauchy": TruncatedCauchy,
    "spherical-cauchy": SphericalCauchy,
    "gamma-radius": GammaRadius,
    "log-uniform-radius": LogUniformRadius,
    "interpolable": design_interpolable,
    "designed-radius": design_radial,
}


def chosen_generator(settings: GeneratorSettings) -> tuple[GenerativeModel, SavedPrior]:
    """The generator of the settings and the prior of its codes, with labels or without.

    Raises:
        ValueError: There is no such generator, its images are in another range than [-1, 1], or its prior is none that a
            file can hold.
    """
    key = settings.output_key
    model = load_generator(
        settings.generator,
        code_shape=settings.code_shape,
        output=int(key) if key is not None and key.isdigit() else key,
        output_range=settings.output_range,
        download=settings.download,
    )
    if settings.prior is not None:
        model = replace(model, prior=named_prior(settings.prior, model.prior.latent_dim), prior_is="given")
    if not isinstance(model.prior, SavedPrior):
        raise ValueError(
            f"expected a prior that a file can hold for {settings.generator}, got its own {type(model.prior).__name__}; "
            "name one with --prior, such as normal"
        )
    if isinstance(model.generator, AdaptedGenerator) and settings.output_range is None:
        _check_range(model)
    return model, model.prior


def chosen_unlabelled_generator(settings: GeneratorSettings) -> tuple[GenerativeModel, UnlabelledPrior]:
    """The generator of the settings and the prior of its codes, for verbs that know no labels.

    Raises:
        ValueError: As in `chosen_generator`, or the prior has labels.
    """
    model, prior = chosen_generator(settings)
    return model, without_labels(prior)


def load_with_unlabelled_prior(name_or_path: str) -> tuple[GenerativeModel, UnlabelledPrior]:
    """A shipped or saved model of latentry and the prior of its codes.

    Raises:
        ValueError: There is no such model, or its prior has labels.
    """
    model = load_model(name_or_path, GenerativeModel)
    assert isinstance(model.prior, SavedPrior), "a saved model has a prior of this package"
    return model, without_labels(model.prior)


def without_labels(prior: SavedPrior) -> UnlabelledPrior:
    """The same prior, for what knows no labels.

    Raises:
        ValueError: It has labels.
    """
    if isinstance(prior, NormalMixture):
        raise ValueError(
            f"expected a prior without labels, got {prior!r}; `latentry sample`, `recover` and `evaluate` take it, and "
            "`latentry edit swap` or `edit features` where it is that of a label split or of a semantic model"
        )
    return prior


def prior_notes(model: GenerativeModel) -> tuple[str, ...]:
    """A note on a prior that nobody gave."""
    if model.prior_is != "assumed":
        return ()
    return (
        "the prior is N(0, I), assumed since the generator has none; name it with --prior, or fit one with lt.fit_prior",
    )


def _check_range(model: GenerativeModel) -> None:
    """Make sure that the images of a third-party generator are in [-1, 1], where it makes images."""
    x = model.decode(model.prior.sample(_SAMPLES, rng=torch.Generator().manual_seed(0)))
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        return
    low, high = x.min().item(), x.max().item()
    beyond = ((x < -1 - _OVERSHOOT) | (x > 1 + _OVERSHOOT)).float().mean().item()
    if low >= 0 or beyond > _SELDOM:
        likely = "[0,1]" if low >= 0 and high <= 1 else "[0,255]" if low >= 0 and high <= 255 else f"[{low:.3g},{high:.3g}]"
        raise ValueError(
            f"expected images in [-1, 1], got images from {low:.3g} to {high:.3g}, which look like {likely}; say what their "
            f"range is with --output_range '{likely}', or '[-1,1]' if it is that"
        )


def named_prior(name_or_path: str, latent_dim: int | None = None) -> UnlabelledPrior:
    """The prior of this name in its standard form, or the one in this file.

    Args:
        name_or_path: A name, or a file that `latentry prior design` or `save_prior` wrote, or a bare table.
        latent_dim: Length of a code; by default that of a saved prior, which a name and a bare table have not.

    Raises:
        ValueError: There is no such name and no such file, or the file holds no prior, or one with labels, or there is no
            `latent_dim`.
    """
    if name_or_path in _PRIORS:
        if latent_dim is None:
            raise ValueError(f"expected the length of a code along with the prior {name_or_path!r}; pass latent_dim")
        return _PRIORS[name_or_path](latent_dim)
    if not user_path(name_or_path).is_file():
        raise ValueError(
            f"expected a prior among {', '.join(_PRIORS)}, or the file of one, got {name_or_path!r}; "
            "`latentry prior design` writes such a file"
        )
    prior = load_prior(name_or_path, latent_dim)
    if isinstance(prior, NormalMixture):
        raise ValueError(f"expected a prior without labels, got {prior!r}; use it from Python")
    return prior
