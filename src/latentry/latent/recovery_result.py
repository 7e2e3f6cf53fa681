"""The result of recovery for each datum, and how it is displayed."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from latentry.display import Facts, Plottable
from latentry.display import number as short
from latentry.holding import Condition
from latentry.names import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Recovery"]

_AGREE = 1e-2
"""Mean squared distance of codes, in units of the prior's variance, below which starts agree."""


@dataclass(frozen=True, repr=False)
class Recovery(Plottable):
    """What `recover_codes` found for each data point.

    Example:
        >>> import torch, latentry as lt
        >>> found = lt.recover_codes(lambda z: 2 * z, torch.ones(5, 3), lt.priors.Normal(3))
        >>> print(found)
        Recovery of 5 codes with 3 elements
          made again up to rounding (met)  5 of 5
        ...
        >>> found.z.shape, found.converged.sum()
        (torch.Size([5, 3]), tensor(5))
    """

    z: Float[Tensor, "n d"]
    """Recovered codes, of the best start each."""
    x_hat: Float[Tensor, "n *s"]
    """What the generator makes of them."""
    reconstruction_error: Float[Tensor, "n"]
    """Mean squared error of each reconstruction, over what is measured."""
    loss: Float[Tensor, "n"]
    """Loss of each code: difference to the data and weighted regularizer."""
    met: Bool[Tensor, "n"]
    """Whether the code makes the data, up to rounding."""
    converged: Bool[Tensor, "n"]
    """Whether nothing more is to be gained near the code: the data are met, or the gradient of the loss is small
    (`Objective.is_stationary`); False where the steps ran out before, or a kink of the loss is in the way."""
    restart: Int[Tensor, "n"]
    """Which start was best."""
    restart_loss: Float[Tensor, "n r"]
    """Final loss of every start, of one given up the loss it had then; infinite where the generator returned NaN, or where a
    start was not needed."""
    disagreement: Float[Tensor, "n"]
    """Mean squared distance from the best code to those of other starts that did as well, in units of the prior's spread:
    near 0 where starts agree, so that the code is unique as far as they can tell; NaN where no other did as well."""
    undetermined: Float[Tensor, "n"]
    """Share of the prior's variance, 0 to 1, that the data leave open near the code, by the Jacobian there
    (`solvers.determination`): the mean squared code error to be expected, in units of the prior's variance. NaN where there
    is no Jacobian, or `determination` is off."""
    evaluations: Int[Tensor, "n"]
    """Cost of each data point over all its starts: 1 for a forward pass or a column of a Jacobian, 2 for a gradient."""
    seconds: Float[Tensor, "n"]
    """Time of each data point over all its starts: its share in that of the batches it was in."""
    regularizer: str | None
    """What kept codes near the prior, as it prints; None where codes were free."""
    weight: float
    """What the regularizer was multiplied with at the end, w v; 0 without one."""
    condition: Condition | None = None
    """The condition of each code; None where the generator takes none."""

    def _facts(self) -> Facts:
        n, d = self.z.shape
        met = int(self.met.sum())
        error = self.reconstruction_error.double().nan_to_num(nan=math.inf)
        compared = self.disagreement[~self.disagreement.isnan()]
        agree = (
            f"{int((compared < _AGREE).sum())} of {len(compared)} with a second start as good"
            if len(compared)
            else "unknown, no second start was as good"
        )
        known = self.undetermined[~self.undetermined.isnan()].double()
        left_open = f"{short(known.mean().item(), 2)} on average" if len(known) else "not known"
        left = {n: "", 0: " What is kept is the nearest that was found."}.get(
            met, " For the others, what is kept is the nearest that was found."
        )
        made = f"The generator makes {'none' if met == 0 else met} of these {n:,} data"
        if n == 1:
            made = "The generator makes this datum" if met else "The generator does not make this datum"
        return Facts(
            f"Recovery of {counted(n, 'code')} with {counted(d, 'element')}",
            (
                ("made again up to rounding (met)", f"{met} of {n}"),
                ("searches that converged", f"{int(self.converged.sum())} of {n}"),
                ("mean squared error", f"median {short(error.median().item())}, largest {short(error.max().item())}"),
                ("codes that a second start gives too", agree),
                ("prior's variance left open", left_open),
                ("regularizer", "none" if self.regularizer is None else f"{self.regularizer}, weight {short(self.weight)}"),
                (
                    "cost of one",
                    f"{short(round(self.evaluations.double().mean().item()))} evaluations of the generator, "
                    f"{short(self.seconds.mean().item(), 2)} s",
                ),
            ),
            f"{made} up to rounding.{left}",
        )

    def plot(self, x: Shaped[Tensor, "n *s"] | None = None) -> "Figure":
        """A matplotlib figure: what the generator makes of the codes, below the data if they are given; and the errors.

        Args:
            x: The data that were given to `recover_codes`.
        """
        from latentry.display.drawing import (
            Drawing,
            are_images,
            are_signals,
            draw_errors,
            draw_images,
            draw_signals,
            finished,
        )

        figure = Drawing(figsize=(6.4, 3.2), layout="constrained")
        originals = [] if x is None else [("given", x)]
        marks = ["met" if met else f"{error:.1g}" for met, error in zip(self.met, self.reconstruction_error, strict=True)]
        if are_images(self.x_hat):
            draw_images(figure, [*originals, ("recovered", self.x_hat)], marks)
        elif are_signals(self.x_hat) and (x is None or x.shape == self.x_hat.shape):
            draw_signals(figure, [*originals, ("recovered", self.x_hat)], marks)
        else:
            draw_errors(figure.subplots(), self.reconstruction_error, "mean squared error")
        return finished(figure)
