"""Monotonicity: does an attribute rise along a direction?

Along a direction an attribute is monotone if its ranks follow the steps: Spearman's correlation of each path is 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from latentry.evaluation.estimates import median_estimate
from latentry.evaluation.probes import check_codes
from latentry.evaluation.proportions import Share, share
from latentry.holding import Condition, as_condition, called, evaluated
from latentry.interfaces import Generator
from latentry.numerics.interval import Interval

__all__ = ["Monotonicity", "monotonicity"]


@dataclass(frozen=True)
class Monotonicity:
    """Whether an attribute rises along a direction.

    Example:
        >>> found = monotonicity(torch.exp, lambda x: -x[:, 0], torch.zeros(3, 2), torch.tensor([1.0, 0.0]))
        >>> found.spearman
        tensor([-1., -1., -1.], dtype=torch.float64)
    """

    spearman: Float[Tensor, "n"]
    """Rank correlation of attribute and step along the path of each code, in [-1, 1]; 0 where it does not move at all."""
    median: Interval
    """Median of them over the codes."""
    rising: Share
    """Share of paths on which each step raises the attribute."""
    unmoved: Share
    """Share of paths on which it stays what it is."""
    values: Float[Tensor, "n t"]
    """The attribute along each path."""


def monotonicity(
    generator: Generator,
    attribute: Callable[[Any], Tensor],
    z: Float[Tensor, "n d"],
    direction: Float[Tensor, "d"] | Float[Tensor, "n d"],
    *,
    condition: Condition | None = None,
    distances: Float[Tensor, "t"] | None = None,
    level: float = 0.95,
) -> Monotonicity:
    """Follow an attribute of generated data along a direction from each code.

    Reference: Spearman, 1904; the interval of the median by order statistics, exact for independent codes.

    Args:
        generator: Any callable z -> x, or (z, condition) -> x; modules behind it are held in eval mode meanwhile, as those
            behind `attribute`.
        attribute: Measure from data to one number a datum, `(n,)`.
        z: Codes that the paths go through.
        direction: One direction for all, or one for each code; distances are multiples of it as it is.
        condition: What a conditional generator takes along with codes, one row for each path.
        distances: Increasing steps along it; None for 13 from -3 to 3.
        level: Level of the intervals.

    Raises:
        ValueError: The direction does not fit the codes, is zero or not finite, there are fewer than two increasing
            distances, or the attribute returns another shape or NaN.

    Example:
        >>> z = torch.zeros(3, 2)
        >>> found = monotonicity(lambda z: z.exp(), lambda x: x[:, 0], z, torch.tensor([1.0, 0.0]))
        >>> found.median.value, found.rising.value
        (1.0, 1.0)
    """
    check_codes(z)
    steps = torch.linspace(-3, 3, 13, dtype=torch.float64) if distances is None else distances
    if len(steps) < 2 or not (steps.diff() > 0).all():
        raise ValueError(f"expected two or more increasing distances, got {steps.tolist()}")
    fits = direction.shape in (z.shape, z.shape[1:])
    if not fits or not direction.isfinite().all() or not direction.ne(0).any(-1).all():
        raise ValueError(
            f"expected finite directions other than 0, of shape {tuple(z.shape[1:])} or {tuple(z.shape)}, "
            f"got shape {tuple(direction.shape)}"
        )
    condition = as_condition(condition, len(z))
    with evaluated(generator, attribute) as (generator, attribute), torch.no_grad():
        columns = [attribute(called(generator, z + step * direction.to(z), condition)) for step in steps.to(z)]
    if any(column.shape != (len(z),) for column in columns):
        raise ValueError(f"expected one number for each of {len(z)} data from the attribute, got {tuple(columns[0].shape)}")
    values = torch.stack(columns, 1).detach().cpu().double()
    if not values.isfinite().all():
        raise ValueError("expected finite attributes along the path, got NaN or infinity; take shorter distances")
    spearman = _spearman(values)
    return Monotonicity(
        spearman=spearman,
        median=median_estimate(spearman, level, support=(-1.0, 1.0)),
        rising=share((values.diff(dim=1) > 0).all(1), level),
        unmoved=share((values.diff(dim=1) == 0).all(1), level),
        values=values,
    )


def _spearman(values: Float[Tensor, "n t"]) -> Float[Tensor, "n"]:
    """Correlation of the ranks in each row (ties share theirs) with 1 .. t."""
    ranks = torch.from_numpy(stats.rankdata(values.numpy(), axis=1)) - (values.shape[1] + 1) / 2
    order = torch.arange(values.shape[1], dtype=torch.float64) - (values.shape[1] - 1) / 2
    spread = (ranks.square().sum(1) * order.square().sum()).sqrt()
    return torch.where(spread > 0, ranks @ order / spread.clamp(min=1), 0)
