r"""Interpolation that stays in the prior.

A generator has learnt codes of its prior p(z). A straight line between two of them leaves it: the middle of two standard
normal codes has variance 1/2 in every coordinate, and in many coordinates no sample of the prior looks like that. The same
holds for every combination :math:`y = \sum_i w_i z_i` of independent codes: means of n, analogies :math:`z_3 + z_2 - z_1`,
and steps beyond the ends (t < 0 or t > 1). With :math:`\mu = E z` and :math:`\alpha = \sum_i w_i` the rules are

=====================  =============================================================================================
lerp                   y itself
slerp                  along the great circle through two codes about :math:`\mu`; norms go along with the angle
variance-corrected     :math:`\mu + (y - \alpha \mu) / ||w||_2`: mean and variance of the prior, in another shape
transport              :math:`F_Z^{-1}(F_Y(y_j))` per coordinate: exactly the prior again
=====================  =============================================================================================

where :math:`F_Z` is the law of a coordinate and :math:`F_Y` that of its combination (`numerics.transport`). The transported
combination of independent codes of an iid prior is a code of that prior, whatever the weights; with one weight 1 and the
others 0 it is that code itself. For a normal prior, transport *is* the variance correction. In high dimension slerp nearly
is, for a normal prior and no other.

One combination has the law of the prior. A whole path has not: neighbours on it are dependent, as they should be.

References: White, "Sampling generative networks", 2016 (slerp); Agustsson et al., "Optimal transport maps for distribution
preserving operations on latent spaces of generative models", 2019 (transport); Bodin et al., "Linear combinations of latents
in generative models", 2024 (any weights).
"""

from collections.abc import Sequence
from functools import reduce, singledispatch
from typing import Literal, get_args

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from latentry.interfaces import Prior
from latentry.numerics.law import Law
from latentry.numerics.transport import combination_table, uniform_pair_transport
from latentry.priors.laws import NormalLaw, UniformLaw

__all__ = ["Rule", "combine", "interpolate"]

Rule = Literal["lerp", "slerp", "variance-corrected", "transport"]

_SMALL_ANGLE = 1e-4
"""Angle below which sin(t angle) / sin(angle) is t to single precision."""


def interpolate(
    z_a: Float[Tensor, "*#n d"],
    z_b: Float[Tensor, "*#n d"],
    t: float | Float[Tensor, "*t"],
    prior: Prior | nn.Module,
    rule: Rule = "transport",
) -> Float[Tensor, "... d"]:
    """Codes on the way from `z_a` (t = 0) to `z_b` (t = 1), beyond the ends for t < 0 and t > 1.

    Reference: the module's theory.

    Args:
        z_a, z_b: Codes, broadcast against each other, so that one code can be joined to many.
        t: Where on the way; the ends come back exactly. A tensor gives a path: its axes stand before those of the codes,
            `(*t, *n, d)`.
        prior: What the codes are drawn from, and what the rule keeps to.
        rule: See the module's table.

    Raises:
        ValueError: As in `combine`.
    """
    t = torch.as_tensor(t, dtype=None if isinstance(t, Tensor) else torch.float64)
    codes = torch.stack(torch.broadcast_tensors(z_a, z_b))
    return combine(codes, torch.stack([1 - t, t], -1), prior, rule)


def combine(
    codes: Float[Tensor, "k *n d"],
    weights: Sequence[float] | Float[Tensor, "*t k"],
    prior: Prior | nn.Module,
    rule: Rule = "transport",
) -> Float[Tensor, "... d"]:
    r"""Combine k codes with weights: a mean of several, an analogy, or many combinations at once.

    Differentiable in the codes under every rule; in the weights too, save where transport has no closed form (any prior
    but the normal, and the uniform with two codes). Transport bends codes from outside the prior back into it: at weights
    that are not 0 and 1, an element beyond the ends of the support ends up on them.

    Reference: Agustsson et al. (2019); Bodin et al. (2024) for weights that do not sum to 1.

    Args:
        codes: The k codes, or k batches of them; independent draws, if the result is to be one.
        weights: :math:`w_i`, any real numbers. Axes before the last stand before those of the codes, `(*t, *n, d)`.
        prior: What the codes are drawn from.
        rule: See the module's table; slerp joins two codes, with weights (1 - t, t).

    Raises:
        ValueError: The prior's coordinates are not iid, codes or weights do not fit it or each other or are not finite,
            the weights are all zero, two codes that slerp shall join are opposite, or a gradient is asked for that does
            not exist.
    """
    law = _law_of(prior)
    if not codes.is_floating_point():
        raise ValueError(f"expected codes of a floating type, got {codes.dtype}; convert them with .float()")
    weights = torch.as_tensor(weights, dtype=codes.dtype, device=codes.device)
    _check_arguments(codes, weights, rule)
    if codes.shape[-1] != prior.latent_dim:
        raise ValueError(f"expected codes of length {prior.latent_dim}, got {codes.shape[-1]}; check the prior's latent_dim")
    combined = _combine(codes, weights.reshape(-1, len(codes)), law, rule)
    return combined.view(*weights.shape[:-1], *codes.shape[1:])


