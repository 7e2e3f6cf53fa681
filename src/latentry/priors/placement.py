r"""Semantic placement: a prior in which each named feature has its place before training.

A *level* :math:`a_i` is the degree to which feature i is present: +1 as in the training data that have it, 0 neutral, -1 its
reverse, which need not occur in training data. Numbers between and beyond are allowed. Feature i has a mean :math:`\mu_i`. A
datum with levels a has a code from

.. math:: p(z \mid a) = N\Big(\sum_i a_i \mu_i, \; s^2 v(a)\Big),

with standard deviations s, one for each coordinate. With `combination="means"` the means of features add and the deviations
stay, v = 1. With `combination="codes"` codes of features add, each with its own noise, so that
:math:`v(a) = \max(1, \sum_i a_i^2)`. Kim and Cho (2019) state only that each feature has a normal distribution of its own.
How features combine, how means are chosen, and the origin as neutral are a reconstruction of Latentry.

By default the means are orthogonal: feature i has a block of b coordinates to itself, and :math:`\mu_i` is
:math:`\delta / \sqrt b` in each of them, so that its *separation* :math:`\delta = |\mu_i / s|` is the distance from neutral
in standard deviations. Coordinates outside all blocks are free for style. The best possible classifier of codes takes
neutral for feature i, and the other way round, with probability :math:`\Phi(-\delta / 2)`, the *overlap*.

The distribution of all codes is the mixture over the combinations of levels that occur. If some levels of a datum are
unknown, its prior is the mixture of all combinations c that agree with the known levels. The divergence of its posterior q
from this mixture has the upper bound (Hershey and Olsen, 2007, for one distribution on the left)

.. math:: KL(q \,\|\, p(\cdot \mid a)) \le -\log \sum_c p(c \mid a_{known}) \, e^{-KL(q \| p_c)}

References: Kim and Cho, "Latent space-controllable generative adversarial network", 2019; Hershey and Olsen, "Approximating
the Kullback Leibler divergence between Gaussian mixture models", 2007.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import kl_divergence

from latentry.names import feature_index
from latentry.numerics.inputs import checked
from latentry.priors.diagonal_normal import DiagonalNormal
from latentry.priors.distribution import checked_codes
from latentry.priors.labelled import NormalMixture
from latentry.priors.prior_module import checked_latent_dim

__all__ = ["Combination", "SemanticPlacement"]

Combination = Literal["means", "codes"]

_MOST = 4096
"""Combinations that are written out unasked."""
_MOST_NUMBERS = 2**28
"""Of all means together."""


class SemanticPlacement(NormalMixture):
    """p(z | a) for signed levels `a` of named features, and p(z) over the combinations of levels that occur.

    It is a normal mixture whose labels are these combinations, row by row, and serves wherever one does; `at(a)` is the
    distribution of codes at any levels, seen or not.

    Args:
        features: Names of the k features.
        latent_dim: Number of coordinates d.
        exclusive: Features of which a datum has exactly one, such as classes.
        block: Coordinates of each feature.
        separation: Distance of each feature's mean from neutral, in standard deviations, above 0; one number for each
            feature, or one for all.
        means: Means of the features `(k, d)` in place of blocks; `block` and `separation` are not looked at then.
        scale: Standard deviations of the coordinates, above 0; 1 by default.
        combination: Whether means add or codes do.
        combinations: Levels `(m, k)` that occur together; by default 0 or 1 of each feature, one 1 among the exclusive.
        probs: Probabilities of these combinations; equal by default.

    Raises:
        ValueError: Names repeat or are unknown, blocks do not fit into the space, a separation is not above 0, a feature
            has no mean, or levels contradict each other.

    Example:
        >>> prior = SemanticPlacement(["smile", "glasses"], latent_dim=8, separation=6.0)
        >>> z = prior.at(prior.named({"smile": 1})).mean
        >>> prior.levels(z)
        tensor([1., 0.])
        >>> prior.levels(prior.moved(z, "glasses", 1))
        tensor([1., 1.])
    """

    means: Tensor
    deviations: Tensor
    combinations: Tensor

    def __init__(
        self,
        features: Sequence[str],
        latent_dim: int,
        *,
        exclusive: Sequence[str] = (),
        block: int = 1,
        separation: int | float | Sequence[float] = 6.0,
        means: Float[Tensor, "k d"] | Sequence[Sequence[float]] | None = None,
        scale: Float[Tensor, "d"] | Sequence[float] | None = None,
        combination: Combination = "means",
        combinations: Float[Tensor, "m k"] | Sequence[Sequence[int | float]] | None = None,
        probs: Float[Tensor, "m"] | Sequence[float] | None = None,
    ) -> None:
        names = _check_names(features, exclusive)
        if len(names) * checked_latent_dim(latent_dim) > _MOST_NUMBERS:
            raise ValueError(f"expected at most {_MOST_NUMBERS} numbers for means, got {len(names)} of {latent_dim}")
        placed = _in_blocks(names, latent_dim, block, separation) if means is None else torch.as_tensor(means)
        placed = placed if placed.is_floating_point() else placed.to(torch.get_default_dtype())
        if placed.shape != (len(names), latent_dim) or not placed.isfinite().all():
            raise ValueError(
                f"expected finite means of shape {(len(names), latent_dim)}, one row for each feature, got "
                f"{tuple(placed.shape)}"
            )
        at_neutral = [name for name, mean in zip(names, placed, strict=True) if not mean.any()]
        if at_neutral:
            raise ValueError(f"expected means apart from neutral, got 0 for {', '.join(at_neutral)}; place them elsewhere")
        deviations = torch.ones(latent_dim) if scale is None else torch.as_tensor(scale)
        deviations = deviations.to(placed)
        if deviations.shape != (latent_dim,):
            raise ValueError(f"expected {latent_dim} deviations, one for each coordinate, got {tuple(deviations.shape)}")
        rows = _possible(names, exclusive) if combinations is None else torch.as_tensor(combinations)
        rows = rows.to(placed)
        _check_levels(rows, names, exclusive)
        if rows.isnan().any():
            raise ValueError("expected known levels in every combination, got NaN; leave out what is not known")
        if len(rows) * latent_dim > _MOST_NUMBERS:
            raise ValueError(
                f"expected at most {_MOST_NUMBERS} numbers for the means of all combinations, got {len(rows)} of "
                f"{latent_dim}; pass those combinations that occur, or take shorter codes"
            )
        spread = _spread(rows, combination)
        super().__init__(rows @ placed, spread[:, None] * deviations, probs)
        self.features, self.exclusive, self.combination = names, tuple(exclusive), combination
        self.register_buffer("means", placed)
        self.register_buffer("deviations", deviations)
        self.register_buffer("combinations", rows)

    def arguments(self) -> dict[str, Any]:
        """What the constructor was given, as JSON can hold it."""
        return {
            "features": list(self.features),
            "latent_dim": self.latent_dim,
            "exclusive": list(self.exclusive),
            "means": self.means.tolist(),
            "scale": self.deviations.tolist(),
            "combination": self.combination,
            "combinations": self.combinations.int().tolist(),
            "probs": self.probs.tolist(),
        }

    @checked(differentiable=True, any_value=("a",))
    def at(self, a: Float[Tensor, "*n k"]) -> DiagonalNormal:
        """p(z | a), of batch shape `(*n,)`, for any levels."""
        if a.shape[-1] != len(self.features):
            raise ValueError(
                f"expected levels of {len(self.features)} features, got {a.shape[-1]}; order them as `features`"
            )
        a = a.to(self.means)
        return DiagonalNormal(a @ self.means, _spread(a, self.combination)[..., None] * self.deviations)

    def named(self, levels: Mapping[str, int | float]) -> Float[Tensor, "k"]:
        """Levels by name as a row, 0 for those that are not named.

        Raises:
            ValueError: There is no such feature, or several exclusive ones are requested.
        """
        row = self.means.new_zeros(len(self.features))
        for name, level in levels.items():
            row[self.index(name)] = level
        present = [name for name in levels if name in self.exclusive and levels[name]]
        if len(present) > 1:
            raise ValueError(f"expected one of the exclusive features at a time, got {' and '.join(present)}; choose one")
        return row

    def index(self, name: str) -> int:
        """Number of a feature.

        Raises:
            ValueError: There is no such feature.
        """
        return feature_index(name, self.features)

    @checked(differentiable=True, any_value=("z",))
    def levels(self, z: Float[Tensor, "*n d"]) -> Float[Tensor, "*n k"]:
        """Where codes stand along each feature: the levels that fit them best, by least squares in standard deviations."""
        z = checked_codes(z, self.means.shape[1:])
        apart = self.means / self.deviations
        return (z / self.deviations.to(z)) @ torch.linalg.pinv(apart).to(z)

    @checked(differentiable=True, any_value=("z",))
    def moved(self, z: Float[Tensor, "*n d"], name: str, by: int | float | Tensor) -> Float[Tensor, "*n d"]:
        """Codes whose level of a feature is changed by so much, everything else kept."""
        return checked_codes(z, self.means.shape[1:]) + torch.as_tensor(by).to(z)[..., None] * self.means[
            self.index(name)
        ].to(z)

    @checked(differentiable=True, any_value=("z",))
    def reversed(self, z: Float[Tensor, "*n d"], name: str) -> Float[Tensor, "*n d"]:
        """Codes with a feature's level turned into its opposite."""
        return self.moved(z, name, -2 * self.levels(z)[..., self.index(name)])

    @property
    def separations(self) -> Float[Tensor, "k"]:
        """Distance of each feature's mean from neutral, in standard deviations."""
        return (self.means / self.deviations).norm(dim=1)

    @property
    def overlaps(self) -> Float[Tensor, "k"]:
        """Share of codes that the best possible classifier assigns to the wrong one of neutral and present; of exclusive
        features, to the nearest other one.
        """
        apart = self.separations
        among = [self.features.index(name) for name in self.exclusive]
        if len(among) > 1:
            own = (self.means / self.deviations)[among]
            apart[among] = torch.cdist(own, own).fill_diagonal_(math.inf).min(1).values
        return torch.special.ndtr(-apart / 2)

    def observed(self, a: Float[Tensor, "n k"]) -> "SemanticPlacement":
        """The same placement with the combinations of levels, and their frequencies, of data; rows with unknowns are passed
        over.

        Raises:
            ValueError: No row is known as a whole, or levels contradict each other.
        """
        self.check(a)
        known = a[~a.isnan().any(1)]
        if len(known) == 0:
            raise ValueError("expected data of which all levels are known, to count combinations, got none")
        rows, counts = known.unique(dim=0, return_counts=True)
        return SemanticPlacement(
            self.features, self.latent_dim, exclusive=self.exclusive, means=self.means, scale=self.deviations,
            combination=self.combination, combinations=rows, probs=counts / counts.sum(),
        )  # fmt: skip

    def divergence(self, q: DiagonalNormal, a: Float[Tensor, "n k"]) -> Float[Tensor, "n"]:
        """Kullback-Leibler divergence KL(q || p(z | a)) in nats; where levels are unknown (NaN), its upper bound.

        Args:
            q: Posteriors of n codes.
            a: Levels of their data, NaN where unknown.

        Raises:
            ValueError: Known levels of a datum fit none of the combinations.
        """
        unknown = a.isnan()
        exact = kl_divergence(q, self.at(a.nan_to_num()))
        rows = unknown.any(1)
        if not rows.any():
            return exact
        fits = ((a[rows, None] == self.combinations.to(a)) | unknown[rows, None]).all(2)
        if not fits.any(1).all():
            raise ValueError(
                "expected data with unknown levels to fit one of the combinations that occur, got others; make the "
                "placement of `observed(a)`"
            )
        weights = self.probs.log().expand(len(fits), -1).masked_fill(~fits, -math.inf).log_softmax(1)
        each = kl_divergence(DiagonalNormal(q.loc[rows, None], q.scale[rows, None]), DiagonalNormal(self.loc, self.scale))
        return exact.masked_scatter(rows, -(weights - each).logsumexp(1))

    def check(self, a: Float[Tensor, "n k"]) -> None:
        """Whether levels of data can be.

        Raises:
            ValueError: A level is none of -1, 0, 1 and NaN (unknown), or a datum has not exactly one exclusive feature.
        """
        _check_levels(a, self.features, self.exclusive)

    def extra_repr(self) -> str:
        return f"latent_dim={self.latent_dim}, features={list(self.features)}"


