r"""Directions that need no labels, each set of them as a basis, so that one report compares all.

- **Principal directions** of codes: eigenvectors of their covariance. Those of an isotropic prior are noise; those of codes
  of data are not.
- **Of a layer** (GANSpace): principal components of activations h(z) for z from the prior, :math:`t_i = v_i^T (h - \bar h)`,
  carried back to codes by regression. Components are uncorrelated, so that the least-squares direction is
  :math:`u_i = \operatorname{Cov}(z, t_i) / \operatorname{Var}(t_i)`.
- **Of the first weights** (SeFa): the unit n that moves A z most, :math:`\arg\max_n \lVert A n \rVert`, and so on: the right
  singular vectors of A. For a linear layer and an isotropic prior the two coincide.
- **Random** orthonormal ones, uniform over all: the null that others are held against.

Such rows bear no labels. `match_labels` names them: each label gets a row of its own, and its sign, so that the coefficients
of the label's codes stand out most, one to one. That is done for the null too, so that the choice itself is no advantage.

References: Härkönen et al., "GANSpace: discovering interpretable GAN controls", 2020; Shen and Zhou, "Closed-form
factorization of latent semantics in GANs", 2021; Kuhn, "The Hungarian method for the assignment problem", 1955.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from latentry.holding import Condition, as_condition, called, evaluated
from latentry.holding.conditions import for_draws, rows_at
from latentry.interfaces import Generator, Prior
from latentry.latent.fingerprints import fingerprint_of
from latentry.latent.label_draws import codes_like
from latentry.latent.label_means import labelled_by
from latentry.latent.quasi_eigenbasis import QuasiEigenbasis
from latentry.network_outputs import features_of
from latentry.numerics.inputs import checked
from latentry.numerics.linalg import symmetric_eigh
from latentry.numerics.moments import Moments, merge_all, moments
from latentry.priors.adapters import draw

__all__ = [
    "activation_directions",
    "first_weight_directions",
    "match_labels",
    "principal_directions",
    "random_directions",
]

_WIDEST_LAYER = 4096
"""Activations whose covariance still fits into memory with ease."""
_FEW = 20
"""Components of activations by default."""
_NORMS = 1000
"""Codes of which the typical norm is the median."""


@checked()
def principal_directions(
    codes: Float[Tensor, "n d"] | Iterable[Tensor],
    *,
    components: int | None = None,
    generator: Generator | None = None,
    prior: Prior | None = None,
) -> QuasiEigenbasis:
    """Principal directions of codes, the widest first; exact, from a stream of any length.

    Args:
        codes: Codes, or batches of them.
        components: How many; all d by default.
        generator, prior: What the codes belong to, for the record.

    Raises:
        ValueError: There are fewer than two codes, they are equal or hold NaN, or `components` is not from 1 to d.

    Example:
        >>> import torch, latentry as lt
        >>> basis = lt.directions.principal_directions(torch.randn(500, 3) * torch.tensor([1.0, 9.0, 1.0]))
        >>> basis.vectors[0].abs().argmax()
        tensor(1)
    """
    batches = (part.detach() for part in (codes.split(4096) if isinstance(codes, Tensor) else codes))
    first = next(batches, None)
    if first is None or first.ndim != 2:
        raise ValueError("expected codes of shape (n, d), or batches of them, got none; pass a tensor or a fresh iterator")
    found = merge_all(_moments_of(first, batches))
    _, axes = symmetric_eigh(found.covariance)
    rows = axes.mT[: _checked_components(components, len(axes))]
    norm = (first[:_NORMS].double() - found.mean).norm(dim=1).median()
    if not norm > 0:
        raise ValueError("expected codes that differ, got equal ones; nothing tells one direction from another")
    return _unlabelled((norm * rows).to(first), found.mean.to(first), "pca", generator, prior)


@checked()
def activation_directions(
    layer: Callable[..., Tensor],
    prior: Prior,
    *,
    condition: Condition | None = None,
    samples: int = 20_000,
    components: int | None = None,
    batch_size: int = 1000,
    generator: Generator | None = None,
    rng: torch.Generator | None = None,
) -> QuasiEigenbasis:
    """Directions of codes that move the principal components of a layer's activations.

    Reference: Härkönen et al. (2020), section 3.2.

    Args:
        layer: Codes to activations, as a module or any callable, such as the first layers of a generator.
        prior: Distribution of the codes.
        condition: What a conditional layer takes along with codes, called as `layer(z, condition)`: row i for code i where
            there are as many rows as samples, else rows drawn from these.
        samples: Codes of it to look at.
        components: How many directions; 20 by default, or fewer where there are no more. Components that codes do not move
            linearly give directions of noise, and the smaller the component, the likelier it is one of these.
        batch_size: Codes that go through the layer at once.
        generator: What the codes belong to, for the record.
        rng: Source of the codes, on the prior's device.

    Raises:
        ValueError: The layer has more than 4096 activations or fewer that vary than `components`, or a number is below 2.

    Example:
        >>> import torch, latentry as lt
        >>> prior = lt.priors.Normal(3)
        >>> basis = lt.directions.activation_directions(lambda z: z * torch.tensor([1.0, 9.0, 2.0]), prior, samples=500)
        >>> basis.vectors[0].abs().argmax()
        tensor(1)
    """
    if samples < 2 or batch_size < 2:
        raise ValueError(f"expected samples and batch_size >= 2, got {samples} and {batch_size}")
    d, like = prior.latent_dim, codes_like(layer, prior)
    condition = for_draws(as_condition(condition), samples, rng)

    def pairs() -> Iterator[Tensor]:
        for rows in torch.arange(samples).split(batch_size):
            z = draw(prior, (len(rows),), rng=rng)
            activations = features_of(called(layer, z.to(like), rows_at(condition, rows))).flatten(1)
            if len(activations) != len(z):
                raise ValueError(f"expected a row of activations for each of {len(z)} codes, got {len(activations)}")
            if activations.shape[1] > _WIDEST_LAYER:
                raise ValueError(
                    f"expected a layer of at most {_WIDEST_LAYER} activations, got {activations.shape[1]}; "
                    "take an earlier one, or pool it"
                )
            yield torch.cat([z.to(activations), activations], 1)

    with evaluated(layer, prior) as (layer, _), torch.no_grad():
        found = merge_all(moments(part) for part in pairs())
    variances, axes = symmetric_eigh(found.covariance[d:, d:])
    most = min(d, len(axes))
    components = _checked_components(min(_FEW, most) if components is None else components, most)
    varying = int((variances > 1e-10 * variances[0]).sum())
    if varying < components:
        raise ValueError(f"expected {components} components that vary, got {varying}; ask for fewer")
    rows = (found.covariance[:d, d:] @ axes[:, :components] / variances[:components]).mT
    rows = _median_norm(prior) * torch.nn.functional.normalize(rows, dim=1)
    own = draw(prior, (0,))
    return _unlabelled(rows.to(own), found.mean[:d].to(own), "activations", generator, prior)


@checked(any_length=("weights",))
def first_weight_directions(
    weights: Float[Tensor, "..."] | nn.Module,
    prior: Prior,
    *,
    components: int | None = None,
    generator: Generator | None = None,
) -> QuasiEigenbasis:
    """Right singular vectors of the matrix that a generator applies to codes first, largest first.

    Reference: Shen and Zhou (2021), equation 6.

    Args:
        weights: The matrix `(D, d)`, or a module whose first dense or transposed convolutional layer takes the codes.
        prior: Distribution of the codes.
        components: How many directions; all by default.
        generator: What the codes belong to, for the record; `weights` itself by default, if it is a module.

    Raises:
        ValueError: There is no such layer, or its matrix is for codes of another length.

    Example:
        >>> import torch, latentry as lt
        >>> basis = lt.directions.first_weight_directions(torch.diag(torch.tensor([1.0, 3.0])), lt.priors.Normal(2))
        >>> basis.vectors[0].abs().argmax()
        tensor(1)
    """
    matrix = _first_matrix(weights) if isinstance(weights, nn.Module) else weights
    if matrix.ndim != 2 or matrix.shape[1] != prior.latent_dim:
        raise ValueError(
            f"expected a matrix (D, {prior.latent_dim}) for codes of this prior, got {tuple(matrix.shape)}; "
            "pass the weight that multiplies the codes, of a layer that takes labels too its columns of codes, weight[:, :d]"
        )
    matrix = matrix.detach().double()
    _, axes = symmetric_eigh(matrix.mT @ matrix)
    rows = axes.mT[: _checked_components(components, len(axes))] * _median_norm(prior)
    own = draw(prior, (0,))
    named = weights if generator is None and isinstance(weights, nn.Module) else generator
    return _unlabelled(rows.to(own), own.new_zeros(prior.latent_dim), "first-weights", named, prior)


@checked()
def random_directions(prior: Prior, *, components: int | None = None, rng: torch.Generator | None = None) -> QuasiEigenbasis:
    """Orthonormal directions, uniform over all such sets: the null of every claim about a basis.

    Args:
        prior: Distribution of the codes.
        components: How many; all by default.
        rng: Source of randomness, on the CPU.

    Example:
        >>> import torch, latentry as lt
        >>> basis = lt.directions.random_directions(lt.priors.Normal(8), components=3)
        >>> basis.vectors.shape, basis.orthogonal
        (torch.Size([3, 8]), True)
    """
    d = prior.latent_dim
    q, r = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=rng))
    rows = (q * r.diagonal().sign()).mT[: _checked_components(components, d)]  # with these signs uniform (Mezzadri, 2007)
    own = draw(prior, (0,))
    return _unlabelled((_median_norm(prior) * rows).to(own), own.new_zeros(d), "random", None, prior)


@checked()
def match_labels(basis: QuasiEigenbasis, z: Float[Tensor, "n d"], y: Int[Tensor, "labels"]) -> QuasiEigenbasis:
    """The same rows, those that tell labels best first, with the sign that does: one row for each label.

    The separation of a label along a row is the distance of the label's mean coefficient from that of all codes, in
    standard deviations. Each label gets a row of its own, such that the sum of separations is as large as possible.

    Args:
        basis: Any basis; labels that it has are forgotten.
        z: Codes to choose by; evaluate the result on others.
        y: Label of each, from 0 to k - 1.

    Raises:
        ValueError: There are fewer rows than labels, a label has no codes, or codes and labels do not fit.

    Example:
        >>> import torch, latentry as lt
        >>> y = torch.arange(200) % 2
        >>> z = torch.randn(200, 4) + 5 * torch.eye(4)[y]
        >>> basis = lt.directions.random_directions(lt.priors.Normal(4))
        >>> lt.directions.match_labels(basis, z, y).num_labels
        2
    """
    labelled = labelled_by(z, y)
    labelled.check(1, len(z))
    means = labelled.groups.means.to(z)
    if len(basis.vectors) < len(means):
        raise ValueError(
            f"expected at least one row for each of {len(means)} labels, got {len(basis.vectors)}; ask for more components"
        )
    c = basis.coefficients(z)
    separation = (basis.coefficients(means) - c.mean(0)) / c.std(0).clamp(min=torch.finfo(c.dtype).tiny)
    _, chosen = linear_sum_assignment(separation.abs().cpu().numpy(), maximize=True)
    signs = torch.ones(len(basis.vectors), dtype=z.dtype)
    signs[chosen] = torch.where(separation.cpu()[range(len(means)), chosen] < 0, -1.0, 1.0).to(z.dtype)
    order = [*chosen.tolist(), *(row for row in range(len(basis.vectors)) if row not in set(chosen.tolist()))]
    return replace(
        basis,
        vectors=(basis.vectors * signs.to(basis.vectors)[:, None])[order],
        num_labels=len(means),
        label_means=means.to(basis.vectors),
        counts=tuple(labelled.groups.counts.tolist()),
    )


def _moments_of(first: Tensor, others: Iterator[Tensor]) -> Iterator[Moments]:
    yield moments(first)
    yield from map(moments, others)


def _checked_components(components: int | None, most: int) -> int:
    if components is not None and not 1 <= components <= most:
        raise ValueError(f"expected 1 <= components <= {most}, got {components}")
    return most if components is None else components


def _median_norm(prior: Prior) -> float:
    """Median norm of codes of the prior."""
    rng = torch.Generator(draw(prior, (0,)).device).manual_seed(0)
    return draw(prior, (_NORMS,), rng=rng).norm(dim=1).median().item()


def _first_matrix(module: nn.Module) -> Tensor:
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            return layer.weight
        if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d) and layer.groups == 1:
            return layer.weight.flatten(1).mT  # (d, out, *kernel) for codes as images of one pixel
    raise ValueError(
        f"expected a dense or transposed convolutional layer in {type(module).__name__}, found none; pass the matrix"
    )


def _unlabelled(
    vectors: Tensor, offset: Tensor, method: str, generator: Generator | None, prior: Prior | None
) -> QuasiEigenbasis:
    return QuasiEigenbasis(
        vectors=vectors,
        num_labels=0,
        offset=offset,
        method=method,
        label_means=vectors.new_zeros(0, vectors.shape[1]),
        counts=(),
        condition_number=torch.linalg.cond(vectors.double()).item(),
        generator_fingerprint=None if generator is None else fingerprint_of(generator),
        prior=None if prior is None else repr(prior),
    )
