r"""Codes as a density can be fitted to them: rows `(n, d)`, finite, without copies, constants and ties.

*Copies.* Equal codes of several elements count once: else a copy in the codes kept back would be a code that the fit has
seen.

*Discrete values.* A coordinate with fewer values than half the codes is spread: each value evenly between the middles to its
neighbours (uniform dequantisation, Theis, van den Oord, Bethge, 2016). A coordinate with one value for many codes and other
values for the rest, such as the zeros of a rectified unit, has no density, and is refused.

*Constant coordinates* get normal noise of a thousandth of the typical standard deviation, in the codes and so in the prior.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["PreparedCodes", "prepared"]

FEWEST = 40
"""Codes that can be split into a part to fit, a part to choose and a part to judge."""
_CONSTANT = 1e-7
"""Standard deviation of a constant coordinate at most, in units of its size and of the typical one."""
_OF_CONSTANT = 1e-3
_FEW_VALUES = 0.5
_ATOM, _FEWEST_IN_ATOM = 0.02, 10


@dataclass(frozen=True)
class PreparedCodes:
    """Codes that a density can be fitted to, and what was done to them.

    Example:
        >>> found = prepared(torch.arange(100.0).view(50, 2).repeat(2, 1), torch.Generator().manual_seed(0))
        >>> found.z.shape, found.copies
        (torch.Size([50, 2]), 50)
    """

    z: Float[Tensor, "n d"]
    """Codes in double precision."""
    copies: int
    """Codes that were left out, since they are equal to others."""
    constant: tuple[int, ...]
    """Coordinates that were constant."""
    discrete: tuple[int, ...]
    """Coordinates with few values, which were spread."""


def prepared(z: Float[Tensor, "n d"], rng: torch.Generator) -> PreparedCodes:
    """Codes without copies, constants and ties.

    Args:
        z: Codes.
        rng: Source of the noise.

    Raises:
        ValueError: There are too few codes, all are equal, or a coordinate has one value for many codes alone.
    """
    z = z.detach().cpu().double()
    once = z[_first_rows(z)] if z.shape[1] > 1 else z
    if len(once) < FEWEST or _few_values(once):
        once = z  # equal because they have few values
    if len(once) < FEWEST:
        raise ValueError(f"expected at least {FEWEST} codes, got {len(z)}; encode more data")
    deviation = once.std(0, correction=0)
    typical = deviation[deviation > 0].median() if (deviation > 0).any() else deviation.new_tensor(0.0)
    constant = deviation <= _CONSTANT * torch.maximum(typical, once.abs().amax(0))
    if constant.all():
        raise ValueError(f"expected codes that vary, got {len(z)} that are all equal; check the encoder")
    discrete = [j for j in _few_values(once) if not constant[j]]
    _refuse_atoms(once, [j for j in range(z.shape[1]) if not constant[j] and j not in discrete])
    spread = once.clone()
    for j in discrete:
        spread[:, j] = _spread(once[:, j], torch.rand(len(once), generator=rng, dtype=torch.float64))
    noise = torch.randn(once.shape, generator=rng, dtype=torch.float64)
    spread = torch.where(constant, once.mean(0) + _OF_CONSTANT * deviation[~constant].median() * noise, spread)
    return PreparedCodes(spread, len(z) - len(once), tuple(constant.nonzero().flatten().tolist()), tuple(discrete))


def _first_rows(z: Float[Tensor, "n d"]) -> Tensor:
    """Places of the first of equal rows, in order."""
    _, inverse = z.unique(dim=0, return_inverse=True)
    first = torch.full((int(inverse.max()) + 1,), len(z), dtype=torch.int64)
    return first.scatter_reduce(0, inverse, torch.arange(len(z)), "amin").sort().values


def _few_values(z: Float[Tensor, "n d"]) -> list[int]:
    """Coordinates with fewer values than half the codes."""
    steps = z.sort(dim=0).values.diff(dim=0)
    return ((steps > 0).sum(0) + 1 < _FEW_VALUES * len(z)).nonzero().flatten().tolist()


def _refuse_atoms(z: Float[Tensor, "n d"], coordinates: list[int]) -> None:
    values = z[:, coordinates].mode(dim=0).values
    counts = (z[:, coordinates] == values).sum(0)
    for j, value, count in zip(coordinates, values.tolist(), counts.tolist(), strict=True):
        if count >= max(_FEWEST_IN_ATOM, _ATOM * len(z)):
            raise ValueError(
                f"expected codes with a density, got {value:g} as coordinate {j} of {count} of {len(z)} codes and other "
                "values for the rest; take codes before a rectified unit, or add noise to them"
            )


def _spread(x: Float[Tensor, "n"], place: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Each value moved to a place between the middles to its neighbours; the outer ones as far out as in."""
    values, inverse = x.unique(return_inverse=True)
    gaps = values.diff()
    below, above = torch.cat([gaps[:1], gaps]) / 2, torch.cat([gaps, gaps[-1:]]) / 2
    return x - below[inverse] + place * (below + above)[inverse]
