"""What `latentry recover` found, in numbers, sentences, tables and pictures."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from latentry.data.recovered import load_codes, read_codes, shard_paths
from latentry.evaluation.codes import goodness_of_fit
from latentry.evaluation.fit_report import GoodnessOfFit
from latentry.evaluation.proportions import Share, share
from latentry.holding import evaluated, weights_like
from latentry.latent.known_codes import FOUND, code_errors
from latentry.names import counted
from latentry.numerics.ranks import conformal_p_value
from latentry.priors import SavedPrior
from latentry.reports.figures import fit_figure
from latentry.reports.page import Picture, sheet, write_page
from latentry.reports.tables import Table
from latentry.tasks.evaluation_classifier import beside_doubts

__all__ = ["RECORDED", "SelfCheck", "RecoverySummary", "self_check", "recovery_summary", "write_report"]

SHOWN = 24
"""Images with a row and a picture of their own on the page."""
RECORDED = 1000
"""Images with a row of their own in `results.json`; all are in the shards."""

_ACROSS = 14
_TESTED = 2**23
"""Most elements of codes that the goodness-of-fit report looks at together, in about a gigabyte."""
_NUMBERS = ("reconstruction_error", "met", "converged", "p_value", "disagreement", "undetermined", "evaluations")
_LEVEL = 0.05
_FEWEST_OWN = 19
"""Own images below which no p-value could be 0.05."""
_NOTE = (
    "Pixel MSE: images in [-1, 1], other data in their own units. Met: the image is made up to rounding. Converged: met, or "
    "the gradient of the loss is small. P-value: small where the code's elements are unlike the prior's. Starts agree: all "
    "that did as well found this code, so that it is the only one as far as they can tell; blank where no other did as "
    "well. Left open: share of the prior's variance that the image does not determine near the code. Cost: passes of the "
    "generator."
)
_OWN_NOTE = (
    " Own p: chance that an image of the generator's own is recovered as badly; small for images that it did not make, "
    "unless they are very plain ones."
)


@dataclass(frozen=True)
class SelfCheck:
    """Recovery of the generator's own images, whose codes are known."""

    found: Share
    """Known codes that were found: mean squared error below 0.01 of the prior's variance."""
    met: Share
    """Own images that were made up to rounding."""
    code_error: Float[Tensor, "n"]
    """Mean squared error of each code over the prior's variance."""
    reconstruction_error: Float[Tensor, "n"]
    """Mean squared error of each image."""
    evaluations: float
    """Mean cost."""

    @property
    def sentences(self) -> tuple[str, str]:
        """What was found, and what to expect of other images."""
        return (
            f"Self-check: of {counted(self.found.trials, 'image')} of the generator's own, treated as yours are, "
            f"{_percent(self.met)} were met and {_percent(self.found)} of their known codes found.",
            f"Of images that this generator can make, expect the true code to be found for {_percent(self.found)}. One of "
            "yours that is not met is an image that it cannot make, or among the rest.",
        )

    def numbers(self) -> dict[str, Any]:
        """The same, and more, as JSON holds it."""
        return {
            "found": vars(self.found),
            "met": vars(self.met),
            "code_error_median": _number(self.code_error.nanmedian().item()),
            "reconstruction_error_median": _number(self.reconstruction_error.nanmedian().item()),
            "evaluations": self.evaluations,
        }


def self_check(folder: Path, z: Float[Tensor, "n d"], prior: SavedPrior) -> SelfCheck:
    """The recovered codes of own images, compared with the true ones."""
    recovered = load_codes(folder)
    error = code_errors(recovered.z, z, prior)
    return SelfCheck(
        share(error < FOUND),
        share(recovered.met),
        error,
        recovered.reconstruction_error,
        recovered.evaluations.double().mean().item(),
    )