def _check_levels(a: Tensor, names: Sequence[str], exclusive: Sequence[str]) -> None:
    if a.ndim != 2 or a.shape[1] != len(names):
        raise ValueError(f"expected levels (n, {len(names)}), got {tuple(a.shape)}; order them as `features`")
    if not (a.isnan() | (a == 0) | (a.abs() == 1)).all():
        raise ValueError("expected levels -1, 0, 1 or NaN (unknown) of data, got others; `at` takes any")
    if not exclusive:
        return
    classes = a[:, [names.index(name) for name in exclusive]]
    present = (classes == 1).sum(1)
    wrong = (present > 1) | (classes == -1).any(1) | ((present == 0) & ~classes.isnan().any(1))
    if wrong.any():
        at = int(wrong.nonzero()[0])
        found = [f"{name} at {level:g}" for name, level in zip(exclusive, classes[at].tolist(), strict=True) if level]
        raise ValueError(
            f"expected exactly one of {', '.join(exclusive)} at 1 and the others at 0, got {' and '.join(found) or 'none'} "
            f"for datum {at}; mend its labels, or do not call these exclusive"
        )


def _spread(a: Float[Tensor, "*n k"], combination: Combination) -> Float[Tensor, "*n"]:
    """Square root of v(a)."""
    if combination == "means":
        return torch.ones_like(a[..., 0])
    return a.square().sum(-1).clamp(min=1).sqrt()


