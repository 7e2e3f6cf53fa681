r"""Provenance: was this image made by this generator?

If it was, there is a code that makes it, and recovery leaves an error as small as it leaves on the generator's own samples.
So k fresh codes of the prior are drawn, and their images get the treatment that the given images had. Then the codes of
both are recovered in one call, by the same solver at the same cost. With the score :math:`s = \log` of the mean squared
error, the p-value of an image is its conformal rank among the own ones,

.. math:: p = \frac{1 + \#\{s_i \ge s\}}{k + 1} .

For an image from the generator, with a code from the prior, s is exchangeable with the own scores, and so p is below
:math:`\alpha` with probability :math:`\alpha` at most, whatever the solver: one that often fails loses power, not
calibration. Several images share their own samples, so that their p-values are each right but not independent.

The condition is that both kinds of images were treated alike, which is easily violated. Images in files have eight bits:
the rounding leaves a mean squared error of about :math:`(2/255)^2 / 12`, whereas float samples are recovered to the last
digit. The test would then detect the rounding alone, and reject the generator's own saved images. So both sides are rounded
to eight bits if any of the images lies on the grid of eight bits in the generator's range, and to half precision if all of
the images are representable in it. Any other treatment of the images (JPEG, a measurement) must be passed as `treatment`,
or the images are rejected.

A large p says that the error does not distinguish the image from the generator's own, no more. Images simpler than these,
such as a constant one, are recovered well by many generators, and so is whatever a powerful generator can imitate. Whether
the code looks like one of the prior is another question (`goodness_of_fit`), and not mixed in.

References: Albright and McCloskey, "Source generator attribution via inversion", 2019; Karras et al., "Analyzing and
improving the image quality of StyleGAN", 2020, section 5 (projection tells generated from real images); Vovk, Gammerman,
Shafer, "Algorithmic learning in a random world", 2005.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from latentry.display import Facts, Plottable, number
from latentry.holding import Condition, as_condition, evaluated, made, tried
from latentry.holding.conditions import arguments, drawn_rows, joined, rows_at
from latentry.interfaces import Generator, Prior
from latentry.latent.precision import dtype_of
from latentry.latent.recovery import recover_codes
from latentry.latent.solvers.output_activation import range_of_last_layer
from latentry.names import counted
from latentry.numerics.data_range import check_range, on_eight_bit_grid, possible_ranges
from latentry.numerics.inputs import checked
from latentry.numerics.ranks import conformal_p_value
from latentry.priors.adapters import draw

__all__ = ["Provenance", "is_from"]

_FEWEST = 19
"""Own samples below which no image could have a p-value of 0.05."""
_LEVEL = 0.05
"""P-values up to this are called small."""
_NEARLY_ALL, _NEARLY_MADE = 0.9, 1e-3
"""Share of images with the least p-value, and their error over the variance of the images, that rounding may explain."""
_FEW = 3
"""Codes on which a generator's last layer is looked at."""
_BEYOND = 0.2
"""How far beyond the ends an image may be, in levels."""
_HALVES = (torch.bfloat16, torch.float16)
"""Types of half precision, the coarser first."""
_ROWS = 256
"""Codes that go through the generator at once."""


class Recovered(Protocol):
    """What is read of a recovery."""

    @property
    def z(self) -> Tensor: ...
    @property
    def x_hat(self) -> Tensor: ...
    @property
    def reconstruction_error(self) -> Tensor: ...


