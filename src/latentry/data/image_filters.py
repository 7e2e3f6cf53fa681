"""Classical filters against noise, blur and occlusion, by scikit-image and scipy: baselines for recovery.

A filter is *blind* if it sees the corrupted image alone. It may still suit a corruption, when its setting is tuned on
validation images with the same corruption. Other filters know the blur or where an occlusion lies.

**Contrast.** What filters leave is flat or speckled. A classifier of clean images does not know such images, however well
the eye reads them. So a filter may be followed by `Contrast`, which stretches brightness between two percentiles. On
drawings on black this matters most: of digits under normal noise of standard deviation 1, total variation leaves 30 %
legible to the shipped evaluation classifier, and 93 % when the 70th percentile becomes black.

References: Chambolle, "An algorithm for total variation minimization and applications", 2004; Buades, Coll, Morel, "A
non-local algorithm for image denoising", 2005; van der Walt et al., "scikit-image: image processing in Python", 2014.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from latentry.data.corruptions import Corruption, Occlusion
from latentry.latent.measurements import Blur

__all__ = [
    "Contrast",
    "ImageFilter",
    "Observation",
    "classical_filters",
    "deconvolution_filters",
    "inpainting_filter",
    "observe",
]

_FLAT = 1e-6
"""Range of an image below which its contrast is not stretched."""


@dataclass(frozen=True)
class Observation:
    """Corrupted images, and what is known of the corruption."""

    x: Float[Tensor, "n c h w"]
    """Corrupted images."""
    mask: Float[Tensor, "n 1 h w"] | None = None
    """1 where an element is visible, 0 where an occlusion hides it; None without an occlusion. Blind methods ignore it."""

    def __getitem__(self, part: slice) -> "Observation":
        return Observation(self.x[part], None if self.mask is None else self.mask[part])


def observe(corruption: Corruption, x: Float[Tensor, "n c h w"], seed: int) -> Observation:
    """Corrupted images, with the mask of an occlusion.

    Args:
        corruption: One of `data.corruptions`.
        x: Clean images.
        seed: Seed of the corruption.

    Example:
        >>> import torch
        >>> from latentry.data.corruptions import Occlusion
        >>> observe(Occlusion(2), torch.zeros(1, 1, 4, 4), seed=0).mask.sum()
        tensor(12.)
    """
    corrupted = corruption(x, torch.Generator().manual_seed(seed))
    if not isinstance(corruption, Occlusion):
        return Observation(corrupted)
    return Observation(corrupted, (~corruption.hidden(x, torch.Generator().manual_seed(seed))).to(x))


@dataclass(frozen=True)
class ImageFilter:
    """A filter of images at one setting."""

    family: str
    """Its name; settings of one family are tuned against each other."""
    setting: str
    """The setting, in words."""
    denoise: Callable[[Observation], Tensor]
    """Corrupted to denoised images in [-1, 1]."""
    blind: bool = True
    """Whether it sees the corrupted image alone."""
    stretches: bool = True
    """Whether a contrast may follow it."""


@dataclass(frozen=True)
class Contrast:
    """Brightness of each image, stretched so that two of its percentiles become the ends of [-1, 1].

    Example:
        >>> import torch
        >>> Contrast(0.0, 100.0)(torch.tensor([[[[0.0, 0.1, 0.2]]]])).flatten()
        tensor([-1.,  0.,  1.])
    """

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


def classical_filters() -> tuple[ImageFilter, ...]:
    """No filter, and the blind filters of scikit-image and scipy over grids of their settings.

    Example:
        >>> import torch
        >>> x = torch.full((1, 1, 8, 8), 0.25)
        >>> [method.family for method in classical_filters() if not torch.allclose(method.denoise(Observation(x)), x)]
        []
    """
    from scipy.signal import wiener
    from skimage.filters import gaussian, median
    from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

    def local_wiener(image: np.ndarray, side: int) -> Any:
        return wiener(np.pad(image, side, mode="edge"), side)[side:-side, side:-side]  # by itself it goes on with 0

    sides = (3, 5, 7)
    return (
        ImageFilter("nothing", "as it is", lambda observed: observed.x.clamp(-1, 1), stretches=False),
        ImageFilter("contrast alone", "as it is", lambda observed: observed.x.clamp(-1, 1)),
        *(_filter("median", f"{n} x {n}", partial(median, footprint=np.ones((n, n)), mode="nearest")) for n in sides),
        *(
            _filter("total variation", f"weight {weight:g}", partial(denoise_tv_chambolle, weight=weight))
            for weight in (0.1, 0.2, 0.4, 0.6, 0.8, 1.2, 1.8, 2.5)
        ),
        *(
            _filter(
                "non-local means",
                f"h {h:g}, patch {n}",
                partial(denoise_nl_means, h=h, patch_size=n, patch_distance=9),
            )
            for n in sides
            for h in (0.2, 0.4, 0.5, 0.6, 0.8, 1.1)
        ),
        *(
            _filter("Gaussian", f"sigma {sigma:g}", partial(gaussian, sigma=sigma, mode="nearest"))
            for sigma in (0.6, 1.0, 1.4, 2.0)
        ),
        *(_filter("Wiener", f"{n} x {n}", partial(local_wiener, side=n)) for n in sides),
    )


def deconvolution_filters(blur: Blur, side: int) -> tuple[ImageFilter, ...]:
    """Wiener's deconvolution and that of Richardson and Lucy, which know the blur.

    Args:
        blur: The blur.
        side: Side of the images. The weights of the blur are cut to an odd number of elements within it.

    Example:
        >>> from latentry.latent.measurements import Blur
        >>> {method.family: method.blind for method in deconvolution_filters(Blur(1.0), 28)}
        {'Wiener deconvolution': False, 'Richardson-Lucy': False}
    """
    from skimage.restoration import richardson_lucy, wiener

    length = side - 1 + side % 2
    point = torch.zeros(1, length, length, dtype=torch.float64)
    point[0, length // 2, length // 2] = 1
    weights = blur(point)[0].numpy()

    def lucy(image: np.ndarray, num_iter: int) -> Any:
        return 2 * richardson_lucy((image + 1) / 2, weights, num_iter=num_iter) - 1  # it wants brightness above 0

    return (
        *(
            _filter(
                "Wiener deconvolution", f"balance {balance:g}", partial(wiener, psf=weights, balance=balance), blind=False
            )
            for balance in (1e-8, 1e-6, 1e-4, 1e-2, 1e-1)
        ),
        *(
            _filter("Richardson-Lucy", f"{steps} steps", partial(lucy, num_iter=steps), blind=False)
            for steps in (10, 30, 100)
        ),
    )


def inpainting_filter() -> ImageFilter:
    """Biharmonic inpainting, which knows where the occlusion lies.

    Example:
        >>> import torch
        >>> x, mask = torch.full((1, 1, 6, 6), 0.5), torch.ones(1, 1, 6, 6)
        >>> mask[..., 2:4, 2:4] = 0
        >>> torch.allclose(inpainting_filter().denoise(Observation(x * mask, mask)), x, atol=1e-5)
        True
    """
    from skimage.restoration import inpaint_biharmonic

    def denoise(observed: Observation) -> Tensor:
        if observed.mask is None:
            raise ValueError("expected a mask of what is hidden, got none; leave inpainting out")
        hidden = (observed.mask[:, 0] == 0).cpu().numpy()
        images = observed.x.double().cpu().numpy()
        filled = [
            [inpaint_biharmonic(channel, mask) if mask.any() else channel for channel in channels]
            for channels, mask in zip(images, hidden, strict=True)
        ]
        return torch.from_numpy(np.array(filled)).to(observed.x).clamp(-1, 1)

    return ImageFilter("biharmonic inpainting", "as it is", denoise, blind=False)


def _filter(family: str, setting: str, apply: Callable[[np.ndarray], Any], *, blind: bool = True) -> ImageFilter:
    """A filter of single channels."""

    def denoise(observed: Observation) -> Tensor:
        images = observed.x.double().cpu().numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            filtered = np.array([[apply(channel) for channel in channels] for channels in images])
        finite = np.where(np.isnan(filtered), images, filtered)  # Wiener's filter of an even image
        return torch.from_numpy(finite).clamp(-1, 1).to(observed.x)

    return ImageFilter(family, setting, denoise, blind)
