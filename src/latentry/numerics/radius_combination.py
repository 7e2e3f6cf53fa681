r"""The distribution of the norm of a combination of two isotropic codes, on a grid of log-norms.

For independent codes with norms :math:`r_1, r_2` and directions uniform on the sphere of d dimensions,

.. math:: |w_1 z_1 + w_2 z_2|^2 = w_1^2 r_1^2 + w_2^2 r_2^2 + 2 w_1 w_2 r_1 r_2 c,

where the cosine c has density proportional to :math:`(1 - c^2)^{(d - 3) / 2}`. It is of size :math:`1 / \sqrt d`; for
orthogonal codes it is 0, and squared norms add up. A pair of bins and a node of Gauss's quadrature over c give one point on
the axis of log-norms, whose mass is shared linearly between the two bins beside it. What falls beyond the grid is lost.

By the Kullback-Leibler divergence no distribution of bounded norms is at a finite distance from that of its combinations, in
either
direction: a mean of two orthogonal codes is shorter by :math:`\sqrt 2` than the longest code at least, and can be so than
the shortest. Each distribution has places where the other has nothing. The Jensen-Shannon divergence, with :math:`M = (P +
Q) / 2`,

.. math:: JS = \frac12 KL(P \,||\, M) + \frac12 KL(Q \,||\, M) \in [0, \ln 2],

is finite and smooth; mass of Q beyond the grid, where P has none, costs the full :math:`\frac12 \ln 2` for each unit.

Reference: Lin, "Divergence measures based on the Shannon entropy", 1991.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["RadiusCombination"]

_COSINES = 16
_LARGEST_JACOBI = 2000
"""Dimension from which the cosine counts as normal: its fourth moment is off by 2 / d of itself."""
_LEAST = 1e-300


class RadiusCombination:
    """The distribution of log |w_1 Z_1 + w_2 Z_2| on the bins that the distribution of log |Z| is given on.

    Args:
        log_radii: Centres of the bins, equidistant.
        weights: w_1 and w_2, neither of them 0.
        latent_dim: d; None for orthogonal codes.
    """

    def __init__(self, log_radii: Float[Tensor, "n"], weights: tuple[float, float], latent_dim: int | None) -> None:
        from scipy.sparse import csr_array

        n = len(log_radii)
        r = log_radii.exp().numpy()
        first, second = np.meshgrid(weights[0] * r, weights[1] * r, indexing="ij")
        step = float(log_radii[1] - log_radii[0])
        pairs = np.tile(np.arange(n * n), 2)
        matrix = csr_array((n, n * n))
        for c, chance in zip(*_cosines(latent_dim), strict=True):
            square = first**2 + second**2 + 2 * c * first * second
            place = (np.log(np.maximum(square, _LEAST)).ravel() / 2 - float(log_radii[0])) / step
            below = np.floor(place)
            bins = np.concatenate([below, below + 1])
            shares = chance * np.concatenate([below + 1 - place, place - below])
            inside = (bins >= 0) & (bins < n)
            matrix = matrix + csr_array((shares[inside], (bins[inside].astype(int), pairs[inside])), shape=matrix.shape)
        self._bins, self._matrix, self._back = n, matrix, matrix.T.tocsr()

    def masses(self, p: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        """q: masses of the combination on the bins; they sum to the part of it that falls inside."""
        return torch.from_numpy(self._matrix @ torch.outer(p, p).view(-1).numpy())

    def divergence(self, p: Float[Tensor, "n"]) -> tuple[float, Float[Tensor, "n"]]:
        """The Jensen-Shannon divergence of P and Q in nats and its gradient in p."""
        q = self.masses(p).clamp(min=0)
        both = (p + q).clamp(min=_LEAST)
        of_p, of_q = (2 * p / both).clamp(min=_LEAST).log(), (2 * q / both).clamp(min=_LEAST).log()
        value = (p @ of_p + q @ of_q + (1 - q.sum()) * math.log(2)) / 2
        pairs = torch.from_numpy(self._back @ (of_q - math.log(2)).numpy()).view(self._bins, self._bins)
        return float(value), (of_p + (pairs + pairs.T) @ p) / 2

    def total_variation(self, p: Float[Tensor, "n"]) -> float:
        """The largest difference of probabilities under P and Q."""
        q = self.masses(p)
        return float((p - q).abs().sum() + 1 - q.sum()) / 2


def _cosines(d: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and probabilities for the cosine of two random directions."""
    from scipy.special import roots_hermitenorm, roots_jacobi

    if d is None:
        return np.zeros(1), np.ones(1)
    if d == 1:
        return np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    if d > _LARGEST_JACOBI:
        c, weight = roots_hermitenorm(_COSINES)
        c = c / math.sqrt(d)
    else:
        c, weight = roots_jacobi(_COSINES, (d - 3) / 2, (d - 3) / 2)
    return c, weight / weight.sum()