@dataclass(frozen=True)
class RecoverySummary:
    """The codes of all images, summed up."""

    numbers: dict[str, Tensor]
    """What is known of each code, `(n,)`."""
    names: tuple[str, ...]
    """Where the first images came from."""
    first: Float[Tensor, "k d"]
    """The first codes, for pictures."""
    tested: Float[Tensor, "m d"]
    """The codes that `fit` is about: all of them, or an even sample where they are too many."""
    fit: GoodnessOfFit
    """How well they fit the prior together."""
    check: SelfCheck | None
    """Recovery of the generator's own images."""
    own_p_value: Float[Tensor, "n"] | None
    """Chance that an own image has as large an error; None without enough own images."""
    seconds: float | None = None
    """Time of an image in this run; None where part was there before. No part of the records, the same each time."""
    doubts: tuple[str, ...] = ()
    """Why the verdict on the codes says nothing of the images; none where it does."""

    @property
    def count(self) -> int:
        return len(self.numbers["met"])

    @property
    def shares(self) -> dict[str, Share]:
        """How often recovery succeeded, by what is meant with it."""
        numbers = self.numbers
        among = {
            "met": numbers["met"],
            "converged": numbers["converged"],
            "p-value of the code above 0.05": numbers["p_value"] > _LEVEL,
        }
        compared = numbers["disagreement"][~numbers["disagreement"].isnan()]
        if len(compared):
            among["starts agree"] = compared < FOUND
        if self.own_p_value is not None:
            among["own p-value below 0.05"] = self.own_p_value < _LEVEL
        return {name: share(successes) for name, successes in among.items()}

    @property
    def sentences(self) -> list[str]:
        """The self-check and the verdict."""
        few = "" if len(self.tested) == self.count else f" (An even sample of {len(self.tested):,} codes was looked at.)"
        verdict = beside_doubts(self.fit.verdict + few, self.doubts)
        return [*(() if self.check is None else self.check.sentences), verdict]

    def records(self) -> list[dict[str, Any]]:
        """One row for each of the first images, as JSON holds it."""
        return list(self._rows(RECORDED))

    def summary(self) -> dict[str, Any]:
        """All the other numbers, as JSON holds them."""
        return {
            "count": self.count,
            "success": {name: vars(value) for name, value in self.shares.items()},
            "evaluations": self.numbers["evaluations"].double().mean().item(),
            "undetermined": _number(self.numbers["undetermined"].double().nanmean().item()),
            "reconstruction_error": _number(self.numbers["reconstruction_error"].nanmean().item()),
            "self_check": None if self.check is None else self.check.numbers(),
            "codes_tested": len(self.tested),
            "ks": self.fit.statistic,
            "p_value": self.fit.p_value,
            "uniformity_p_value": self.fit.uniformity_p_value,
            "passes": self.fit.passes and not self.doubts,
            "doubts": list(self.doubts),
            "verdict": self.fit.verdict,
        }

    def table(self) -> Table:
        """The first images."""
        own = self.own_p_value is not None
        columns = (
            *("image", "pixel MSE", "met", "converged", "p-value", "starts agree", "left open"),
            *(("own p",) if own else ()),
            "cost",
        )
        cells = tuple(
            (
                row["image"],
                _short(row["reconstruction_error"]),
                _yes(row["met"]),
                _yes(row["converged"]),
                _short(row["p_value"]),
                "" if row["disagreement"] is None else _yes(row["disagreement"] < FOUND),
                _short(row["undetermined"]),
                *((_short(row["own_p_value"]),) if own else ()),
                f"{row['evaluations']:,}",
            )
            for row in self._rows(SHOWN)
        )
        title = counted(self.count, "recovered code") + ("" if self.count <= SHOWN else f", the first {SHOWN}")
        return Table(title, columns, cells, _NOTE + (_OWN_NOTE if own else ""))

    def success_table(self) -> Table:
        """The shares."""
        rows = [(name, _percent(value)) for name, value in self.shares.items()]
        if self.check is not None:
            rows += [("own images met", _percent(self.check.met)), ("own codes found", _percent(self.check.found))]
        left_open = self.numbers["undetermined"].double().nanmean().item()
        if math.isfinite(left_open):
            rows.append(("prior's variance left open", f"{100 * left_open:.2g} %"))
        cost = f"{self.numbers['evaluations'].double().mean().item():,.0f} passes"
        rows.append(("cost of a code", cost if self.seconds is None else f"{cost}, {self.seconds:.2g} s"))
        return Table("Success", ("what", "share of codes"), tuple(rows), "With 95 % Wilson intervals.")

    def _rows(self, count: int) -> Iterator[dict[str, Any]]:
        columns = {name: values[:count].tolist() for name, values in self.numbers.items()}
        if self.own_p_value is not None:
            columns["own_p_value"] = self.own_p_value[:count].tolist()
        for row, image in enumerate(self.names[:count]):
            yield {"image": image, **{name: _number(values[row]) for name, values in columns.items()}}


