"""A prior that is looked at: its codes, and what its methods say where it has them."""

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from scipy import special
from torch import Tensor, nn
from torch.distributions import Distribution

from latentry.priors.adapters import as_prior, draw

__all__ = ["CODES", "LEVEL", "Absent", "PriorTrial", "threshold"]

CODES = 8192
"""Codes that are drawn."""
LEVEL = 1e-4
"""Chance that right codes break a promise, over all numbers of a row together."""


class Absent(Exception):  # noqa: N818 - no error, but a way to say so
    """The prior has no such method; the message is its name.

    Example:
        >>> str(Absent("cdf"))
        'cdf'
    """


@dataclass(frozen=True)
class PriorTrial:
    """A prior, and codes of it.

    Example:
        >>> from latentry.priors import Normal
        >>> trial = PriorTrial(Normal(3))
        >>> trial.z.shape, trial.z.dtype, trial.log_prob(trial.z).shape
        (torch.Size([8192, 3]), torch.float64, torch.Size([8192]))
    """

    original: Any

    @cached_property
    def known(self) -> Any:
        """With the methods of all priors, and in double precision where it is a module."""
        exact = deepcopy(self.original).double() if isinstance(self.original, nn.Module) else self.original
        return as_prior(exact)

    @cached_property
    def z(self) -> Tensor:
        """Many codes, in double precision."""
        z: Tensor = self.drawn((CODES,), 0).detach().double()
        return z

    @cached_property
    def device(self) -> torch.device:
        """Where it draws."""
        return draw(self.known, (0,)).device

    @cached_property
    def is_flat(self) -> bool:
        """Whether the codes lie in fewer dimensions than they have elements, as those of a Dirichlet distribution."""
        spread = self.z[1 : CODES // 4] - self.z[:1]
        return int(torch.linalg.matrix_rank(spread / spread.abs().amax(0).clamp(min=1e-300), rtol=1e-6)) < spread.shape[1]

    def drawn(self, shape: tuple[int, ...], seed: int | None) -> Tensor:
        """Codes, by a seed or by torch's own random numbers."""
        return draw(self.known, shape, None if seed is None else self.rng(seed))

    def rng(self, seed: int) -> torch.Generator:
        """A source of codes."""
        return torch.Generator(self.device).manual_seed(seed)

    def ask(self, name: str, *args: Any) -> Any:
        """What a method gives.

        Raises:
            Absent: There is none, or it says that there is none.
        """
        method = getattr(self.known, name, None) or getattr(self.original, name, None)
        if method is None:
            raise Absent(name)
        try:
            return method(*args)
        except NotImplementedError:
            raise Absent(name) from None
        except ValueError:
            if str(getattr(method, "__module__", "")).startswith("latentry."):  # ours say so for what they have not
                raise Absent(name) from None
            raise

    def log_prob(self, z: Tensor) -> Tensor:
        """Log densities."""
        density: Tensor = self.ask("log_prob", z)
        return density

    def distribution(self) -> Any:
        """What `torch.distributions` knows of it.

        Raises:
            Absent: Nothing.
        """
        for made in (self.known, self.original):
            if isinstance(made, Distribution):
                return made
            try:
                found = made() if callable(made) else None
            except Exception:
                continue
            if isinstance(found, Distribution):
                return found
        raise Absent("distribution")


def threshold(count: int) -> float:
    """Deviation that the largest of so many normal numbers exceeds at the level of a row.

    Example:
        >>> round(threshold(1), 2)
        3.89
    """
    return float(-special.ndtri(LEVEL / (2 * count)))
