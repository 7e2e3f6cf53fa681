r"""Normal mixtures fitted to codes by expectation-maximisation, with as many components as codes held back ask for.

Components with independent coordinates and, where there are codes enough for them, with correlated ones are tried, of each
kind 1, 2, 3, 4, 6, 8, 12 and 16, until twice in a row more are no better for the held-back fifth. The fewest within one
standard error of the best are then fitted to all.

References: Dempster, Laird, Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977; scikit-learn's
`GaussianMixture`, which does it.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.priors.normal_mixture import MultivariateNormalMixture

__all__ = ["fitted_mixture", "mixture_of"]

_COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16)
_HELD_BACK = 5
"""One code in so many."""
_CODES_PER_COMPONENT = 10
_MOST_CORRELATED = 64
"""Elements of a code beyond which components have independent coordinates."""
_LEAST_VARIANCE = 1e-4
"""Of a component, in units of the variance of all codes: no component shrinks onto a single code."""


def fitted_mixture(
    z: Float[Tensor, "n d"], rng: torch.Generator, tell: Callable[[int, int], None] | None = None
) -> MultivariateNormalMixture:
    """The mixture with the number of components that codes held back ask for.

    Args:
        z: Codes, at least 40.
        rng: Source of the split and of the starts.
        tell: Called with how many fits of how many are done.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> z = torch.randn(400, 1, generator=rng) + 8 * torch.arange(400)[:, None].remainder(2)
        >>> fitted_mixture(z, rng).probs.shape
        torch.Size([2])
    """
    n, d = z.shape
    order = torch.randperm(n, generator=rng)
    fit, back = z[order[n // _HELD_BACK :]], z[order[: n // _HELD_BACK]]
    kinds = [False, True] if 1 < d <= _MOST_CORRELATED else [False]
    total, done = len(kinds) * len(_COMPONENTS) + 1, 0
    scores: dict[tuple[int, bool], Tensor] = {}
    for correlated in kinds:
        best, worse = -torch.inf, 0
        for components in _COMPONENTS:
            enough = len(fit) >= components * (_CODES_PER_COMPONENT + (d if correlated else 0))
            if enough and worse < 2:
                densities = mixture_of(fit, components, correlated, rng).log_prob(back)
                score = densities.mean().item()
                best, worse, scores[components, correlated] = max(best, score), 0 if score > best else worse + 1, densities
            done += 1
            if tell is not None:
                tell(done, total)
    if not scores:
        raise ValueError(f"expected at least {4 * _CODES_PER_COMPONENT} codes for a mixture, got {n}; take another family")
    components, correlated = _fewest(scores)
    found = mixture_of(z, components, correlated, rng)
    if tell is not None:
        tell(total, total)
    return found


def _fewest(densities: dict[tuple[int, bool], Tensor]) -> tuple[int, bool]:
    """The fewest components, and of equal numbers the better kind, within one standard error of the best."""
    best = max(densities, key=lambda kind: densities[kind].mean().item())
    behind = {kind: densities[best] - density for kind, density in densities.items()}
    near = [kind for kind, by in behind.items() if kind == best or by.mean() <= by.std() / len(by) ** 0.5]
    return min(near, key=lambda kind: (kind[0], behind[kind].mean().item()))


def mixture_of(
    z: Float[Tensor, "n d"], components: int, correlated: bool, rng: torch.Generator
) -> MultivariateNormalMixture:
    """The mixture of so many components, correlated or not, that is most likely given the codes.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> mixture_of(torch.randn(100, 2, generator=rng), 2, True, rng).scale.shape
        torch.Size([2, 2, 2])
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    z = z.double()
    loc, scale = z.mean(0), z.std(0, correction=0)
    seed = int(torch.randint(2**31, (), generator=rng))
    mixture: Any = GaussianMixture(
        components, covariance_type="full" if correlated else "diag", reg_covar=_LEAST_VARIANCE, random_state=seed
    )
    with warnings.catch_warnings():  # a search that did not converge is judged by the codes held back all the same
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(((z - loc) / scale).numpy())
    means, covariances = torch.from_numpy(mixture.means_), torch.from_numpy(mixture.covariances_)
    factor = torch.linalg.cholesky(covariances) if correlated else covariances.sqrt()
    spread = scale[:, None] if correlated else scale
    return MultivariateNormalMixture(loc + scale * means, spread * factor, torch.from_numpy(mixture.weights_))
