r"""Ways of denoising: filters of pictures, recovery of codes, and filters of codes in a basis.

**Recovery from corrupted data is a posterior mode.** For data :math:`x = C(G(z)) + \sigma \epsilon` of m elements with C
linear, or with errors of density :math:`\exp(-|e| / b)`, the likeliest code of d elements minimises

.. math:: \frac{1}{m} |C G(z) - x|^2 + \frac{2 \sigma^2 d}{m} R(z) \quad\text{or}\quad
    \frac{1}{m} |G(z) - x|_1 + \frac{b d}{m} R(z), \qquad R(z) = -\frac{1}{d} \log p(z),

so that the weight of `recover_codes` follows from the scale of the errors (`posterior_weight`): 0.16 for noise of standard
deviation 1 on images of 784 pixels and 64 latents, far above the 0.01 that clean images want. Absolute errors stand for
salt and pepper, of which half the pixels are no likelier than anything else. The loss has many valleys where there is much
noise, so it matters where the search starts: at the posterior mean of a denoising encoder (`fit_inverse` with `corrupt`), at
the nearest of many samples (`nearest_samples`), or at both, where the lesser loss wins. Labels are used nowhere.

**What is known of the corruption.** A method is *blind* if it sees the corrupted image alone; it may still be of a kind and
a setting that suit the corruption, since it is tuned on validation images that went through the same. Others are told the
blur's weights or where the occlusion lies: deconvolution and inpainting among the filters, recovery through the operator or
under the mask among ours. Like is compared with like.

**Contrast.** What filters of pictures leave is flat or speckled, which a classifier of clean images does not know, however
well the eye can read it. So each is also tried with its contrast stretched, down to a black point under which most of the
picture falls (`CONTRASTS`). For drawings on black this is the better half of the filter: of digits under normal noise of
standard deviation 1, total variation leaves 30 % legible to the shipped independent classifier, and 93 % with black at its
70th percentile.

References: Bora, Jalal, Price, Dimakis, "Compressed sensing using generative models", 2017 (the posterior mode); Chambolle,
"An algorithm for total variation minimization and applications", 2004; Buades, Coll, Morel, "A non-local algorithm for image
denoising", 2005; van der Walt et al., "scikit-image: image processing in Python", 2014; Donoho and Johnstone, "Ideal spatial
adaptation by wavelet shrinkage", 1994 (soft thresholds); Toledo-Marin and Glazier, "Using deep LSD to build operators in
GANs latent space with meaning in real space", 2023 (the largest coefficients).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentry.data.corruptions import Blurring, Corruption, NormalNoise, Occlusion, SaltAndPepper
from latentry.holding import evaluated
from latentry.interfaces import Generator, SampledPrior
from latentry.latent.differences import Difference, Norm
from latentry.latent.likelihood import NegativeLogPrior
from latentry.latent.measurements import Blur
from latentry.latent.recovery import recover_codes
from latentry.latent.solvers.adam import Adam

__all__ = [
    "CONTRASTS",
    "STRENGTHS",
    "Basis",
    "CodeFilter",
    "Contrast",
    "Observed",
    "PictureFilter",
    "Recovering",
    "code_filters",
    "corruption_titles",
    "deconvolution_filters",
    "filters_for",
    "inpainting_filters",
    "mode_recoveries",
    "nearest_samples",
    "picture_filters",
    "posterior_mode",
    "posterior_weight",
    "recoveries_for",
]

STRENGTHS: dict[str, tuple[Corruption, ...]] = {
    "normal noise": (NormalNoise(0.3), NormalNoise(0.6), NormalNoise(1.0)),
    "salt and pepper": (SaltAndPepper(0.1), SaltAndPepper(0.3), SaltAndPepper(0.5)),
    "occlusion": (Occlusion(6), Occlusion(10), Occlusion(14)),
    "blur": (Blurring(Blur(1.0)), Blurring(Blur(2.0)), Blurring(Blur(3.0))),
}
"""What methods are compared on, the strongest last: for images of 28 x 28 in [-1, 1] on a background of -1."""


def corruption_titles() -> dict[str, str]:
    """What tables call each corruption, by its repr: kind and strength."""

    def strength(of: Any) -> int | float:
        if isinstance(of, NormalNoise):
            return of.sigma
        if isinstance(of, SaltAndPepper):
            return of.share
        return of.side if isinstance(of, Occlusion) else of.operator.sigma

    return {str(of): f"{kind} {strength(of):g}" for kind, several in STRENGTHS.items() for of in several}


_STEPS, _LEARNING_RATE = 40, 0.1
_AT_ONCE = 1000
_FLAT = 1e-6
"""Range of a picture below which its contrast is not stretched."""


@dataclass(frozen=True)
class Observed:
    """What a method of denoising sees."""

    x: Float[Tensor, "n c h w"]
    """Corrupted images."""
    seen: Float[Tensor, "n 1 h w"] | None = None
    """1 where an occlusion does not lie, for methods that are told; None where nothing is hidden."""

    def __getitem__(self, part: slice) -> "Observed":
        return Observed(self.x[part], None if self.seen is None else self.seen[part])


@dataclass(frozen=True)
class PictureFilter:
    """A filter of pictures at one setting."""

    family: str
    """Its name; settings of one family are tuned against each other."""
    setting: str
    """The setting, in words."""
    denoise: Callable[[Observed], Tensor]
    """Corrupted to denoised images in [-1, 1]."""
    blind: bool = True
    """Whether it sees the corrupted image alone."""
    contrasted: bool = True
    """Whether it may be tried with other contrasts too."""


@dataclass(frozen=True)
class Contrast:
    """Brightness stretched, for each picture, so that two of its percentiles come to the ends of [-1, 1]."""

    black: float
    """Percentile that becomes -1."""
    white: float
    """Percentile that becomes 1."""

    def __call__(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        ends = torch.tensor([self.black, self.white], dtype=x.dtype, device=x.device) / 100
        low, high = x.flatten(1).quantile(ends, dim=1)[:, :, None, None, None]
        stretched = 2 * (x - low) / (high - low).clamp(min=_FLAT) - 1
        return torch.where(high - low > _FLAT, stretched, x).clamp(-1, 1)

    def __str__(self) -> str:
        return f"black at {self.black:g} %, white at {self.white:g} %"


CONTRASTS = (Contrast(1.0, 99.0), Contrast(50.0, 99.0), Contrast(70.0, 95.0), Contrast(80.0, 95.0), Contrast(80.0, 99.0))
"""What each filter of pictures is tried with, beside its own contrast."""


@dataclass(frozen=True)
class Recovering:
    """A way to codes at one setting."""

    family: str
    setting: str
    codes: Callable[[Observed], Tensor]
    """Corrupted images to codes `(n, d)`."""
    blind: bool = True
    """Whether it sees the corrupted image alone."""


@dataclass(frozen=True)
class CodeFilter:
    """A filter of codes at one setting."""

    family: str
    setting: str
    apply: Callable[[Tensor], Tensor]
    """Codes to codes, `(n, d)` both."""


@runtime_checkable
class Basis(Protocol):
    """What filters of codes ask of a basis, as `QuasiEigenbasis` has it."""

    @property
    def vectors(self) -> Tensor:
        """Rows `(m, d)`, the labelled ones first."""

    @property
    def num_labels(self) -> int:
        """How many rows have a label."""

    def coefficients(self, z: Any) -> Any:
        """Coefficients `(n, m)` of codes `(n, d)`."""

    def reconstruct(self, c: Any) -> Any:
        """Codes of coefficients."""


def filters_for(corruption: Corruption, side: int) -> tuple[PictureFilter, ...]:
    """All filters of pictures that can be had against a corruption of images of this side, blind or not."""
    if isinstance(corruption, Blurring):
        return (*picture_filters(), *deconvolution_filters(corruption.operator, side))
    if isinstance(corruption, Occlusion):
        return (*picture_filters(), *inpainting_filters())
    return picture_filters()


def recoveries_for(
    corruption: Corruption,
    generator: Generator,
    prior: SampledPrior,
    encoder: Callable[[Tensor], Tensor],
    *,
    samples: int = 20_000,
    steps: int = _STEPS,
    rng: torch.Generator | None = None,
) -> tuple[Recovering, ...]:
    """Ways to codes against a corruption: the encoder alone, and posterior modes found from it and from nearest samples.

    Args:
        corruption: One of `data.corruptions`; of another kind, only the encoder is there.
        generator, prior: Where codes come from.
        encoder: Corrupted data to codes, as `fit_inverse` with `corrupt` makes it.
        samples: Samples among which the nearest is looked for, 0 to go without.
        steps: Steps from each start.
        rng: Source of the samples.
    """
    alone = Recovering("denoising encoder", "as it is", lambda observed: encoder(observed.x))

    def modes(family: str, scales: Sequence[float], **settings: Any) -> tuple[Recovering, ...]:
        starts = [encoder]
        if samples > 0 and not settings.get("masked", False):
            near = {name: settings[name] for name in ("norm", "operator") if name in settings}
            starts.append(nearest_samples(generator, prior, samples, rng=rng, **near))
        return mode_recoveries(family, generator, prior, starts, scales, steps=steps, **settings)

    if isinstance(corruption, NormalNoise):
        return (alone, *modes("recovery", [share * corruption.sigma for share in (0.7, 1.0, 1.4)]))
    if isinstance(corruption, SaltAndPepper):
        return (alone, *modes("recovery", (0.5, 1.0, 2.0), norm="l1"))
    if isinstance(corruption, Occlusion):
        told = modes("recovery under the mask", (0.5, 1.0), masked=True)
        return (alone, *modes("recovery", (0.5, 1.0), norm="l1"), *told)
    if isinstance(corruption, Blurring):
        told = modes("recovery through the blur", (0.1, 0.3), operator=corruption.operator)
        return (alone, *modes("recovery", (0.3, 1.0)), *told)
    return (alone,)


def picture_filters() -> tuple[PictureFilter, ...]:
    """Doing nothing, and the blind filters of scikit-image and scipy over grids of their settings."""
    from scipy.signal import wiener
    from skimage.filters import gaussian, median
    from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

    found = [
        PictureFilter("nothing", "as it is", lambda seen: seen.x.clamp(-1, 1), contrasted=False),
        PictureFilter("contrast alone", "as it is", lambda seen: seen.x.clamp(-1, 1)),
    ]
    for side in (3, 5, 7):
        found.append(_filter("median", f"{side} x {side}", partial(median, footprint=np.ones((side, side)), mode="nearest")))
    for weight in (0.1, 0.2, 0.4, 0.6, 0.8, 1.2, 1.8, 2.5):
        found.append(_filter("total variation", f"weight {weight:g}", partial(denoise_tv_chambolle, weight=weight)))
    for patch in (3, 5, 7):
        for h in (0.2, 0.4, 0.5, 0.6, 0.8, 1.1):
            shape = {"patch_size": patch, "patch_distance": 9}
            found.append(_filter("non-local means", f"h {h:g}, patch {patch}", partial(denoise_nl_means, h=h, **shape)))
    for sigma in (0.6, 1.0, 1.4, 2.0):
        found.append(_filter("Gaussian", f"sigma {sigma:g}", partial(gaussian, sigma=sigma, mode="nearest")))

    def local(image: np.ndarray, side: int) -> Any:
        return wiener(np.pad(image, side, mode="edge"), side)[side:-side, side:-side]  # it goes on with 0 by itself

    for side in (3, 5, 7):
        found.append(_filter("Wiener", f"{side} x {side}", partial(local, side=side)))
    return tuple(found)


def deconvolution_filters(blur: Blur, side: int) -> tuple[PictureFilter, ...]:
    """Deconvolution by Wiener's filter and by Richardson and Lucy, which are told the blur.

    Args:
        blur: The blur.
        side: Side of the images; the weights of the blur are cut to an odd number of elements within it.
    """
    from skimage.restoration import richardson_lucy, wiener

    length = side - 1 + side % 2
    point = torch.zeros(1, length, length, dtype=torch.float64)
    point[0, length // 2, length // 2] = 1
    weights = blur(point)[0].numpy()
    found: list[PictureFilter] = []
    for balance in (1e-8, 1e-6, 1e-4, 1e-2, 1e-1):
        told = partial(wiener, psf=weights, balance=balance)
        found.append(_filter("Wiener deconvolution", f"balance {balance:g}", told, blind=False))

    def lucy(image: np.ndarray, num_iter: int) -> Any:
        return 2 * richardson_lucy((image + 1) / 2, weights, num_iter=num_iter) - 1  # it wants brightness above 0

    for steps in (10, 30, 100):
        found.append(_filter("Richardson-Lucy", f"{steps} steps", partial(lucy, num_iter=steps), blind=False))
    return tuple(found)


def inpainting_filters() -> tuple[PictureFilter, ...]:
    """Biharmonic inpainting, which is told where the occlusion lies."""
    from skimage.restoration import inpaint_biharmonic

    def denoise(observed: Observed) -> Tensor:
        if observed.seen is None:
            raise ValueError("expected to be told what is hidden, got no mask; leave inpainting out")
        hidden = (observed.seen[:, 0] == 0).cpu().numpy()
        pictures = observed.x.double().cpu().numpy()
        filled = [
            [inpaint_biharmonic(image, mask) if mask.any() else image for image in channels]
            for channels, mask in zip(pictures, hidden, strict=True)
        ]
        return torch.from_numpy(np.array(filled)).to(observed.x).clamp(-1, 1)

    return (PictureFilter("biharmonic inpainting", "as it is", denoise, blind=False),)


def code_filters(basis: Basis) -> tuple[CodeFilter, ...]:
    """Filters of codes in a basis: the largest coefficients, soft thresholds, the label sub-domain, and something between.

    Reference: Toledo-Marin and Glazier (2023) for the largest coefficients; Donoho and Johnstone (1994) for thresholds.
    """
    m, k = len(basis.vectors), basis.num_labels

    def largest(z: Tensor, keep: int) -> Tensor:
        c = basis.coefficients(z)
        least = c.abs().topk(keep, dim=1).values[:, -1:]
        return basis.reconstruct(torch.where(c.abs() >= least, c, 0))

    def soft(z: Tensor, threshold: float) -> Tensor:
        c = basis.coefficients(z)
        return basis.reconstruct(c.sign() * (c.abs() - threshold * c.abs().amax(1, keepdim=True)).clamp(min=0))

    def labels(z: Tensor, rest: float) -> Tensor:
        c = basis.coefficients(z)
        return basis.reconstruct(torch.cat([c[:, :k], rest * c[:, k:]], 1))

    kept = sorted({count for count in (1, 3, k, 2 * k, m // 2, 3 * m // 4) if count <= m})
    thresholds, rests = (0.02, 0.05, 0.1, 0.2, 0.4), (0.25, 0.5, 0.75, 0.9)
    return (
        *(CodeFilter("largest coefficients", f"{count}", partial(largest, keep=count)) for count in kept),
        *(CodeFilter("soft threshold", f"{share:g} of the largest", partial(soft, threshold=share)) for share in thresholds),
        CodeFilter("label sub-domain", "alone", partial(labels, rest=0.0)),
        *(CodeFilter("label sub-domain, less of the rest", f"{rest:g} of it", partial(labels, rest=rest)) for rest in rests),
    )


def posterior_weight(norm: Norm, scale: float, latent_dim: int, elements: int) -> float:
    """Weight of `NegativeLogPrior` in `recover_codes` that makes its minimum the mode of the posterior.

    Args:
        norm: `l2` for normal errors, `l1` for errors of density exp(-|e| / scale).
        scale: Standard deviation of normal errors, or that b.
        latent_dim: d.
        elements: m, the elements that are compared.
    """
    return (2 * scale**2 if norm == "l2" else scale) * latent_dim / elements


def posterior_mode(
    generator: Generator,
    prior: SampledPrior,
    starts: Sequence[Callable[[Tensor], Tensor]],
    *,
    norm: Norm = "l2",
    scale: float = 1.0,
    operator: Callable[[Tensor], Tensor] | None = None,
    masked: bool = False,
    steps: int = _STEPS,
) -> Callable[[Observed], Tensor]:
    """A way to codes: the likeliest one given the data, from each start, and of these the one with the least loss.

    Args:
        generator, prior: Where codes come from.
        starts: Data to codes, one at least.
        norm, scale: Kind and size of the errors, as in `posterior_weight`.
        operator: What the data went through, where that is known.
        masked: Whether what is hidden is known and left out.
        steps: Steps of Adam from each start.
    """
    difference = Difference(norm, operator)

    def codes(observed: Observed) -> Tensor:
        x, mask = observed.x, observed.seen if masked else None
        elements = x[0].numel() if mask is None else round(mask.mean().item() * x[0].numel())
        weight = posterior_weight(norm, scale, prior.latent_dim, elements)
        found = [
            recover_codes(
                generator,
                x,
                prior,
                solver=Adam(steps=steps, learning_rate=_LEARNING_RATE),
                start=start,
                regularizer=NegativeLogPrior(),
                weight=weight,
                unit=1.0,  # that of a likelihood
                difference=difference,
                mask=mask,
                restarts=1,
                determination=False,
            )
            for start in starts
        ]
        best = torch.stack([recovery.loss for recovery in found]).argmin(0)
        return torch.stack([recovery.z for recovery in found])[best, torch.arange(len(x), device=x.device)]

    return codes


def mode_recoveries(
    family: str,
    generator: Generator,
    prior: SampledPrior,
    starts: Sequence[Callable[[Tensor], Tensor]],
    scales: Sequence[float],
    **settings: Any,
) -> tuple[Recovering, ...]:
    """`posterior_mode` at each scale, as one family; blind unless it has an operator or a mask. Other arguments as there."""
    blind = settings.get("operator") is None and not settings.get("masked", False)
    return tuple(
        Recovering(family, f"scale {scale:g}", posterior_mode(generator, prior, starts, scale=scale, **settings), blind)
        for scale in scales
    )


def nearest_samples(
    generator: Generator,
    prior: SampledPrior,
    count: int = 20_000,
    *,
    norm: Norm = "l2",
    operator: Callable[[Tensor], Tensor] | None = None,
    rng: torch.Generator | None = None,
) -> Callable[[Tensor], Tensor]:
    """A start of recovery that needs no training: for each datum the code of the nearest of many samples.

    Args:
        generator, prior: Where samples come from.
        count: Samples that are kept, with their data.
        norm: What near means.
        operator: What samples go through before they are compared, as the data did.
        rng: Source of the samples, on the prior's device.
    """
    z = prior.sample(count, rng=rng)
    with evaluated(generator, operator), torch.no_grad():
        made = [generator(part) for part in z.split(_AT_ONCE)]
        data = torch.cat([part if operator is None else operator(part) for part in made]).flatten(1)

    def nearest(x: Tensor) -> Tensor:
        flat, p = x.to(data).flatten(1), 2.0 if norm == "l2" else 1.0
        distance = torch.cat([torch.cdist(flat, part, p=p) for part in data.split(_AT_ONCE)], 1)
        return z[distance.argmin(1)].to(x)

    return nearest


def _filter(family: str, setting: str, apply: Callable[[np.ndarray], Any], *, blind: bool = True) -> PictureFilter:
    """A filter of single channels."""

    def denoise(observed: Observed) -> Tensor:
        pictures = observed.x.double().cpu().numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            filtered = np.array([[apply(image) for image in channels] for channels in pictures])
        kept = np.where(np.isnan(filtered), pictures, filtered)  # Wiener's filter of a flat picture
        return torch.from_numpy(kept).clamp(-1, 1).to(observed.x)

    return PictureFilter(family, setting, denoise, blind)
