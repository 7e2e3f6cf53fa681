r"""Regularizers from the likelihood of a code, or of its norm.

The negative log-prior :math:`-\frac{1}{d} \log p(z)` makes recovery the search for the likeliest code given the data. It is
least at the mode of the prior, which for a normal prior is zero and in many dimensions is nowhere near a sample. The norm of
a sample is near one value instead, and the shell

.. math:: R(z) = \left( \frac{\|z\|}{r} - 1 \right)^2

holds a code there and says nothing of its direction. For independent coordinates :math:`r^2 = d \, E z_j^2`; for a radial
prior r is the median of the norm, which exists when the mean does not.

Outside a bounded support the log density is :math:`-\infty` and has no gradient. There the density of the
nearest code inside is taken instead, and the distance to it, in interquartile ranges, is added.

References: Bora, Jalal, Price, Dimakis, "Compressed sensing using generative models", 2017 (the normal log-prior); Menon et
al., "PULSE: self-supervised photo upsampling via latent space exploration of generative models", 2020 (the shell).
"""

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from latentry.interfaces import Prior
from latentry.numerics.inputs import checked
from latentry.priors.adapters import as_prior

__all__ = ["NegativeLogPrior", "NormShell"]

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class NegativeLogPrior:
    """-log p(z) for each element of a code, less log(2 pi) / 2: for N(0, I) half the mean square.

    Takes any prior with a `log_prob`: with independent coordinates, radial or labelled.

    Raises:
        ValueError: The prior has no density.

    Example:
        >>> import torch, latentry as lt
        >>> penalty, prior = lt.regularizers.NegativeLogPrior(), lt.priors.Normal(2)
        >>> near, far = penalty(torch.tensor([[0.0, 0.0], [3.0, 3.0]]), prior)
        >>> bool(near < far)
        True
    """

    @checked(differentiable=True, any_value=("z",))
    def __call__(self, z: Float[Tensor, "n d"], prior: Prior) -> Float[Tensor, "n"]:
        return -as_prior(prior).mean_log_prob(z) - _LOG_SQRT_2PI


@dataclass(frozen=True)
class NormShell:
    """Squared distance of a code's norm from the norm of a typical code, in units of that.

    Raises:
        ValueError: The prior has neither independent coordinates of one distribution nor a distribution of the norm nor
            normal components.

    Example:
        >>> import torch, latentry as lt
        >>> shell = lt.regularizers.NormShell()
        >>> on, off = shell(torch.stack([torch.ones(64), torch.zeros(64)]), lt.priors.Normal(64))
        >>> bool(on < off)
        True
    """

    @checked(differentiable=True, any_value=("z",))
    def __call__(self, z: Float[Tensor, "n d"], prior: Prior) -> Float[Tensor, "n"]:
        return (z.norm(dim=-1) / as_prior(prior).typical_norm() - 1).square()
