"""From recoveries of known codes to rows, curves and sentences: arithmetic only.

A code is *found* when its mean squared error is below 1e-2 in units of the prior's variance. Where the Jacobian of the
generator at the true code has singular values below 1e-3 of the largest, the data do not determine the code in those
directions; then the error is also taken in the others alone, the identifiable subspace, per dimension of it.

The cost of a code is counted in forward passes of the generator: 1 for one of them or a column of a Jacobian, 2 for a
gradient; starts that failed count. A start that makes the data ends the search, so that the share found at a cost of c or
less is what a budget of c buys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from latentry.evaluation.codes import GoodnessOfFit
from latentry.evaluation.proportions import Share, share
from latentry.latent.solvers.jacobian import jacobian, jacobian_mode
from latentry.reports.recoveries import FOUND
from latentry.reports.tables import Table

__all__ = [
    "BUDGETS",
    "KnownRow",
    "code_errors",
    "found_curve",
    "known_row",
    "known_table",
    "known_verdict",
    "short_known_table",
]

BUDGETS = (2500, 10_000)
"""Costs of a code at which the share found is reported."""
IDENTIFIABLE = 1e-3
"""Least singular value of the Jacobian, relative to the largest, of a direction that the data determine."""


@dataclass(frozen=True)
class KnownRow:
    """One way of recovering, for one generator."""

    found: Share
    """Share of codes that were found, at whatever cost."""
    identifiable: Share
    """The same, by the error in the identifiable subspace."""
    within: tuple[Share, ...]
    """Share that was found for each of `BUDGETS`."""
    rank: tuple[int, int]
    """Least and greatest dimension of the identifiable subspace."""
    evaluations: tuple[float, float, float]
    """Mean, 90 % quantile and greatest cost of a code."""
    passes: bool
    """Whether the recovered codes, found or not, pass the goodness-of-fit report."""
    verdict: str
    """What the report says."""

    def numbers(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def code_errors(
    generator: Any, z: Float[Tensor, "n d"], z_hat: Float[Tensor, "n d"], variance: float
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"], Int[Tensor, "n"]]:
    """Mean squared errors in units of the variance, the same in the identifiable subspace, and its dimension.

    Args:
        generator: z -> x, held still by the caller.
        z: True codes.
        z_hat: Recovered ones.
        variance: Of a coordinate of the prior.
    """

    def flat(codes: Tensor) -> Tensor:
        return generator(codes).flatten(1)

    mode = jacobian_mode(flat, z[:1])
    moved = (z_hat - z).double()
    errors, ranks = [], []
    for code, move in zip(z.split(1), moved, strict=True):
        columns = jacobian(flat, code, mode)[1][0].detach().double()
        squares, directions = torch.linalg.eigh(columns @ columns.mT)
        kept = squares >= IDENTIFIABLE**2 * squares[-1]
        errors.append((move @ directions[:, kept]).square().mean() / variance)
        ranks.append(int(kept.sum()))
    return (moved.square().mean(1) / variance).float(), torch.stack(errors).float(), torch.tensor(ranks)


def known_row(results: Sequence[Mapping[str, Any]], fit: GoodnessOfFit) -> KnownRow:
    """One row from the results of all chunks, and the report on all their codes."""

    def joined(name: str) -> Tensor:
        return torch.tensor([value for result in results for value in result[name]], dtype=torch.float64)

    found, cost = joined("code_error") < FOUND, joined("evaluations")
    ranks = joined("rank")
    return KnownRow(
        found=share(found),
        identifiable=share(joined("identifiable_error") < FOUND),
        within=tuple(share(found & (cost <= budget)) for budget in BUDGETS),
        rank=(int(ranks.min()), int(ranks.max())),
        evaluations=(cost.mean().item(), cost.quantile(0.9).item(), cost.max().item()),
        passes=fit.passes,
        verdict=fit.verdict,
    )


def found_curve(results: Sequence[Mapping[str, Any]]) -> tuple[list[float], int]:
    """What each found code cost, and how many codes there were."""
    pairs = [pair for result in results for pair in zip(result["evaluations"], result["code_error"], strict=True)]
    return sorted(float(cost) for cost, error in pairs if error < FOUND), len(pairs)


def known_table(generator: str, found: Mapping[str, KnownRow]) -> Table:
    """One row for each way of recovering."""
    columns = (
        "method", "codes", "found, %", "identifiable, %", "dimension", *(f"within {budget}, %" for budget in BUDGETS),
        "evaluations", "90 %", "most", "fit",
    )  # fmt: skip
    body = tuple(
        (
            name,
            str(row.found.trials),
            _percent(row.found),
            _percent(row.identifiable),
            f"{row.rank[0]}" if row.rank[0] == row.rank[1] else f"{row.rank[0]} to {row.rank[1]}",
            *(_percent(within) for within in row.within),
            *(f"{value:.0f}" for value in row.evaluations),
            "passes" if row.passes else "fails",
        )
        for name, row in found.items()
    )
    return Table(f"Known codes of {generator}", columns, body, _NOTE)


_NOTE = (
    "Found: mean squared code error below 0.01 of the prior's variance, with 95 % Wilson interval. Identifiable: the same "
    "error in the directions whose singular value of the Jacobian is at least 0.001 of the largest, whose number is the "
    "dimension. Within: found at no more than so many evaluations, 1 for a forward pass or a column of a Jacobian, 2 for a "
    "gradient; starts that failed count, the training of a learned start does not. Evaluations: mean, 90 % quantile and "
    "most of a code. Fit: the report on all recovered codes."
)


def short_known_table(generator: str, found: Mapping[str, KnownRow]) -> Table:
    """The same for a console: shares without intervals."""
    columns = ("method", "codes", "found", *(f"in {budget}" for budget in BUDGETS), "evaluations", "fit")
    body = tuple(
        (
            name,
            str(row.found.trials),
            f"{row.found.value:.1%}",
            *(f"{within.value:.1%}" for within in row.within),
            f"{row.evaluations[0]:.0f}",
            "passes" if row.passes else "fails",
        )
        for name, row in found.items()
    )
    note = "Found: code error below 0.01. In: found at no more than so many evaluations of the generator. Evaluations: mean."
    return Table(f"Known codes of {generator}", columns, body, note)


def _percent(of: Share) -> str:
    return f"{100 * of.value:.1f} [{100 * of.low:.1f}, {100 * of.high:.1f}]"


def known_verdict(generator: str, found: Mapping[str, KnownRow]) -> str:
    """The shares found within the budgets by the methods that find any, and who finds none."""
    told = [
        f"{name} finds {row.found.value:.1%} of the codes, {row.within[0].value:.1%} within {BUDGETS[0]:,} evaluations and "
        f"{row.within[1].value:.1%} within {BUDGETS[1]:,}"
        for name, row in found.items()
        if row.found.value > 0
    ]
    none = [name for name, row in found.items() if row.found.value == 0]
    told += [f"None is found by {'; '.join(none)}"] if none else []
    return f"{generator}: {'. '.join(told)}."
