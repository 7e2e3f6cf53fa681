"""Generators and priors by name or file, as the verbs take them."""

from collections.abc import Callable

from latentry.models.generative import GenerativeModel
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

__all__ = ["load_with_prior", "load_with_unlabelled_prior", "named_prior"]

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


def load_with_prior(name_or_path: str) -> tuple[GenerativeModel, SavedPrior]:
    """A saved generator and its prior, with labels or without.

    Raises:
        ValueError: There is no such model, or it has no prior.
    """
    model = load_model(name_or_path, GenerativeModel)
    assert isinstance(model.prior, SavedPrior), "a saved model has a prior of this package"
    return model, model.prior


def load_with_unlabelled_prior(name_or_path: str) -> tuple[GenerativeModel, UnlabelledPrior]:
    """A saved generator and its prior, for verbs that know no labels.

    Raises:
        ValueError: There is no such model, it has no prior, or one with labels.
    """
    model, prior = load_with_prior(name_or_path)
    if isinstance(prior, NormalMixture):
        raise ValueError(
            f"expected a prior without labels, got {prior!r}; `latentry sample`, `recover` and `evaluate` take it, and "
            "`latentry edit swap` or `edit features` where it is that of a label split or of a semantic model"
        )
    return model, prior


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