def _check_names(features: Sequence[str], exclusive: Sequence[str]) -> tuple[str, ...]:
    names = tuple(features)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"expected features of different names, got {', '.join(names) or 'none'}")
    if strange := [name for name in exclusive if name not in names]:
        raise ValueError(f"expected exclusive features among {', '.join(names)}, got {', '.join(strange)}")
    return names


def _in_blocks(
    names: Sequence[str], latent_dim: int, block: int, separation: int | float | Sequence[float]
) -> Float[Tensor, "k d"]:
    """One mean for each feature, in coordinates of its own."""
    k = len(names)
    if block < 1 or k * block > latent_dim:
        raise ValueError(
            f"expected blocks of at least 1 coordinate that fit into {latent_dim}, got {k} of {block}; take smaller "
            "ones, or a larger latent_dim"
        )
    apart = torch.full((k,), float(separation)) if isinstance(separation, int | float) else torch.tensor(separation)
    if apart.shape != (k,) or not (apart > 0).all() or not apart.isfinite().all():
        raise ValueError(
            f"expected a separation above 0, or one for each of {k} features, got {separation}; at 0 a feature cannot be "
            "distinguished from neutral"
        )
    means = torch.zeros(k, latent_dim)
    for index, distance in enumerate(apart.tolist()):
        means[index, index * block : (index + 1) * block] = distance / math.sqrt(block)
    return means


def _possible(names: Sequence[str], exclusive: Sequence[str]) -> Float[Tensor, "m k"]:
    """Every feature neutral or present, one present among the exclusive."""
    free = [name for name in names if name not in exclusive]
    count = 2 ** len(free) * max(1, len(exclusive))
    if count > _MOST:
        raise ValueError(
            f"expected at most {_MOST} combinations of levels, got {count} for {len(names)} features; pass those that occur "
            "as `combinations`"
        )
    rows = []
    for chosen in exclusive or (None,):
        for present in itertools.product((0.0, 1.0), repeat=len(free)):
            of = dict(zip(free, present, strict=True))
            rows.append([of.get(name, float(name == chosen)) for name in names])
    return torch.tensor(rows)
