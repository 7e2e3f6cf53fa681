"""What is compared against each corruption: filters of images, recovery of codes, and filters of codes in a basis.

Corrupted data allow a posterior mode (`latentry.latent.posterior_mode`) whose errors suit the corruption: normal ones for
noise, absolute ones for salt and pepper, of which half the pixels are no likelier than anything else. Labels are used
nowhere. Methods that know the blur or the place of the occlusion are not *blind*, and are compared with each other.

References: Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", 1994 (soft thresholds); Toledo-Marin and
Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space", 2023 (the largest
coefficients).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from latentry.data.corruptions import Blurring, Corruption, NormalNoise, Occlusion, SaltAndPepper
from latentry.data.image_filters import (
    Contrast,
    ImageFilter,
    Observation,
    classical_filters,
    deconvolution_filters,
    inpainting_filter,
)
from latentry.interfaces import Generator, Prior
from latentry.latent.posterior_mode import nearest_samples, posterior_mode
from latentry.latent.quasi_eigenbasis import QuasiEigenbasis

__all__ = [
    "CONTRASTS",
    "CodeFilter",
    "RecoveryMethod",
    "code_filters",
    "filters_for",
    "recoveries_for",
]

CONTRASTS = (Contrast(1.0, 99.0), Contrast(50.0, 99.0), Contrast(70.0, 95.0), Contrast(80.0, 95.0), Contrast(80.0, 99.0))
"""What each filter of images is tried with, beside its own contrast."""


@dataclass(frozen=True)
class RecoveryMethod:
    """A way from corrupted images to codes, at one setting."""

    family: str
    """Its name; settings of one family are tuned against each other."""
    setting: str
    """The setting, in words."""
    codes: Callable[[Observation], Tensor]
    """Corrupted images to codes `(n, d)`."""
    blind: bool = True
    """Whether it sees the corrupted image alone."""


@dataclass(frozen=True)
class CodeFilter:
    """A filter of codes, at one setting."""

    family: str
    setting: str
    apply: Callable[[Tensor], Tensor]
    """Codes to codes, `(n, d)` both."""


def filters_for(corruption: Corruption, side: int) -> tuple[ImageFilter, ...]:
    """All filters of images that there are against a corruption of images of this side, blind or not."""
    if isinstance(corruption, Blurring):
        return (*classical_filters(), *deconvolution_filters(corruption.operator, side))
    if isinstance(corruption, Occlusion):
        return (*classical_filters(), inpainting_filter())
    return classical_filters()


def recoveries_for(
    corruption: Corruption,
    generator: Generator,
    prior: Prior,
    encoder: Callable[[Tensor], Tensor],
    *,
    samples: int = 20_000,
    steps: int = 40,
    rng: torch.Generator | None = None,
) -> tuple[RecoveryMethod, ...]:
    """Ways to codes against a corruption: the encoder alone, and posterior modes found from it and from nearest samples.

    Args:
        corruption: One of `data.corruptions`; for another kind there is the encoder alone.
        generator, prior: Where codes come from.
        encoder: Corrupted images to codes, as `fit_inverse` with `corrupt` makes it.
        samples: Samples among which the nearest is looked for; 0 for none.
        steps: Steps from each start.
        rng: Source of the samples.
    """

    def modes(family: str, scales: Sequence[float], *, masked: bool = False, **model: Any) -> tuple[RecoveryMethod, ...]:
        starts = [encoder]
        if samples > 0 and not masked:
            starts.append(nearest_samples(generator, prior, samples, rng=rng, **model))

        def codes(observed: Observation, scale: float) -> Tensor:
            mask = observed.mask if masked else None
            return posterior_mode(generator, observed.x, prior, starts=starts, scale=scale, mask=mask, steps=steps, **model)

        blind = not masked and "operator" not in model
        return tuple(RecoveryMethod(family, f"scale {each:g}", partial(codes, scale=each), blind) for each in scales)

    alone = RecoveryMethod("denoising encoder", "as it is", lambda observed: encoder(observed.x))
    if isinstance(corruption, NormalNoise):
        return (alone, *modes("recovery", [share * corruption.sigma for share in (0.7, 1.0, 1.4)]))
    if isinstance(corruption, SaltAndPepper):
        return (alone, *modes("recovery", (0.5, 1.0, 2.0), norm="l1"))
    if isinstance(corruption, Occlusion):
        known = modes("recovery under the mask", (0.5, 1.0), masked=True)
        return (alone, *modes("recovery", (0.5, 1.0), norm="l1"), *known)
    if isinstance(corruption, Blurring):
        known = modes("recovery through the blur", (0.1, 0.3), operator=corruption.operator)
        return (alone, *modes("recovery", (0.3, 1.0)), *known)
    return (alone,)


def code_filters(basis: QuasiEigenbasis) -> tuple[CodeFilter, ...]:
    """Filters of codes in a basis: largest coefficients, soft thresholds, the label sub-domain, and a share of the rest."""
    m, k = len(basis.vectors), basis.num_labels

    def soft(z: Tensor, share: float) -> Tensor:
        c = basis.coefficients(z)
        return basis.reconstruct(c.sign() * (c.abs() - share * c.abs().amax(1, keepdim=True)).clamp(min=0))

    def labels(z: Tensor, rest: float) -> Tensor:
        c = basis.coefficients(z)
        return basis.reconstruct(torch.cat([c[:, :k], rest * c[:, k:]], 1))

    kept = sorted({count for count in (1, 3, k, 2 * k, m // 2, 3 * m // 4) if count <= m})
    thresholds, rests = (0.02, 0.05, 0.1, 0.2, 0.4), (0.25, 0.5, 0.75, 0.9)
    return (
        *(CodeFilter("largest coefficients", f"{count}", partial(basis.denoise, keep=count)) for count in kept),
        *(CodeFilter("soft threshold", f"{share:g} of the largest", partial(soft, share=share)) for share in thresholds),
        CodeFilter("label sub-domain", "alone", partial(labels, rest=0.0)),
        *(CodeFilter("label sub-domain, less of the rest", f"{rest:g} of it", partial(labels, rest=rest)) for rest in rests),
    )