def recovery_summary(folder: Path, count: int, prior: SavedPrior, check: SelfCheck | None) -> RecoverySummary:
    """Read the shards of so many codes one after another and sum them up.

    Raises:
        ArithmeticError: The generator gave NaN from every start of every image.
    """
    numbers: dict[str, list[Tensor]] = {name: [] for name in _NUMBERS}
    names: list[str] = []
    first, tested = [], []
    stride = -(-count * prior.latent_dim // _TESTED)
    seen = 0
    for path in shard_paths(folder):
        codes = read_codes(path)
        for name, parts in numbers.items():
            parts.append(getattr(codes, name))
        names += codes.names[: RECORDED - seen] if seen < RECORDED else ()
        first += [codes.z[: SHOWN - seen]] if seen < SHOWN else []
        tested.append(codes.z[-seen % stride :: stride])
        seen += len(codes)
    joined = {name: torch.cat(parts) for name, parts in numbers.items()}
    z = torch.cat(tested)
    z = z[z.isfinite().all(1)]
    if len(z) == 0:
        raise ArithmeticError(
            "the generator gave NaN from every start of every image; give other starts with another --seed"
        )
    own_p_value = None
    if check is not None and len(check.reconstruction_error) >= _FEWEST_OWN:
        errors = (joined["reconstruction_error"], check.reconstruction_error)
        own_p_value = conformal_p_value(*(error.nan_to_num(nan=math.inf) for error in errors))
    fit = goodness_of_fit(z, prior, rng=torch.Generator().manual_seed(0))
    return RecoverySummary(joined, tuple(names), torch.cat(first), z, fit, check, own_p_value)


def write_report(
    path: Path,
    found: RecoverySummary,
    x: Float[Tensor, "k *s"],
    generator: nn.Module,
    prior: SavedPrior,
    facts: Sequence[tuple[str, str]],
) -> None:
    """Write the page; `x` has the first images for display, one for each of the first codes."""
    device = weights_like(generator, torch.empty(0)).device
    with evaluated(generator), torch.no_grad():
        x_hat = generator(found.first.to(device)).cpu()
    errors = found.numbers["reconstruction_error"][:_ACROSS].tolist()
    marks = ["met" if met else _short(e) for met, e in zip(found.numbers["met"][:_ACROSS].tolist(), errors, strict=True)]
    rows = [("original", x[:_ACROSS]), ("made again", x_hat[:_ACROSS])]
    caption = "Below each image what the generator makes of its code; above it the mean squared error, or that it is met."
    blocks: list[Table | Picture] = [
        sheet("Images and what was recovered", rows, marks, caption),
        found.success_table(),
        found.table(),
        Picture("Codes against the prior", fit_figure(found.tested, prior, found.fit), found.fit.verdict),
    ]
    write_page(path, "Recovered codes", found.sentences, blocks, facts)


def _number(value: float | int | bool) -> float | int | bool | None:
    """A number as JSON holds it; None for NaN and infinity, which it has not."""
    return value if math.isfinite(value) else None


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _percent(share: Share) -> str:
    return f"{100 * share.value:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]"
