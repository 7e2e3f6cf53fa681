r"""Weighted sums of codes, and the rules of interpolation that correct them: slerp, variance correction, transport.

Codes are `(k, *n, d)` or sums of them `(t, *n, d)`, weights `(t, k)`. The theory stands at the head of
`priors.interpolation`.
"""

from functools import reduce, singledispatch
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from latentry.numerics.radial import norm_table
from latentry.numerics.transport import combination_table, uniform_pair_transport
from latentry.priors.distribution import SampledDistribution
from latentry.priors.radius_distributions import CauchyRadiusDistribution, NakagamiDistribution
from latentry.priors.univariate import NormalDistribution, UniformDistribution

__all__ = ["column", "one_alone", "slerp", "transported", "transported_norms", "variance_corrected", "weighted_sum"]

_LEAST_NORM = 1e-37
_SMALL_ANGLE = 1e-4
"""Angle below which sin(t angle) / sin(angle) is t to single precision."""


def weighted_sum(codes: Float[Tensor, "k *n d"], w: Float[Tensor, "t k"]) -> Float[Tensor, "t *n d"]:
    return reduce(torch.add, (column(w_i, z_i) * z_i for w_i, z_i in zip(w.unbind(1), codes, strict=True)))


def one_alone(w: Float[Tensor, "t k"]) -> Tensor:
    """Where one code comes alone, which is then not even rounded."""
    return (w == 1).any(1) & (w != 0).sum(1).eq(1)


def variance_corrected(
    y: Float[Tensor, "t *n d"], w: Float[Tensor, "t k"], mean: float | Float[Tensor, "d"]
) -> Float[Tensor, "t *n d"]:
    norm = w.square().sum(1).sqrt()
    return y / column(norm, y[0]) + column(1 - w.sum(1) / norm, y[0]) * mean


def slerp(
    z_a: Float[Tensor, "*n d"], z_b: Float[Tensor, "*n d"], t: Tensor, mean: float | Float[Tensor, "d"]
) -> Float[Tensor, "t *n d"]:
    a, b = (torch.nn.functional.normalize(z - mean, dim=-1) for z in (z_a, z_b))
    # atan2 keeps all digits at small angles, where the arc cosine of a dot product loses half of them
    angle = 2 * torch.atan2((a - b).norm(dim=-1, keepdim=True), (a + b).norm(dim=-1, keepdim=True))
    if (angle > torch.pi - _SMALL_ANGLE).any():
        raise ValueError(
            "expected codes that are not opposite about the prior's mean, got a pair that no single great circle joins; "
            "move one of them slightly, or take another rule"
        )
    apart = angle > _SMALL_ANGLE
    angle = torch.where(apart, angle, 1)
    weight_a = torch.where(apart, ((1 - t) * angle).sin() / angle.sin(), 1 - t)
    weight_b = torch.where(apart, (t * angle).sin() / angle.sin(), t)
    return weight_a * z_a + weight_b * z_b + (1 - weight_a - weight_b) * mean


@singledispatch
def transported(distribution: Any, y: Tensor, w: Tensor) -> Tensor:
    """F_Z^-1(F_Y(y)) for combinations y `(t, *n, d)` with weights w `(t, k)`; for any distribution, by tables."""
    _check_no_gradient(distribution, w)
    precise = y if y.device.type == "mps" else y.double()
    below = torch.stack(
        [combination_table(distribution, tuple(row)).cdf(part) for row, part in zip(w.tolist(), precise, strict=True)]
    )
    # codes further out than any sample would go to infinity where F rounds to 1
    rounding = torch.finfo(below.dtype).eps / 2
    return distribution.icdf(below.clamp(rounding, 1 - rounding)).to(y.dtype)


@transported.register
def _(distribution: NormalDistribution, y: Tensor, w: Tensor) -> Tensor:
    return variance_corrected(y, w, distribution.mean)


@transported.register
def _(distribution: UniformDistribution, y: Tensor, w: Tensor) -> Tensor:
    larger, smaller, *others = [*w.abs().sort(dim=1, descending=True).values.unbind(1), w.new_zeros(len(w))]
    if any(other.any() for other in others):
        return transported.dispatch(object)(distribution, y, w)
    half_width = (distribution.high - distribution.low) / 2
    centred = (y - column(w.sum(1), y[0]) * distribution.mean) / half_width
    return distribution.mean + half_width * uniform_pair_transport(centred, column(larger, y[0]), column(smaller, y[0]))


@singledispatch
def transported_norms(radius: Any, d: int, y: Tensor, w: Tensor) -> Tensor:
    """The same for codes of d elements with a uniform direction, which keep it; for any distribution of the norm."""
    _check_no_gradient(radius, w)
    rows = [
        _carried_norm(radius, d, part, tuple(sorted(map(abs, row), reverse=True)))
        for row, part in zip(w.tolist(), y, strict=True)
    ]
    return torch.stack(rows)


@transported_norms.register
def _(radius: CauchyRadiusDistribution, d: int, y: Tensor, w: Tensor) -> Tensor:
    if radius.latent_dim != d:
        return transported_norms.dispatch(object)(radius, d, y, w)
    return y / column(w.abs().sum(1), y[0])


@transported_norms.register
def _(radius: NakagamiDistribution, d: int, y: Tensor, w: Tensor) -> Tensor:
    if 2 * radius.shape != d:
        return transported_norms.dispatch(object)(radius, d, y, w)
    return variance_corrected(y, w, 0.0)  # norms of normal codes


def _carried_norm(
    radius: SampledDistribution, d: int, y: Float[Tensor, "*n d"], weights: tuple[float, ...]
) -> Float[Tensor, "*n d"]:
    """y at the same rank among codes of the prior that it has among combinations."""
    norm = y.double().norm(dim=-1, keepdim=True).clamp(min=_LEAST_NORM)
    rounding = torch.finfo(norm.dtype).eps / 2
    below = norm_table(radius, d, weights).cdf(norm.log()).clamp(rounding, 1 - rounding)
    return (y * (radius.icdf(below) / norm)).to(y.dtype)


def _check_no_gradient(distribution: Any, w: Tensor) -> None:
    if w.requires_grad:
        raise ValueError(
            f"expected weights without a gradient, got some that ask for one: transport to {distribution} has one in the "
            "codes only; detach the weights, or take rule='variance-corrected'"
        )


def column(values: Shaped[Tensor, "t"], code: Tensor) -> Tensor:
    """One value for each combination, against codes of the shape of `code`."""
    return values.view(-1, *[1] * code.ndim)
