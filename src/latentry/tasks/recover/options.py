"""Settings of `latentry recover` as arguments of `recover_codes`: names become solvers, regularizers and measurements."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.data.pictures import Picture, has_clear_parts
from latentry.data.survey import survey
from latentry.holding import evaluated, weights_like
from latentry.latent.differences import Difference
from latentry.latent.inverse import Inverse
from latentry.latent.inverse_files import load_inverse
from latentry.latent.likelihood import NegativeLogPrior, NormShell
from latentry.latent.measurements import Downsample
from latentry.latent.recovery import automatic_solver
from latentry.latent.regularizers import L2, AbsoluteValue, Regularizer, StatisticalDistance
from latentry.latent.resampling import BoundaryResampling, LogisticResampling, Resampling, TruncatedNormalResampling
from latentry.latent.solvers import LBFGS, Adam, LevenbergMarquardt, Solver
from latentry.models.pretrained import installed_versions
from latentry.names import counted
from latentry.paths import user_path
from latentry.priors import SavedPrior
from latentry.priors.files import record as prior_record
from latentry.storage import fingerprint
from latentry.tasks.recover.settings import RecoverSettings, RegularizerName

__all__ = [
    "Measurement",
    "WholeData",
    "are_images",
    "data_shape",
    "image_format",
    "measurement",
    "named_regularizer",
    "named_solver",
    "recovery_options",
    "shard_facts",
    "start_from",
]

_DECIDING = (
    "solver",
    "steps",
    "learning_rate",
    "restarts",
    "regularizer",
    "weight",
    "resampling",
    "resampling_bound",
    "difference",
    "downsample",
    "shard_size",
    "batch_size",
    "seed",
)
"""Settings that decide the codes, beside images, networks and prior."""

_LOGISTIC_SLOPE = 3.0
"""The middle one of those that Egan et al. (2018) tried."""
_WHITE = 128


@dataclass(frozen=True)
class WholeData:
    """Data that are no square images, which are observed as they are."""

    shape: tuple[int, ...]
    """Shape of one datum."""
    operator: None = None
    mask: None = None
    notes: tuple[str, ...] = ()

    def __call__(self, x: Float[Tensor, "n *s"]) -> Float[Tensor, "n *s"]:
        """The same."""
        return x

    def for_display(self, x: Float[Tensor, "n *s"]) -> Float[Tensor, "n *s"]:
        """The same."""
        return x


@dataclass(frozen=True)
class Measurement:
    """What is observed of images."""

    channels: int
    """1 for grey, 3 for colour."""
    size: int
    """Side of the observed images."""
    operator: Downsample | None = None
    """From the generator's images to observed ones; None for the identity."""
    mask: Float[Tensor, "1 h w"] | None = None
    """1 where they are seen."""
    notes: tuple[str, ...] = ()
    """How the mask was read."""

    def __call__(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """The generator's images as they are observed."""
        return x if self.operator is None else self.operator(x)

    def for_display(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """Observed images for comparison with the generator's: grey where hidden, and of its size."""
        x = x if self.mask is None else x * self.mask
        factor = 1 if self.operator is None else self.operator.factor
        return x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def data_shape(generator: nn.Module, prior: SavedPrior) -> tuple[int, ...]:
    """Shape of one datum that a generator makes."""
    z = prior.sample(1, rng=torch.Generator().manual_seed(0))
    with evaluated(generator), torch.no_grad():
        return tuple(generator(z.to(weights_like(generator, z).device)).shape[1:])


def are_images(shape: Sequence[int]) -> bool:
    """Whether data of this shape are square images, grey or colour, as image files are read.

    Example:
        >>> are_images((3, 32, 32)), are_images((2, 100))
        (True, False)
    """
    return len(shape) == 3 and shape[0] in (1, 3) and shape[1] == shape[2]


def image_format(generator: nn.Module, prior: SavedPrior) -> tuple[int, int]:
    """Channels and side of what a generator makes.

    Raises:
        ValueError: It makes no square images.
    """
    shape = data_shape(generator, prior)
    if not are_images(shape):
        raise ValueError(
            f"expected a generator of square images, grey or colour, for this verb, got data of shape {shape}; `latentry "
            "sample`, `recover`, `evaluate` and `train inverse` take any data"
        )
    return shape[0], shape[1]


def measurement(downsample: int, mask: str | None, shape: Sequence[int]) -> Measurement | WholeData:
    """What is observed of data.

    Args:
        downsample: How many times smaller than the generator's the images are.
        mask: File of an image, white where images are seen; None for whole images.
        shape: Of one datum of the generator.

    Raises:
        ValueError: The factor does not divide the side, the mask is of another size or no image, or the data are no images.
    """
    if not are_images(shape):
        if downsample != 1 or mask is not None:
            raise ValueError(
                f"expected a generator of square images for --downsample and --mask, got data of shape {tuple(shape)}; "
                "leave them out, and measure with lt.recover_codes"
            )
        return WholeData(tuple(shape))
    channels, size = shape[0], shape[1]
    if downsample < 1 or size % downsample:
        raise ValueError(
            f"expected a --downsample that divides {size}, the side of the generator's images, got {downsample}"
        )
    operator = Downsample(downsample) if downsample > 1 else None
    seen, notes = (None, ()) if mask is None else _mask(mask, size // downsample)
    return Measurement(channels, size // downsample, operator, seen, notes)


def _mask(path: str, size: int) -> tuple[Float[Tensor, "1 h w"], tuple[str, ...]]:
    """1 where images are seen, and notes on how the file was read."""
    picture = Picture(path, user_path(path))
    plan = survey(lambda _: picture, 1, None, 1)
    _, height, width = plan.shape
    if (height, width) != (size, size):
        raise ValueError(
            f"expected a mask of {size} x {size} pixels as the images have, got {width} x {height} in {path}; resize it"
        )
    values = plan.read([picture], "black")[0]
    mask = (values >= _WHITE).float()
    if not mask.any():
        raise ValueError(
            f"expected a mask that shows part of each datum, got one that hides everything in {path}; draw white on opaque "
            "where images are seen, since black and transparent are hidden"
        )
    grey = int(((values > 0) & (values < 255)).sum())
    note = f"{counted(grey, 'pixel')} of the mask neither black nor white: from {_WHITE} of 255 on they count as seen"
    clear = "transparent parts of the mask are hidden"
    return mask, (*([note] if grey else []), *([clear] if has_clear_parts(picture) else []))


def named_solver(settings: RecoverSettings, latent_dim: int) -> Solver | Literal["auto"]:
    """The solver of the settings; `auto` where no steps are set.

    Raises:
        ValueError: A setting is not one of this solver, or a number is outside its range.
    """
    of_adam = settings.learning_rate is not None or settings.resampling != "none"
    if of_adam and settings.solver != "adam":
        raise ValueError(
            f"expected --solver adam along with a learning rate or resampling, got {settings.solver}; no other has these"
        )
    steps: dict[str, Any] = {} if settings.steps is None else {"steps": settings.steps}
    if settings.solver == "auto":
        return replace(automatic_solver(settings.difference, latent_dim), **steps) if steps else "auto"
    if settings.solver == "levenberg-marquardt":
        return LevenbergMarquardt(**steps)
    if settings.solver == "lbfgs":
        return LBFGS(**steps)
    adam = Adam(**steps)
    rate = adam.learning_rate if settings.learning_rate is None else settings.learning_rate
    return replace(adam, learning_rate=rate, resampling=_resampling(settings, adam.steps))


def _resampling(settings: RecoverSettings, steps: int) -> Resampling | None:
    bound = settings.resampling_bound
    if not 0 < bound < math.inf:
        raise ValueError(f"expected a finite --resampling_bound above 0, got {bound}")
    if settings.resampling == "none":
        return None
    if settings.resampling == "boundary":
        return BoundaryResampling(bound, steps)
    if settings.resampling == "logistic":
        return LogisticResampling(_LOGISTIC_SLOPE, bound, steps)
    return TruncatedNormalResampling(bound, steps)


def named_regularizer(name: RegularizerName) -> Regularizer | None:
    """The regularizer of this name."""
    plain: dict[str, Regularizer | None] = {
        "none": None,
        "l2": L2(),
        "absolute": AbsoluteValue(),
        "negative-log-prior": NegativeLogPrior(),
        "norm-shell": NormShell(),
    }
    return plain[name] if name in plain else StatisticalDistance(name)  # type: ignore[arg-type]  # the other names are its own


def start_from(folder: str | None, generator: nn.Module, prior: SavedPrior, seen: Measurement | WholeData) -> Inverse | None:
    """The inverse in a folder, on the generator's device; None for no folder.

    Raises:
        ValueError: There is none, it belongs to another generator or prior, or images are downsampled.
    """
    if folder is None:
        return None
    if seen.operator is not None:
        raise ValueError("expected whole images for an inverse, got --downsample; leave --inverse out")
    inverse = load_inverse(folder, generator, prior)
    inverse.encoder.to(weights_like(generator, torch.empty(0)).device)
    return inverse


def recovery_options(
    settings: RecoverSettings, latent_dim: int, seen: Measurement | WholeData, start: Inverse | None
) -> dict[str, Any]:
    """Arguments of `recover_codes` beside generator, data and prior.

    Args:
        settings: Of the verb.
        latent_dim: Length of a code.
        seen: What is observed of the images.
        start: A learned start.
    """
    return {
        "solver": named_solver(settings, latent_dim),
        "start": start,
        "regularizer": named_regularizer(settings.regularizer),
        "weight": None if settings.regularizer == "none" else settings.weight,
        "difference": Difference(settings.difference, seen.operator),
        "mask": seen.mask,
        "restarts": settings.restarts,
        "batch_size": settings.batch_size,
    }


def shard_facts(
    settings: RecoverSettings, weights: str, prior: SavedPrior, seen: Measurement | WholeData, start: Inverse | None
) -> dict[str, str]:
    """All that decides the codes beside the images, as metadata of each shard.

    Args:
        settings: Of the verb.
        weights: Hash of the generator's weights.
        prior: Distribution of the codes.
        seen: What is observed of the images.
        start: A learned start.
    """
    return {
        "generator": weights,
        "prior": repr(prior),
        "prior_record": json.dumps(prior_record(prior)),
        "inverse": "" if start is None else fingerprint(start.encoder.state_dict()),
        "mask": "" if seen.mask is None else fingerprint({"mask": seen.mask}),
        **{name: json.dumps(getattr(settings, name)) for name in _DECIDING},
        "versions": json.dumps(installed_versions()),
    }
