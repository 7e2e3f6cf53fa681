r"""A basis of codes whose first directions belong to labels: coefficients of codes, and codes without some directions.

With rows :math:`\xi_1, \dots, \xi_m`, each as long as a typical code, and an origin o, a code is decomposed as

.. math:: z - o = \sum_i c_i \, \xi_i, \qquad c_i = \langle \xi_i^*, z - o \rangle ,

where :math:`\xi_i^*` are the dual rows: :math:`\xi_i / \langle \xi_i | \xi_i \rangle` of an orthogonal basis, else those of
the pseudo-inverse, which give the shortest c where the rows are dependent. (In Toledo-Marín and Glazier :math:`c_i` is
:math:`\langle \xi_i | z \rangle`, which is the same but for the factor that all rows share.)

The *spectral classifier* names the label with the largest coefficient. They take the largest by size, :math:`|c_i|`; but
:math:`-\xi_l` does not decode to label l, so that the signed one is the default here. A largest coefficient beyond the
labelled rows names no label. Of codes from an isotropic normal prior, all coefficients in an orthonormal basis are alike:
whatever the rows, the largest is a label's for a share k / m of codes, and no basis ranks the true label first for more. It
takes codes that lie near the labelled rows, such as those of an encoder that is trained to keep the label.

Reference: Toledo-Marín, Glazier, "Using deep LSD to build operators in GANs latent space with meaning in real space", 2023.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity, softshrink

from latentry.display import Facts, Plottable, number
from latentry.numerics.inputs import checked
from latentry.numerics.orthogonalization import gram_schmidt

__all__ = ["QuasiEigenbasis", "energy_share", "label_ranks", "spectral_labels"]

_ORTHOGONAL = 1e-4
"""Largest cosine between rows that still count as orthogonal, in single precision."""


@dataclass(frozen=True, eq=False, repr=False)
class QuasiEigenbasis(Plottable):
    """Named directions of a latent space.

    Example:
        >>> import torch, latentry as lt
        >>> z, y = torch.randn(100, 4), torch.arange(100) % 2
        >>> basis = lt.directions.basis_from_codes(z, y)
        >>> c = basis.coefficients(z)
        >>> c.shape, torch.allclose(basis.reconstruct(c), z, atol=1e-5)
        (torch.Size([100, 4]), True)
    """

    vectors: Float[Tensor, "m d"]
    """Rows, each of the norm of a typical code: those of labels 0 to k - 1 first, then the others."""
    num_labels: int
    """How many rows bear a label, k."""
    offset: Float[Tensor, "d"]
    """What is taken off a code first, o."""
    method: str
    """How the rows were found."""
    label_means: Float[Tensor, "k d"]
    """Mean code of each label."""
    counts: tuple[int, ...]
    """Codes behind each mean."""
    condition_number: float
    """Of the rows before they were made orthogonal: how much of the result is noise in the means; 1 for orthonormal ones."""
    generator_fingerprint: str | None = None
    """Hash of the generator's weights; None if it is not known or was no module."""
    prior: str | None = None
    """Distribution of its codes, where known."""
    class_names: tuple[str, ...] = ()
    """Name of each label; none where they have only numbers."""

    def _facts(self) -> Facts:
        m, k = len(self.vectors), self.num_labels
        counts = f"{min(self.counts):,} to {max(self.counts):,}" if self.counts else "none"
        aligned = () if not k else (("least cosine of a vector and its label's mean", number(self.alignment.min().item())),)
        return Facts(
            f"Basis ({self.method}) of {m} vectors with {self.latent_dim} elements",
            (
                ("vectors that bear a label", f"{k}"),
                ("orthogonal", "yes" if self.orthogonal else "no"),
                ("codes behind a label's mean", counts),
                ("condition number", number(self.condition_number)),
                *aligned,
                ("generator", self.generator_fingerprint or "not known"),
            ),
            "A code is a sum of these vectors: `basis.coefficients(z)` gives how much it holds of each.",
        )

    def _draw(self, figure: Any) -> None:
        from latentry.display.drawing import draw_matrix

        panels = figure.subplots(1, 1 + bool(self.num_labels), squeeze=False)[0]
        draw_matrix(panels[-1], self.vectors @ self.vectors.mT, "inner products of the vectors")
        if self.num_labels:
            means = self.label_means - self.offset
            draw_matrix(panels[0], means @ means.mT, "of the labels' mean codes")

    @property
    def latent_dim(self) -> int:
        """Length of a code, d."""
        return self.vectors.shape[1]

    @cached_property
    def orthogonal(self) -> bool:
        """Whether all rows are orthogonal to each other."""
        unit = torch.nn.functional.normalize(self.vectors.double(), dim=1)
        return bool((unit @ unit.mT).fill_diagonal_(0).abs().max() < _ORTHOGONAL)

    @cached_property
    def dual(self) -> Float[Tensor, "m d"]:
        """Rows whose inner products with a code are its coefficients."""
        rows = self.vectors.double()
        tolerance = (
            10 * max(rows.shape) ** 0.5 * torch.finfo(self.vectors.dtype).eps
        )  # what rounding makes of a dependent row
        return torch.linalg.pinv(rows, rtol=tolerance).mT.to(self.vectors)

    @property
    def alignment(self) -> Float[Tensor, "k"]:
        """Cosine between each labelled row and the mean of its label, after the offset."""
        return cosine_similarity(self.vectors[: self.num_labels], self.label_means - self.offset)

    @checked(differentiable=True)
    def coefficients(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """How much of each row a code holds.

        Raises:
            ValueError: The codes are of another length.
        """
        self._check_codes(z)
        return (z - self.offset.to(z)) @ self.dual.to(z).mT

    @checked(differentiable=True)
    def reconstruct(self, c: Float[Tensor, "n m"]) -> Float[Tensor, "n d"]:
        """The codes that have these coefficients.

        Raises:
            ValueError: There is not one coefficient for each row.
        """
        if c.ndim != 2 or c.shape[1] != len(self.vectors):
            raise ValueError(f"expected coefficients of shape (n, {len(self.vectors)}), got {tuple(c.shape)}")
        return self.offset.to(c) + c @ self.vectors.to(c)

    @checked(differentiable=True)
    def denoise(
        self,
        z: Float[Tensor, "n d"],
        *,
        keep: int | None = None,
        threshold: float | None = None,
        labels_only: bool = False,
    ) -> Float[Tensor, "n d"]:
        """Codes without their small coefficients.

        Of several filters `labels_only` acts first, then `threshold`, then `keep`.

        Args:
            z: Codes.
            keep: How many coefficients of each code to keep, the largest by size (Toledo-Marín and Glazier).
            threshold: What is taken off the size of each coefficient; smaller ones vanish (soft threshold).
            labels_only: Whether only labelled rows count.

        Raises:
            ValueError: No filter is given, or a number is outside its range.
        """
        if keep is None and threshold is None and not labels_only:
            raise ValueError("expected a filter, got none; pass keep, threshold or labels_only=True")
        if keep is not None and not 1 <= keep <= len(self.vectors):
            raise ValueError(f"expected 1 <= keep <= {len(self.vectors)}, got {keep}")
        if threshold is not None and not threshold >= 0:
            raise ValueError(f"expected threshold >= 0, got {threshold}")
        if labels_only and self.num_labels == 0:
            raise ValueError("expected labelled rows, got a basis without any; name them with match_labels")
        c = self.coefficients(z)
        if labels_only:
            c = c * (torch.arange(c.shape[1], device=c.device) < self.num_labels)
        if threshold is not None:
            c = softshrink(c, threshold)
        if keep is not None:
            largest = c.abs().topk(keep, dim=1).indices
            c = torch.zeros_like(c).scatter(1, largest, c.gather(1, largest))
        return self.reconstruct(c)

    def plane(self, a: int, b: int) -> Float[Tensor, "2 d"]:
        """Orthonormal rows that span rows a and b; the first points along row a, the second to the side of row b.

        Raises:
            ValueError: There are no such rows, or they point the same way.
        """
        if a == b or not (0 <= a < len(self.vectors) and 0 <= b < len(self.vectors)):
            raise ValueError(f"expected two different rows of 0 to {len(self.vectors) - 1}, got {a} and {b}")
        return gram_schmidt(self.vectors[[a, b]])

    def _check_codes(self, z: Tensor) -> None:
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(
                f"expected codes of shape (n, {self.latent_dim}) for this basis, got {tuple(z.shape)}; "
                "was it found for another generator?"
            )


@checked()
def spectral_labels(
    basis: QuasiEigenbasis, z: Float[Tensor, "n d"], *, signed: bool = True, labels_only: bool = False
) -> Int[Tensor, "n"]:
    """Row with the largest coefficient of each code: a label, or `basis.num_labels` and above where none is the largest.

    Args:
        basis: The basis.
        z: Codes.
        signed: Whether to take the largest coefficient; False takes the largest by size, as Toledo-Marín and Glazier (2023).
        labels_only: Whether only labelled rows compete.

    Example:
        >>> import torch, latentry as lt
        >>> y = torch.arange(100) % 2
        >>> z = 5.0 * torch.eye(4)[y] + torch.randn(100, 4)
        >>> basis = lt.directions.basis_from_codes(z, y)
        >>> (lt.directions.spectral_labels(basis, z) == y).float().mean() > 0.9
        tensor(True)
    """
    scores = _scores(basis, z, signed)
    return (scores[:, : basis.num_labels] if labels_only else scores).argmax(1)


@checked()
def label_ranks(
    basis: QuasiEigenbasis, z: Float[Tensor, "n d"], y: Int[Tensor, "labels"], *, signed: bool = True
) -> Int[Tensor, "n"]:
    """Rank of the true label's coefficient among all, from 1 for the largest to m; ties count against it.

    Args:
        basis: The basis.
        z: Codes.
        y: True label of each.
        signed: Whether larger is better; False ranks by size, as Toledo-Marín and Glazier (2023).

    Raises:
        ValueError: There is not one label for each code, or it is none of the basis.

    Example:
        >>> import torch, latentry as lt
        >>> y = torch.arange(100) % 2
        >>> z = 5.0 * torch.eye(4)[y] + torch.randn(100, 4)
        >>> basis = lt.directions.basis_from_codes(z, y)
        >>> lt.directions.label_ranks(basis, z, y).median()
        tensor(1)
    """
    if y.shape != z.shape[:1]:
        raise ValueError(f"expected one label for each of {len(z)} codes, got shape {tuple(y.shape)}")
    if len(y) and not (y.min() >= 0 and y.max() < basis.num_labels):
        raise ValueError(
            f"expected labels from 0 to {basis.num_labels - 1} as this basis has them, got {int(y.min())} to {int(y.max())}"
        )
    scores = _scores(basis, z, signed)
    return (scores >= scores.gather(1, y.to(z.device)[:, None])).sum(1)


@checked()
def energy_share(basis: QuasiEigenbasis, z: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
    """Share of each code's squared length, after the offset, in the span of the labelled rows; k / d on average of noise.

    Example:
        >>> import torch, latentry as lt
        >>> z, y = torch.randn(500, 10), torch.arange(500) % 2
        >>> basis = lt.directions.basis_from_codes(z, y)
        >>> 0.15 < lt.directions.energy_share(basis, z).mean() < 0.25  # 2 of 10 dimensions
        tensor(True)
    """
    basis._check_codes(z)
    centred = z.double() - basis.offset.to(z.device, torch.float64)
    rows = torch.linalg.pinv(basis.vectors[: basis.num_labels].to(centred), rtol=1e-5)
    inside = centred @ rows @ basis.vectors[: basis.num_labels].to(centred)
    return (inside.square().sum(1) / centred.square().sum(1)).to(z)


def _scores(basis: QuasiEigenbasis, z: Tensor, signed: bool) -> Float[Tensor, "n m"]:
    if basis.num_labels == 0:
        raise ValueError("expected a basis with labelled rows, got one without; name them with match_labels")
    c = basis.coefficients(z)
    return c if signed else c.abs()
