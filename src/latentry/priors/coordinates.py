"""Codes in coordinates that are independent draws of one distribution, for what works on such coordinates alone."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from latentry.interfaces import Prior, PushforwardPrior
from latentry.numerics.inputs import checked
from latentry.numerics.univariate import UnivariateDistribution
from latentry.priors.univariate import NormalDistribution

__all__ = ["from_iid_coordinates", "iid_coordinates"]


@checked(differentiable=True, any_value=("z",))
def iid_coordinates(z: Float[Tensor, "*n d"], prior: Any) -> tuple[Float[Tensor, "*n d"], UnivariateDistribution]:
    """Codes in independent coordinates, and the distribution of each: the codes themselves, or their normal coordinates.

    Raises:
        ValueError: The prior has neither independent coordinates of one distribution nor normal ones.
    """
    if isinstance(prior, Prior):
        return z, prior.marginal
    if isinstance(prior, PushforwardPrior):
        return prior.to_normal(z), NormalDistribution()
    raise ValueError(
        "expected a prior with independent coordinates of one distribution (Normal, Uniform, ...) or with normal "
        f"coordinates (to_normal, as radial priors have), got {type(prior).__name__}; with labels, take one component"
    )


def from_iid_coordinates(e: Float[Tensor, "*n d"], prior: Any) -> Float[Tensor, "*n d"]:
    """The codes whose independent coordinates these are: the inverse of `iid_coordinates`."""
    return e if isinstance(prior, Prior) else prior.from_normal(e)
