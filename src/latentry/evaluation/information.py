r"""How much information do codes have on labels, in nats?

Let each datum x have a normal posterior of codes :math:`q(z | x)`, and let :math:`q(z | c)` and q(z) be its means over the
data of class c and over all. The mutual information :math:`I(z; c) = E \log q(z | c) / q(z)` lies between 0 and the entropy
H(c). From n data it can be bracketed without training anything, since all densities are mixtures of known components:

- *From above.* With the mixtures over the n data, the datum that a code was drawn from among them,

  .. math:: E \log \frac{\hat q(z | c)}{\hat q(z)} = I + \sum_c p_c \operatorname{KL}(\hat q_c \| q_c)
            - \operatorname{KL}(\hat q \| q) \ge I

  on average, since the divergence is jointly convex.
- *From below.* Any classifier r that has not seen a code gives :math:`I \ge H(c) + E \log r(c | z)` (Barber and Agakov,
  2003). Here it is the posterior of the same mixtures without the datum that the code was drawn from.

Both are tight where the posteriors of codes of one class overlap, and far apart where each datum sits on its own; codes
without spread have H(c) above, and a classifier's bound below.

A coordinate is *active* where the means of its posteriors vary over data by more than a hundredth of the prior's variance;
one that is not carries nothing (posterior collapse).

References: Barber and Agakov, "The IM algorithm: a variational approach to information maximization", 2003; Poole, Ozair,
van den Oord, Alemi, Tucker, "On variational bounds of mutual information", 2019; Burda, Grosse, Salakhutdinov, "Importance
weighted autoencoders", 2016 (active units).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from latentry.evaluation.estimates import mean_estimate
from latentry.numerics.interval import Interval

__all__ = ["LabelInformation", "active_units", "information_from_posterior", "label_information"]

_ACTIVE = 0.01


@dataclass(frozen=True)
class LabelInformation:
    """Bounds of I(z; c), in nats."""

    lower: Interval
    """Lower bound, with the interval of its mean over data; negative where the classifier is worse than none."""
    upper: Interval
    """Upper bound, likewise."""
    entropy: float
    """H(c): all there is to know."""


def label_information(
    mean: Float[Tensor, "n d"],
    log_variance: Float[Tensor, "..."],
    y: Int[Tensor, "..."],
    *,
    level: float = 0.95,
    rng: torch.Generator | None = None,
    chunk: int = 256,
) -> LabelInformation:
    """Bounds of the mutual information of codes and labels, from the posteriors of the codes of n data.

    Reference: the module's theory.

    Args:
        mean, log_variance: Of the normal posterior of each datum's code.
        y: Labels, two classes or more, two data of each or more.
        level: Level of the intervals.
        rng: Source of the draws, one for each datum, on the CPU.
        chunk: Draws in work at once.

    Raises:
        ValueError: Shapes do not fit, numbers are not finite, or there are too few data or classes.

    Example:
        >>> rng = torch.Generator().manual_seed(0)
        >>> y = torch.arange(200) % 2
        >>> mean, log_variance = 8.0 * y[:, None].double(), torch.zeros(200, 1, dtype=torch.float64)
        >>> found = label_information(mean, log_variance, y, rng=rng)
        >>> round(found.entropy, 3), found.lower.value > 0.6
        (0.693, True)
    """
    _check(mean, log_variance, y)
    classes, index, counts = y.cpu().unique(return_inverse=True, return_counts=True)
    mean, log_variance = mean.detach().cpu().double(), log_variance.detach().cpu().double()
    z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=rng, dtype=torch.float64)
    member = torch.nn.functional.one_hot(index, len(classes)).bool()
    upper, lower = [], []
    for rows in torch.arange(len(z)).split(chunk):
        log_q = _log_densities(z[rows], mean, log_variance)
        own = index[rows]
        upper.append(_log_mean(log_q, member)[range(len(rows)), own] - _log_mean(log_q, torch.ones(len(z), 1).bool())[:, 0])
        others = log_q.scatter(1, rows[:, None], -math.inf)
        joint = torch.stack([others[:, member[:, c]].logsumexp(1) for c in range(len(classes))], 1)
        lower.append(joint.log_softmax(1)[range(len(rows)), own])
    shares = counts.double() / len(y)
    entropy = -(shares * shares.log()).sum().item()
    return LabelInformation(
        lower=mean_estimate(entropy + torch.cat(lower), level), upper=mean_estimate(torch.cat(upper), level), entropy=entropy
    )


def information_from_posterior(log_probs: Float[Tensor, "n k"], y: Int[Tensor, "..."], level: float = 0.95) -> Interval:
    """Lower bound of I(z; c), in nats, from a classifier of codes that it has not been fitted to.

    Reference: Barber and Agakov (2003).

    Args:
        log_probs: log r(c | z) for every label.
        y: The labels.
        level: Level of the interval.

    Raises:
        ValueError: Shapes do not fit each other.

    Example:
        >>> import math
        >>> log_probs = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).log()
        >>> print(information_from_posterior(log_probs.repeat(50, 1), torch.tensor([0, 1]).repeat(50)))
        0.588 [0.588, 0.588]
    """
    if log_probs.shape[:1] != y.shape or len(y) < 2:
        raise ValueError(f"expected a row for each of two labels or more, got {tuple(log_probs.shape)} for {len(y)} labels")
    shares = torch.bincount(y.cpu()).double() / len(y)
    entropy = -torch.special.xlogy(shares, shares).sum()
    own = log_probs.detach().cpu().double()[range(len(y)), y.cpu()]
    return mean_estimate(entropy + own, level)


def active_units(
    mean: Float[Tensor, "n d"], variance: Float[Tensor, "d"] | float = 1.0, threshold: float = _ACTIVE
) -> Bool[Tensor, "d"]:
    """Which coordinates' means vary over data by more than a share of the prior's variance.

    Reference: Burda et al. (2016), section 5.2, with its threshold.

    Raises:
        ValueError: There are fewer than two data.

    Example:
        >>> active_units(torch.tensor([[0.0, 5.0], [0.0, -5.0]]))
        tensor([False,  True])
    """
    if len(mean) < 2:
        raise ValueError(f"expected the means of two data or more, got {len(mean)}")
    return mean.var(0) > threshold * torch.as_tensor(variance).to(mean)


def _log_densities(
    z: Float[Tensor, "m d"], mean: Float[Tensor, "n d"], log_variance: Float[Tensor, "n d"]
) -> Float[Tensor, "m n"]:
    """log q(z | x_j) of every code and posterior, but for a constant, as three products of matrices."""
    precision = (-log_variance).exp()
    squared = z.square() @ precision.mT - 2 * z @ (precision * mean).mT + (precision * mean.square()).sum(1)
    return -0.5 * (squared + log_variance.sum(1))


def _log_mean(log_q: Float[Tensor, "m n"], member: Bool[Tensor, "n k"]) -> Float[Tensor, "m k"]:
    """log of the mean density of each group."""
    columns = [log_q[:, group].logsumexp(1) - math.log(int(group.sum())) for group in member.unbind(1)]
    return torch.stack(columns, 1)


def _check(mean: Tensor, log_variance: Tensor, y: Tensor) -> None:
    if mean.shape != log_variance.shape or mean.shape[:1] != y.shape:
        raise ValueError(
            f"expected mean, log variance and label of each datum, got shapes {tuple(mean.shape)}, "
            f"{tuple(log_variance.shape)} and {tuple(y.shape)}"
        )
    if not (mean.isfinite().all() and log_variance.isfinite().all()):
        raise ValueError("expected finite means and log variances, got NaN or infinity")
    counts = y.unique(return_counts=True)[1]
    if len(counts) < 2 or counts.min() < 2:
        raise ValueError(f"expected two classes or more with two data or more each, got counts {counts.tolist()}")