def _combine(codes: Float[Tensor, "k *n d"], w: Float[Tensor, "t k"], law: Law, rule: Rule) -> Float[Tensor, "t *n d"]:
    if rule == "slerp":
        return _slerp(codes[0], codes[1], _column(w[:, 1], codes[0]), law.mean)
    y = reduce(torch.add, (_column(w_i, z_i) * z_i for w_i, z_i in zip(w.unbind(1), codes, strict=True)))
    if rule == "lerp":
        return y
    if rule == "variance-corrected":
        return _variance_corrected(y, w, law.mean)
    itself = (w == 1).any(1) & (w != 0).sum(1).eq(1)  # one code alone: not even rounded
    return torch.where(_column(itself, y[0]), y, _transport(law, y, w))


def _variance_corrected(y: Float[Tensor, "t *n d"], w: Float[Tensor, "t k"], mean: float) -> Float[Tensor, "t *n d"]:
    norm = w.square().sum(1).sqrt()
    return y / _column(norm, y[0]) + _column(1 - w.sum(1) / norm, y[0]) * mean


def _slerp(z_a: Float[Tensor, "*n d"], z_b: Float[Tensor, "*n d"], t: Tensor, mean: float) -> Float[Tensor, "t *n d"]:
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
def _transport(law: Law, y: Tensor, w: Tensor) -> Tensor:
    """F_Z^-1(F_Y(y)) for combinations y `(t, *n, d)` with weights w `(t, k)`; for any law, by tables."""
    if w.requires_grad:
        raise ValueError(
            f"expected weights without a gradient, got some that ask for one: transport to {law} has one in the codes only; "
            "detach the weights, or take rule='variance-corrected'"
        )
    precise = y if y.device.type == "mps" else y.double()
    below = torch.stack(
        [combination_table(law, tuple(row)).cdf(part) for row, part in zip(w.tolist(), precise, strict=True)]
    )
    # codes further out than any sample would go to infinity where F rounds to 1
    rounding = torch.finfo(below.dtype).eps / 2
    return law.icdf(below.clamp(rounding, 1 - rounding)).to(y.dtype)


@_transport.register
def _(law: NormalLaw, y: Tensor, w: Tensor) -> Tensor:
    return _variance_corrected(y, w, law.mean)


@_transport.register
def _(law: UniformLaw, y: Tensor, w: Tensor) -> Tensor:
    larger, smaller, *others = [*w.abs().sort(dim=1, descending=True).values.unbind(1), w.new_zeros(len(w))]
    if any(other.any() for other in others):
        return _transport.dispatch(object)(law, y, w)
    half_width = (law.high - law.low) / 2
    centred = (y - _column(w.sum(1), y[0]) * law.mean) / half_width
    return law.mean + half_width * uniform_pair_transport(centred, _column(larger, y[0]), _column(smaller, y[0]))


def _column(values: Shaped[Tensor, "t"], code: Tensor) -> Tensor:
    """One value for each combination, against codes of the shape of `code`."""
    return values.view(-1, *[1] * code.ndim)


def _law_of(prior: Prior | nn.Module) -> Law:
    """The law of one coordinate, which all rules rest on: the place for priors of another kind to be told apart."""
    if not isinstance(prior, Prior):
        raise ValueError(
            f"expected a prior with independent coordinates of one law, got {type(prior).__name__}; "
            "combine its codes by a rule of their own"
        )
    return prior.law


def _check_arguments(codes: Tensor, weights: Tensor, rule: str) -> None:
    if rule not in get_args(Rule):
        raise ValueError(f"expected a rule of {', '.join(get_args(Rule))}, got {rule!r}")
    if weights.shape[-1:] != codes.shape[:1] or weights.numel() == 0:
        raise ValueError(
            f"expected one weight for each of {len(codes)} codes, at least one, got weights of shape {tuple(weights.shape)}"
        )
    if not (codes.isfinite().all() and weights.isfinite().all()):
        raise ValueError("expected finite codes and weights, got NaN or infinity; leave out the codes that hold it")
    if rule in ("variance-corrected", "transport") and not (weights != 0).any(-1).all():
        raise ValueError(f"expected weights that are not all zero, got a combination of none; {rule} cannot spread it")
    if rule == "slerp" and (len(codes) != 2 or not torch.allclose(weights.sum(-1), torch.ones_like(weights[..., 0]))):
        raise ValueError(
            f"expected two codes with weights (1 - t, t) for slerp, got {len(codes)} codes with weights "
            f"{weights.tolist()}; take rule='transport' for other combinations"
        )
