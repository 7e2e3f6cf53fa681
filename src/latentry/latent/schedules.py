r"""Schedules: weights of the regularizer that change during recovery.

With a large weight of the regularizer the loss has one minimum, near the centre of the prior. As the weight decreases, this
minimum moves to a minimum of the loss without regularizer. Following it is a homotopy (continuation) method. A weight that
decreases geometrically spends equally many steps on each order of magnitude:

.. math:: w(s) = w_0^{1 - t} \, w_1^t, \qquad t = \min(s / s_1, 1),

with s the share of the steps that are done, and :math:`s_1` the share (`over`) after which the weight stays at :math:`w_1`.

Reference: Allgower and Georg, "Numerical continuation methods", 1990.
"""

import math
from dataclasses import dataclass

from latentry.numerics.inputs import check_fields

__all__ = ["Annealed"]


@dataclass(frozen=True)
class Annealed:
    """A weight that changes geometrically from `start` to `end` and then stays. Pass it as `weight` of `recover_codes`.

    Raises:
        ValueError: A weight is not above 0, or `over` is not in (0, 1].

    Example:
        >>> import latentry as lt
        >>> weight = lt.regularizers.Annealed(1.0, 0.01)
        >>> [round(weight(share), 3) for share in (0.0, 0.5, 1.0)]
        [1.0, 0.1, 0.01]
    """

    start: float
    """Weight in the first step, above 0."""
    end: float
    """Weight after the share `over` of the steps, above 0."""
    over: float = 1.0
    """Share of the steps in which the weight changes, in (0, 1]."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not (0 < self.start < math.inf and 0 < self.end < math.inf):
            raise ValueError(
                f"expected finite weights above 0, got {self.start} and {self.end}; for no weight, end at 1e-12"
            )
        if not 0 < self.over <= 1:
            raise ValueError(f"expected over in (0, 1], a share of the steps, got {self.over}; 1 is the whole run")

    def __call__(self, share: float) -> float:
        """The weight after this share, in [0, 1], of the steps."""
        t = min(share / self.over, 1.0)
        return self.start ** (1 - t) * self.end**t
