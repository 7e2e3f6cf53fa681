r"""Directions across the boundaries between labels: normals of linear classifiers of codes, and Fisher's directions.

**Normals** (InterFaceGAN). A linear classifier of codes for attribute l, :math:`s_l(z) = \langle w_l, z \rangle + b_l`, has
the unit normal :math:`n_l`: to move along it changes the score fastest. It changes other scores too. *Conditional
projection* takes off each normal its projection on the span of the others. What is left is, but for its length, the row of
the pseudo-inverse of the normals: to move along it leaves all other scores alone, and the dual rows of such a basis are the
normals, so that coefficients are scores.

For labels that exclude each other, each classifier separates one label from the rest. The mean of the normals raises all
scores alike and separates nothing, so it is subtracted. The normals then span k - 1 dimensions, and the conditional
direction of a label lowers all other scores alike.

**Fisher.** In coordinates :math:`S^{-1/2} z`, with S the covariance within labels, codes of one label scatter alike in all
directions, and the means are made orthonormal there, as Loewdin does. Carried back, the rows are orthogonal in the metric of
:math:`S^{-1}`, and the labels' dual rows span the discriminant space of Fisher (1936) and one direction more.

**Scores.** Where a code is to have a label, one against the rest is not what counts, but the label against its strongest
rival: `fit_linear_classifier` fits the scores of all labels together, :math:`p(y | z) = \operatorname{softmax}_y s(z)`, and
the *margin* of a label is its score less the largest other one. `rotate_to_margin` turns codes by it.

References: Shen, Gu, Tang, Zhou, "Interpreting the latent space of GANs for semantic face editing", 2020; Fisher, "The use
of multiple measurements in taxonomic problems", 1936; Rao, "The utilization of multiple measurements in problems of
biological classification", 1948.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from latentry.display import Facts, Plottable
from latentry.interfaces import Generator, Prior
from latentry.latent.fingerprints import fingerprint_of
from latentry.latent.label_means import check_dimensions, labelled_by, lifted, principal_rest
from latentry.latent.logistic import logistic_regression
from latentry.latent.quasi_eigenbasis import QuasiEigenbasis
from latentry.numerics.inputs import as_attributes, checked
from latentry.numerics.linalg import gram, symmetric_eigh
from latentry.numerics.orthogonalization import loewdin

__all__ = [
    "LinearClassifier",
    "LinearModel",
    "boundary_directions",
    "conditional_projection",
    "fisher_directions",
    "fit_linear_classifier",
]

LinearModel = Literal["logistic", "ridge"]
"""Classifier whose boundary it is."""


@dataclass(frozen=True, eq=False, repr=False)
class LinearClassifier(Plottable):
    """Scores of labels that are linear in a code, :math:`s(z) = W z + b`."""

    weights: Float[Tensor, "k d"]
    """W, one row for each label."""
    bias: Float[Tensor, "k"]
    """b."""

    def _facts(self) -> Facts:
        k, d = self.weights.shape
        return Facts(f"Linear scores of {k} labels, of codes with {d} elements")

    def _draw(self, figure: Any) -> None:
        from latentry.display.drawing import draw_matrix

        draw_matrix(figure.subplots(), self.weights, "weight of each element (across) in the score of each label")

    @checked()
    def margin(self, z: Float[Tensor, "n d"], y: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
        """By how much the score of label y leads that of its strongest rival; negative where it does not lead."""
        if z.shape[1] != self.weights.shape[1] or not ((y >= 0) & (y < len(self.bias))).all():
            raise ValueError(
                f"expected codes (n, {self.weights.shape[1]}) and labels from 0 to {len(self.bias) - 1}, got codes "
                f"{tuple(z.shape)} and labels {y.unique().tolist()[:8]}"
            )
        scores = z @ self.weights.to(z).mT + self.bias.to(z)
        is_y = one_hot(y.to(z.device), len(self.bias)).bool()
        return scores[is_y] - scores.masked_fill(is_y, -torch.inf).amax(1)


@checked()
def fit_linear_classifier(z: Float[Tensor, "n d"], y: Int[Tensor, "n"], *, strength: float = 1.0) -> LinearClassifier:
    """Multinomial logistic regression of labels on codes.

    Args:
        z: Codes.
        y: Label of each, from 0 to k - 1, k >= 2.
        strength: Weight of the squared weights in the loss, summed over codes.

    Raises:
        ValueError: A label has no codes or there is only one, codes and labels do not fit, or `strength` is not above 0.

    Example:
        >>> import torch, latentry as lt
        >>> z, y = torch.tensor([[0.0, 1.0], [0.0, 2.0], [1.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 0, 1, 1])
        >>> scores = lt.directions.fit_linear_classifier(z, y)
        >>> scores.margin(z, y) > 0
        tensor([True, True, True, True])
    """
    if not 0 < strength < math.inf:
        raise ValueError(f"expected a finite strength > 0, got {strength}")
    labelled_by(z, y).check(1, len(z))
    k = int(y.max()) + 1
    if k < 2:
        raise ValueError("expected codes of two labels or more, got one; nothing tells it from others")
    weights, bias = logistic_regression(z, y, strength)
    if k == 2:  # there scikit-learn has one score, for label 1 against label 0
        weights, bias = torch.cat([-weights, weights]) / 2, torch.cat([-bias, bias]) / 2
    return LinearClassifier(weights.to(z), bias.to(z))


@checked()
def conditional_projection(v: Float[Tensor, "n d"], others: Float[Tensor, "j d"]) -> Float[Tensor, "n d"]:
    """What is left of directions when their projection on the span of others is taken off.

    Reference: Shen et al. (2020), equation 5, for any number of others.

    Example:
        >>> import torch, latentry as lt
        >>> lt.directions.conditional_projection(torch.tensor([[1.0, 2.0, 3.0]]), torch.eye(3)[:1])
        tensor([[0., 2., 3.]])
    """
    span = others.double()
    return (v.double() - v.double() @ torch.linalg.pinv(span) @ span).to(v)


@checked()
def boundary_directions(
    z: Float[Tensor, "n d"],
    y: Int[Tensor, "labels"] | Int[Tensor, "labels k"] | Bool[Tensor, "labels k"],
    *,
    model: LinearModel = "logistic",
    strength: float = 1.0,
    conditional: bool = False,
    generator: Generator | None = None,
    prior: Prior | None = None,
) -> QuasiEigenbasis:
    """Normals of linear classifiers of codes, then principal directions of what is left beside them.

    With labels the basis has d + 1 rows, since the k normals span k - 1 dimensions; with attributes d.

    Reference: Shen et al. (2020).

    Args:
        z: Codes.
        y: Label of each from 0 to k - 1, or k attributes of each as -1, 0 (not known) or 1, or as bools.
        model: Logistic regression, or least squares of the label as -1 and 1.
        strength: Weight of the squared weights in the classifier's loss, summed over codes.
        conditional: Whether each direction is to leave the other scores alone.
        generator, prior: What the codes belong to, for the record.

    Raises:
        ValueError: A label or one side of an attribute has no codes, there are more labels than dimensions, codes and labels
            do not fit, or `strength` is not above 0.

    Example:
        >>> import torch, latentry as lt
        >>> z = torch.randn(300, 5)
        >>> basis = lt.directions.boundary_directions(z, z[:, :2] > 0)  # two attributes
        >>> basis.vectors.shape, basis.vectors[0].argmax()
        (torch.Size([5, 5]), tensor(0))
    """
    if model not in get_args(LinearModel) or not 0 < strength < math.inf:
        raise ValueError(f"expected one of {get_args(LinearModel)} and a finite strength > 0, got {model!r} and {strength}")
    sides = _sides(z, y)
    check_dimensions(sides.shape[1], z.shape[1], fewest=2 if y.ndim == 1 else 1)
    fit = _logistic_weights if model == "logistic" else _ridge_weights
    codes = z.double()
    normals = normalize(torch.stack([fit(codes[side != 0], side[side != 0], strength) for side in sides.mT.double()]))
    if y.ndim == 1:
        normals = normalize(normals - normals.mean(0))
    offset = codes.mean(0)
    rest = principal_rest(normals, gram(codes - offset))
    rows = normalize(torch.linalg.pinv(normals, rtol=1e-10).mT) if conditional else normals
    return _labelled_basis(
        torch.cat([rows, rest]),
        z,
        sides,
        offset,
        "boundary-conditional" if conditional else "boundary",
        generator,
        prior,
    )


@checked()
def fisher_directions(
    z: Float[Tensor, "n d"],
    y: Int[Tensor, "labels"],
    *,
    shrinkage: float = 0.0,
    generator: Generator | None = None,
    prior: Prior | None = None,
) -> QuasiEigenbasis:
    """Label means made orthonormal in the metric of the scatter within labels, then the rest of that space.

    Reference: Fisher (1936), Rao (1948); see the module's theory.

    Args:
        z: Codes.
        y: Label of each from 0 to k - 1.
        shrinkage: Share of an isotropic covariance of equal trace in that within labels, in [0, 1].
        generator, prior: What the codes belong to, for the record.

    Raises:
        ValueError: A label has no codes, there are more labels than dimensions, codes and labels do not fit, or the scatter
            within labels is singular.

    Example:
        >>> import torch, latentry as lt
        >>> y = torch.arange(300) % 3
        >>> basis = lt.directions.fisher_directions(torch.randn(300, 5) + 3 * torch.eye(5)[y], y)
        >>> basis.vectors.shape, basis.num_labels
        (torch.Size([5, 5]), 3)
    """
    if not 0 <= shrinkage <= 1:
        raise ValueError(f"expected shrinkage in [0, 1], got {shrinkage}")
    labelled = labelled_by(z, y)
    k, d = labelled.groups.means.shape
    check_dimensions(k, d)
    labelled.check(1, len(z))
    within = labelled.groups.within / len(z)
    isotropic = within.diagonal().mean() * torch.eye(d, dtype=within.dtype, device=within.device)
    variances, axes = symmetric_eigh((1 - shrinkage) * within + shrinkage * isotropic)
    if variances[-1] <= 1e-10 * variances[0]:
        raise ValueError(
            f"expected codes that vary in all {d} directions within labels, got {len(z)} that do not; "
            "take more codes, or shrinkage > 0"
        )
    root, inverse_root = ((axes * variances.pow(power)) @ axes.mT for power in (0.5, -0.5))
    means = labelled.groups.means
    offset = means.mean(0)
    rows = loewdin(lifted((means - offset) @ inverse_root, within))
    rows = torch.cat([rows, principal_rest(rows, within)]) @ root
    return _labelled_basis(rows, z, _sides(z, y), offset, "fisher", generator, prior)


def _sides(
    z: Float[Tensor, "n d"], y: Int[Tensor, "labels"] | Int[Tensor, "labels k"] | Bool[Tensor, "labels k"]
) -> Int[Tensor, "n k"]:
    """For each code and attribute whether it is on the one side (1), on the other (-1), or not known to be (0)."""
    if y.ndim == 1:
        labelled_by(z, y).check(1, len(z))
        return 2 * one_hot(y.long()) - 1
    if len(y) != len(z):
        raise ValueError(f"expected attributes of each of {len(z)} codes, got shape {tuple(y.shape)}")
    y = as_attributes(y)
    for attribute, side in enumerate(y.mT):
        if not ((side == 1).any() and (side == -1).any()):
            raise ValueError(
                f"expected codes on both sides of attribute {attribute}, got {int((side == 1).sum())} with it and "
                f"{int((side == -1).sum())} without; leave it out, or give more codes"
            )
    return y


def _logistic_weights(z: Float[Tensor, "n d"], side: Float[Tensor, "n"], strength: float) -> Float[Tensor, "d"]:
    return logistic_regression(z, (side > 0).long(), strength)[0][0]


def _ridge_weights(z: Float[Tensor, "n d"], side: Float[Tensor, "n"], strength: float) -> Float[Tensor, "d"]:
    centred = z - z.mean(0)
    normal_matrix = gram(centred) + strength * torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    return torch.linalg.solve(normal_matrix, centred.mT @ (side - side.mean()))


def _labelled_basis(
    rows: Float[Tensor, "m d"],
    z: Float[Tensor, "n d"],
    sides: Int[Tensor, "n k"],
    offset: Float[Tensor, "d"],
    method: str,
    generator: Generator | None,
    prior: Prior | None,
) -> QuasiEigenbasis:
    """Rows at the norm of a typical code, with what is to be known of the codes that they were found from."""
    norm = (z.double() - offset).norm(dim=1).median()
    means = torch.stack([z[side == 1].mean(0) for side in sides.mT])
    return QuasiEigenbasis(
        vectors=(norm * normalize(rows)).to(z),
        num_labels=len(means),
        offset=offset.to(z),
        method=method,
        label_means=means,
        counts=tuple((sides == 1).sum(0).tolist()),
        condition_number=torch.linalg.cond(rows).item(),
        generator_fingerprint=None if generator is None else fingerprint_of(generator),
        prior=None if prior is None else repr(prior),
    )
