r"""Interpolation between codes whose results have the distribution of the prior.

A generator is trained on codes of its prior p(z). Points on a straight line between two codes are distributed differently:
the midpoint of two standard normal codes has variance 1/2 in every coordinate, and in many dimensions it is unlike any
sample of the prior. The same holds for every combination :math:`y = \sum_i w_i z_i` of independent codes: means of n,
analogies :math:`z_3 + z_2 - z_1`, and steps beyond the ends (t < 0 or t > 1). With :math:`\mu = E z` and
:math:`\alpha = \sum_i w_i` the rules are

=====================  =============================================================================================
lerp                   y itself
slerp                  along the great circle through two codes about :math:`\mu`; norms go along with the angle
variance-corrected     :math:`\mu + (y - \alpha \mu) / ||w||_2`: mean and variance of the prior, in another shape
transport              :math:`F_Z^{-1}(F_Y(y_j))` per coordinate: exactly the prior again
=====================  =============================================================================================

where :math:`F_Z` is the distribution of a coordinate and :math:`F_Y` that of its combination (`numerics.transport`). The
transported combination of independent codes of an iid prior is a code of that prior, whatever the weights; with one weight 1
and the others 0 it is that code itself. For a normal prior, transport *is* the variance correction. In high dimension slerp
nearly is, for a normal prior and no other.

*Radial priors.* A combination of independent codes with uniform directions has a uniform direction, so that transport keeps
it and carries the norm: :math:`F_R^{-1}(F_{\|Y\|}(\|y\|)) \, y / \|y\|`, exactly the prior again. For the spherical
Cauchy prior that is :math:`y / \sum_i |w_i|`; for other distributions :math:`F_{\|Y\|}` is a table (`numerics.radial`). The
other rules are as they stand, about :math:`\mu = 0`; where there is no variance, the variance correction is just a scaling.

*Priors with other normal coordinates* (normal ones with any covariance, copulas, mixtures without labels, flows). Transport
combines codes there: with e = T(z) it gives :math:`T^{-1}(\sum_i w_i e_i / ||w||_2)`, exactly the prior again. The other
rules are as they stand, about the mean of each coordinate.

*Labelled priors.* Codes of one component, of mean :math:`\mu_y` and std :math:`\sigma_y`, are combined by their normal
scores :math:`s_i = \Phi^{-1}(F(z_i | y))` and given back as :math:`F^{-1}(\Phi(s) | y)`, with

=====================  =============================================================================================
slerp                  s along the great circle of the scores, about 0
variance-corrected     :math:`(z_i - \mu_y) / \sigma_y` for scores, their :math:`\sum_i w_i s_i / ||w||_2`, and back
transport              :math:`s = \sum_i w_i s_i / ||w||_2`: exactly a code of that component again
=====================  =============================================================================================

Between components the code is :math:`\sum_i w_i F^{-1}(\Phi(s) | y_i)`, for weights that sum to 1: a draw of the
Wasserstein-2 barycentre of the components with these weights, which McCann's displacement passes on its way from one to the
other. That is no code of the prior unless the components overlap there, and `prior.log_prob` tells: it falls between two
components that lie apart. lerp is y itself.

References: White, "Sampling generative networks", 2016 (slerp); Agustsson et al., "Optimal transport maps for distribution
preserving operations on latent spaces of generative models", 2019 (transport); Lesniak et al., "Distribution-interpolation
trade off in generative models", 2019 (spherical Cauchy); McCann, "A convexity principle for interacting gases", 1997, and
Agueh and Carlier, "Barycenters in the Wasserstein space", 2011 (between components);
Bodin et al., "Linear combinations of latents in generative models", 2024 (any weights).
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.interfaces import Prior
from latentry.numerics.dependence import normal_scores
from latentry.numerics.inputs import checked
from latentry.priors.adapters import as_prior
from latentry.priors.combinations import (
    column,
    one_alone,
    slerp,
    transported,
    transported_norms,
    variance_corrected,
    weighted_sum,
)
from latentry.priors.description import Univariate

__all__ = ["Rule", "combine", "interpolate"]

Rule = Literal["lerp", "slerp", "variance-corrected", "transport"]


@checked(differentiable=True, any_value=("z_a", "z_b", "t"), any_length=("z_a", "z_b"))
def interpolate(
    z_a: Float[Tensor, "*#n d"],
    z_b: Float[Tensor, "*#n d"],
    t: float | Float[Tensor, "*t"],
    prior: Prior,
    rule: Rule = "transport",
    *,
    y_a: Int[Tensor, "*#n"] | None = None,
    y_b: Int[Tensor, "*#n"] | None = None,
) -> Float[Tensor, "... d"]:
    """Codes on the way from `z_a` (t = 0) to `z_b` (t = 1), beyond the ends for t < 0 and t > 1.

    Reference: the module's theory.

    Args:
        z_a, z_b: Codes, broadcast against each other, so that one code can be joined to many.
        t: Where on the way; the ends come back exactly. A tensor gives a path: its axes stand before those of the codes,
            `(*t, *n, d)`.
        prior: What the codes are drawn from, and what the rule keeps to.
        rule: See the module's table.
        y_a, y_b: Labels of the codes, which a labelled prior needs.

    Raises:
        ValueError: As in `combine`.

    Example:
        >>> from latentry.priors.iid import Normal
        >>> prior = Normal(64)
        >>> a, b = prior.sample((2, 100), rng=torch.Generator().manual_seed(0))
        >>> [round(interpolate(a, b, 0.5, prior, rule).std().item(), 1) for rule in ("lerp", "transport")]
        [0.7, 1.0]
    """
    t = torch.as_tensor(t, dtype=None if isinstance(t, Tensor) else torch.float64)
    codes = torch.stack(torch.broadcast_tensors(z_a, z_b))
    y = None if y_a is None or y_b is None else torch.stack([label.expand(codes.shape[1:-1]) for label in (y_a, y_b)])
    return combine(codes, torch.stack([1 - t, t], -1), prior, rule, y=y)


@checked(differentiable=True, any_value=("codes", "weights"), any_length=("codes",))
def combine(
    codes: Float[Tensor, "k *n d"],
    weights: Sequence[float] | Float[Tensor, "*t k"],
    prior: Prior,
    rule: Rule = "transport",
    *,
    y: Int[Tensor, "k *n"] | None = None,
) -> Float[Tensor, "... d"]:
    r"""Combine k codes with weights: a mean of several, an analogy, or many combinations at once.

    Differentiable in the codes under every rule; in the weights too, save where transport has no closed form (any prior
    but the normal, the spherical Cauchy, and the uniform with two codes). Transport bends codes from outside the prior back
    into it: at weights that are not 0 and 1, an element beyond the ends of the support ends up on them.

    Reference: Agustsson et al. (2019); Bodin et al. (2024) for weights that do not sum to 1.

    Args:
        codes: The k codes, or k batches of them; independent draws, if the result is to be one.
        weights: :math:`w_i`, any real numbers. Axes before the last stand before those of the codes, `(*t, *n, d)`.
        prior: What the codes are drawn from.
        rule: See the module's table; slerp joins two codes, with weights (1 - t, t).
        y: Labels of the codes, which a labelled prior needs; others pass over them.

    Raises:
        ValueError: The prior is of a kind without a rule, codes or weights do not fit it or each other or are not finite,
            the weights are all zero, two codes that slerp shall join are opposite, labels are missing, weights between
            labels do not sum to 1, or a gradient is requested that does not exist.

    Example:
        >>> from latentry.priors.iid import Uniform
        >>> prior = Uniform(64)
        >>> z = prior.sample((3, 500), rng=torch.Generator().manual_seed(0))
        >>> mean_of_three = combine(z, [1 / 3, 1 / 3, 1 / 3], prior)
        >>> round(mean_of_three.var().item(), 2), round(prior.marginal.variance, 2)
        (0.33, 0.33)
    """
    if not codes.is_floating_point():
        raise ValueError(f"expected codes of a floating type, got {codes.dtype}; convert them with .float()")
    weights = torch.as_tensor(weights, dtype=codes.dtype, device=codes.device)
    _check_arguments(codes, weights, rule)
    if codes.shape[-1] != prior.latent_dim:
        raise ValueError(f"expected codes of length {prior.latent_dim}, got {codes.shape[-1]}; check the prior's latent_dim")
    w = weights.reshape(-1, len(codes))
    known = as_prior(prior)
    if known.labelled:
        combined = _combine_labelled(codes, w, known, rule, y)
    elif known.normal_coordinates and not known.one_distribution:
        combined = _combine_normal(codes, w, known, rule)
    else:
        combined = _combine(codes, w, known.univariate(), rule)
    return combined.view(*weights.shape[:-1], *codes.shape[1:])


def _combine(
    codes: Float[Tensor, "k *n d"], w: Float[Tensor, "t k"], known: Univariate, rule: Rule
) -> Float[Tensor, "t *n d"]:
    if rule == "slerp":
        return slerp(codes[0], codes[1], column(w[:, 1], codes[0]), known.centre)
    y = weighted_sum(codes, w)
    if rule == "lerp":
        return y
    if rule == "variance-corrected":
        return variance_corrected(y, w, known.centre)
    distribution, d = known.distribution, known.latent_dim
    carried = transported_norms(distribution, d, y, w) if known.of_norm else transported(distribution, y, w)
    return torch.where(column(one_alone(w), y[0]), y, carried)


def _combine_normal(
    codes: Float[Tensor, "k *n d"], w: Float[Tensor, "t k"], prior: Any, rule: Rule
) -> Float[Tensor, "t *n d"]:
    if rule == "slerp":
        return slerp(codes[0], codes[1], column(w[:, 1], codes[0]), prior.mean_code(codes))
    y = weighted_sum(codes, w)
    if rule == "lerp":
        return y
    if rule == "variance-corrected":
        return variance_corrected(y, w, prior.mean_code(codes))
    scores = weighted_sum(prior.to_normal(codes.double()), w.double())
    carried = prior.from_normal(variance_corrected(scores, w.double(), 0.0)).to(y.dtype)
    return torch.where(column(one_alone(w), y[0]), y, carried)


def _combine_labelled(
    codes: Float[Tensor, "k *n d"], w: Float[Tensor, "t k"], prior: Any, rule: Rule, y: Tensor | None
) -> Float[Tensor, "t *n d"]:
    straight = weighted_sum(codes, w)
    if rule == "lerp":
        return straight
    if y is None:
        raise ValueError(
            f"expected the labels of the codes for {prior!r}, got none; pass y (y_a and y_b to interpolate), "
            "such as prior.sample_labels(z) of each batch of codes"
        )
    if y.shape != codes.shape[:-1]:
        raise ValueError(f"expected one label for each code, {tuple(codes.shape[:-1])}, got labels {tuple(y.shape)}")
    same = (y == y[0]).all(0)
    total = w.sum(1)
    if not (same.all() or torch.allclose(total, torch.ones_like(total))):
        raise ValueError(
            f"expected weights that sum to 1 between codes of different labels, got sums {total.tolist()}; "
            "rescale them, or combine codes of one label"
        )
    flat = codes.flatten(1, -2).double() if codes.ndim > 2 else codes[:, None].double()
    components = [prior(label) for label in y.reshape(len(codes), -1)]
    standard = rule == "variance-corrected"
    scores = torch.stack([_scores_under(part, z, standard) for part, z in zip(components, flat, strict=True)])
    if rule == "slerp":
        score = slerp(scores[0], scores[1], column(w[:, 1], scores[0]).to(scores), 0.0)
    else:
        score = variance_corrected(weighted_sum(scores, w.to(scores)), w.to(scores), 0.0)
    places = [_place_under(part, score, standard) for part in components]
    between = reduce(torch.add, (column(w_i, flat[0]) * place for w_i, place in zip(w.unbind(1), places, strict=True)))
    within = same.reshape(-1, 1)
    combined = torch.where(within, places[0], between).view(straight.shape).to(straight.dtype)
    return torch.where(column(one_alone(w), straight[0]), straight, combined)


def _scores_under(component: Any, z: Float[Tensor, "n d"], standard: bool) -> Tensor:
    """What a labelled prior's codes are combined by."""
    if standard:
        return (z - component.mean) / component.variance.sqrt()
    return normal_scores(component.log_cdf(z), component.log_sf(z))


def _place_under(component: Any, score: Float[Tensor, "t n d"], standard: bool) -> Tensor:
    """The codes of a component with these scores."""
    if standard:
        return component.mean + component.variance.sqrt() * score
    rounding = torch.finfo(score.dtype).eps / 2
    return component.icdf(torch.special.ndtr(score).clamp(rounding, 1 - rounding))


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