@dataclass(frozen=True, repr=False)
class Provenance(Plottable):
    """Whether images can be distinguished from a generator's own.

    Example:
        >>> import torch, latentry as lt
        >>> matrix = torch.randn(3, 8)
        >>> found = lt.metrics.is_from(lambda z: z @ matrix, torch.randn(2, 8), lt.priors.Normal(3), restarts=1)
        >>> found.p_value, found.own_scores.shape
        (tensor([0.0100, 0.0100]), torch.Size([99]))
    """

    score: Float[Tensor, "n"]
    """Logarithm of the reconstruction error: low for own images, infinite where the generator gave NaN."""
    p_value: Float[Tensor, "n"]
    """Chance that an own image has as high a score: small for images of other origin, but at least 1 / (k + 1)."""
    own_scores: Float[Tensor, "k"]
    """Scores of the own samples."""
    z: Float[Tensor, "n d"]
    """Recovered codes of the images."""
    x_hat: Float[Tensor, "n *s"]
    """What the generator makes of them."""
    eight_bit: bool
    """Whether images and own samples were both rounded to eight bits."""

    @property
    def _foreign(self) -> Bool[Tensor, "n"]:
        return self.p_value.double() <= _LEVEL + 1e-6

    @property
    def _perhaps_rounded(self) -> bool:
        """Whether nearly all images are as foreign as can be, and yet nearly made again, as rounded ones are."""
        least = 1 / (len(self.own_scores) + 1)
        at_least = (self.p_value.double() <= least + 1e-6).double().mean()
        error, variance = self.score.double().exp().median(), self.x_hat.double().var(unbiased=False)
        return not self.eight_bit and bool((at_least >= _NEARLY_ALL) & (error < _NEARLY_MADE * variance))

    @property
    def verdict(self) -> str:
        """One to three sentences: how many images are foreign to the generator, how sure that is, and where rounding may be
        the reason."""
        if not self._perhaps_rounded:
            return self._counted
        return (
            f"{self._counted} Their errors are small, as rounding leaves them: if the images were rounded, pass that as "
            "`treatment=`."
        )

    @property
    def _counted(self) -> str:
        n, foreign = len(self.p_value), int(self._foreign.sum())
        chance = f"{_LEVEL:.0%} of a generator's own images are"
        if n == 1:
            p = number(self.p_value.item(), 2)
            if foreign:
                return (
                    f"This image was probably not made by this generator (p = {p}; {chance} recovered as badly by chance)."
                )
            return f"This image cannot be distinguished from the generator's own (p = {p}). Very plain images cannot either."
        if not foreign:
            return f"None of {n} images can be distinguished from the generator's own. Very plain images cannot either."
        return (
            f"{foreign} of {n} images were probably not made by this generator (p of {_LEVEL:g} or less; {chance} by "
            f"chance); {n - foreign} cannot be distinguished from its own."
        )

    def _facts(self) -> Facts:
        n, k = len(self.score), len(self.own_scores)
        low, middle, high = self.p_value.quantile(torch.tensor([0, 0.5, 1]).to(self.p_value)).tolist()
        errors = tuple(number(scores.exp().median().item()) for scores in (self.score, self.own_scores))
        return Facts(
            f"Provenance of {counted(n, 'image')}, beside {k:,} of the generator's own",
            (
                ("p-value of 0.05 or less", f"{int(self._foreign.sum())} of {n}"),
                ("p-values", f"{number(low)} to {number(high)}, median {number(middle)}"),
                ("median error of the images", f"{errors[0]}, of the generator's own {errors[1]}"),
                ("compared after rounding to 8 bits", "yes" if self.eight_bit else "no"),
            ),
            self.verdict,
        )

    def _draw(self, figure: Any) -> None:
        from latentry.display.drawing import BAD, FILL, LINE

        panel = figure.subplots()
        finite = self.own_scores[self.own_scores.isfinite()].double().cpu()
        panel.hist(finite.numpy(), bins=30, color=FILL, label="the generator's own")
        for foreign, colour, name in ((False, LINE, "not distinguished from them"), (True, BAD, "p of 0.05 or less")):
            scores = self.score[self._foreign == foreign].double().cpu()
            scores = scores[scores.isfinite()]
            if len(scores):
                at = panel.get_xaxis_transform()  # ticks along the foot
                panel.plot(scores.numpy(), torch.full_like(scores, 0.03).numpy(), "|", color=colour, markersize=14,
                           markeredgewidth=2, transform=at, label=f"{len(scores)} given images, {name}")  # fmt: skip
        panel.set_xlabel("logarithm of the mean squared error", fontsize=8)
        panel.set_ylabel("own images", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.legend(fontsize=7, frameon=False)


@checked()
def is_from(
    generator: Generator,
    x: Float[Tensor, "n *s"],
    prior: Prior,
    *,
    condition: Condition | None = None,
    calibration: int = 99,
    treatment: Callable[[Tensor], Tensor] | None = None,
    eight_bit: bool | None = None,
    recover: Callable[..., Recovered] = recover_codes,
    rng: torch.Generator | None = None,
    **options: Any,
) -> Provenance:
    """Score whether a generator made these images, calibrated on its own samples.

    For an area under the ROC curve, score images known to be its own and others in one call: `numerics.ranks.roc_auc(
    found.score[others], found.score[own])`.

    Args:
        generator: Any differentiable, deterministic callable z -> x, or (z, condition) -> x.
        x: Images or other data, in the units of the generator's output.
        prior: Distribution of the codes.
        condition: What a conditional generator takes along with codes, one row for each image. Own samples have conditions
            drawn from these, so that a p-value is one among images of such conditions.
        calibration: Number k of own samples; each costs as much as an image, and no p-value is below 1 / (k + 1).
        treatment: What was done to the images after they were made, as a function of a batch: applied to the own samples.
        eight_bit: Whether to round both sides to eight bits; None does where any image lies on the grid of eight bits.
        recover: Called as `recover(generator, x, prior, rng=rng, **options)` on images and own samples together, with
            `condition` among the options where there is one.
        rng: Source of the own codes and of the recovery's starts, on the prior's device.
        **options: Arguments of `recover`.

    Raises:
        ValueError: The data are none, in another range or of another shape than the treated own samples, there are too few
            of these, or images to be rounded leave the generator's range.

    Example:
        >>> import torch, latentry as lt
        >>> matrix = torch.randn(3, 8)
        >>> own, foreign = torch.randn(1, 3) @ matrix, torch.randn(1, 8)
        >>> is_from(lambda z: z @ matrix, foreign, lt.priors.Normal(3), calibration=19, restarts=1).p_value
        tensor([0.0500])
    """
    if x.ndim < 2 or len(x) == 0:
        raise ValueError(f"expected data of shape (n, ...), n >= 1, got {tuple(x.shape)}; add a batch axis with x[None]")
    if calibration < _FEWEST:
        raise ValueError(f"expected calibration >= {_FEWEST}, got {calibration}; fewer cannot give a p-value of 0.05")
    condition = as_condition(condition, len(x), x.device)
    of_own = drawn_rows(condition, calibration, rng)
    own, ends = _own_samples(generator, prior, calibration, x, treatment, rng, of_own)
    x = x.to(own.dtype)
    if own.shape[1:] != x.shape[1:]:
        raise ValueError(
            f"expected data of shape (n, {', '.join(map(str, own.shape[1:]))}) as the generator makes them, got "
            f"{tuple(x.shape)}; resize them, or name what was done to them as `treatment`"
        )
    check_range(x, own, ends)
    ranges = possible_ranges(own, ends)
    half = next((dtype for dtype in _HALVES if torch.equal(x.to(dtype).to(x), x)), None)
    levels = next((one for one in ranges if _of_eight_bits(x, *one, half)), None)
    eight_bit = levels is not None if eight_bit is None else eight_bit
    if eight_bit:
        low, high = levels or (ranges or [(-1.0, 1.0)])[0]
        x, own = _rounded(x, low, high), _rounded(own.clamp(low, high), low, high)
    if half is not None and eight_bit == (levels is not None):
        x, own = x.to(half).to(x), own.to(half).to(own)

    if condition is not None:
        options = {**options, "condition": joined([condition, of_own])}
    found = recover(generator, torch.cat([x, own]), prior, rng=rng, **options)
    error = found.reconstruction_error.nan_to_num(nan=torch.inf)
    score, own_scores = error.clamp(min=torch.finfo(error.dtype).tiny).log().split([len(x), calibration])
    return Provenance(
        score, conformal_p_value(score, own_scores), own_scores, found.z[: len(x)], found.x_hat[: len(x)], eight_bit
    )


def _own_samples(
    generator: Generator,
    prior: Prior,
    count: int,
    like: Tensor,
    treatment: Callable[[Tensor], Tensor] | None,
    rng: torch.Generator | None,
    condition: Condition | None,
) -> tuple[Tensor, tuple[float, float] | None]:
    """Own samples, treated as the images were, and both ends of what the last layer can make, where nothing follows it."""
    with evaluated(generator, treatment, prior) as (made_by, treated, _), torch.no_grad():
        z = draw(prior, (count,), rng=rng).to(like.device)
        few = rows_at(condition, slice(_FEW))
        z = z.to(dtype_of(generator, z[:_FEW], like.dtype, few))
        own = made(made_by, z, condition, size=_ROWS)
        if own.is_complex():
            raise ValueError(
                f"expected real numbers from the generator, got {own.dtype}; take .real, or .real and .imag apart"
            )
        if treatment is not None:
            return treated(own), None
        with torch.enable_grad():
            return own, range_of_last_layer(tried(generator, *arguments(z[:_FEW].clone().requires_grad_(True), few)))


def _of_eight_bits(x: Tensor, low: float, high: float, half: torch.dtype | None) -> bool:
    """Whether any image lies on the grid, or all of them lay there before they were kept in half precision."""
    if on_eight_bit_grid(x, low, high).any():
        return True
    inside = x.min() >= low and x.max() <= high
    return half is not None and bool(inside) and torch.equal(_rounded(x, low, high).to(half).to(x), x)


def _rounded(x: Tensor, low: float, high: float) -> Tensor:
    """Images from `low` to `high` as a file of eight bits gives them back."""
    places = (x - low) * (255 / (high - low))
    if places.min() < -_BEYOND or places.max() > 255 + _BEYOND:
        raise ValueError(
            f"expected images from {low:g} to {high:g} to round to eight bits, got values from {x.min():.3g} to "
            f"{x.max():.3g}; pass eight_bit=False"
        )
    return places.round().clamp(0, 255) * ((high - low) / 255) + low
