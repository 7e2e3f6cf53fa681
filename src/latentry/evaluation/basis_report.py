"""The report of a basis: which labels its rows show, how they rank labels, and the same for random rows."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from latentry.display import Described, Facts, Plottable, interval, number, percent
from latentry.evaluation.proportions import Share
from latentry.evaluation.subspace import SubspaceCapture
from latentry.numerics.interval import Interval

__all__ = ["BasisNull", "BasisReport", "LabelMap", "LabelRanks", "SpectralCalibration"]


@dataclass(frozen=True, repr=False)
class LabelMap(Described):
    """What decoded vectors show.

    Example:
        >>> import torch
        >>> from latentry.evaluation.basis import label_map
        >>> label_map(torch.eye(2), lambda z: 5 * z).probability.round(decimals=2)
        tensor([0.9900, 0.9900], dtype=torch.float64)
    """

    label: Int[Tensor, "m"]
    """Label of each."""
    probability: Float[Tensor, "m"]
    """Probability that the classifier gives to it."""
    pull: Float[Tensor, "m"] | None
    """Share of samples of the prior that take this label when the vector is added; None without samples."""


@dataclass(frozen=True, repr=False)
class LabelRanks(Described):
    """Where the true label stands among the coefficients of codes.

    Example:
        >>> import torch
        >>> from latentry.evaluation.basis import rank_shares
        >>> c = torch.tensor([[0.1, 3.0, 2.0], [4.0, 0.0, -1.0]])
        >>> rank_shares(c, torch.tensor([2, 0]), signed=True, num_labels=3).rank
        tensor([2, 1])
    """

    rank: Int[Tensor, "n"]
    """Rank of the true label's coefficient among all m; 1 is the largest."""
    first: Share
    """Share of codes at rank one."""
    top_three: Share
    """Share of codes at rank three or better."""
    first_by_label: tuple[Share | None, ...]
    """Share at rank one among the codes of each label; None for a label without codes."""


@dataclass(frozen=True)
class BasisNull:
    """The same numbers for random orthonormal rows of the same length: mean, and band of the middle 95 % (at that level)."""

    mapped: Interval
    """Share of the k first rows that show the label of their place."""
    distinct: Interval
    """Share of the labels that any of the k first rows shows."""
    probability: Interval
    """Mean probability of the label that a row shows."""
    signed_first: Interval
    """Share of codes whose true label has rank one."""
    absolute_first: Interval
    """The same by absolute value."""
    energy: Interval
    """Share of the codes' energy in the span of k rows."""
    draws: int
    """Random bases that were drawn."""


@dataclass(frozen=True)
class SpectralCalibration:
    """The classifier whose logits are the label coefficients, on the half of the codes that did not fit its temperature."""

    accuracy: Share
    """Share of codes whose largest label coefficient is that of their label."""
    temperature: float
    """t, in units of the coefficients."""
    error: float
    """Expected calibration error, in [0, 1]."""


@dataclass(frozen=True, repr=False)
class BasisReport(Plottable):
    """Whether the directions of a basis do what their names say; fields of a kind stand beside their null."""

    num_labels: int
    """k: the first rows, named after labels 0 .. k - 1."""
    plus: LabelMap
    """What :math:`+\\xi_i` shows, for all m rows."""
    minus: LabelMap
    """What :math:`-\\xi_i` shows."""
    mapped: Share
    """Share of labelled rows that show their label."""
    mapped_reversed: Share
    """Share of labelled rows whose negative shows their label: what the absolute value takes for granted."""
    distinct: float
    """Share of the labels that any labelled row shows."""
    probability: float
    """Mean probability of the label that a labelled row shows."""
    complement_mapped: Share | None
    """Share of the other rows i that show label i mod k, as the paper's order has it; None where there are no others."""
    complement_probability: float | None
    """Mean probability of the label that one of the other rows shows."""
    signed: LabelRanks
    """Ranks among signed coefficients."""
    absolute: LabelRanks
    """Ranks among absolute coefficients."""
    calibration: SpectralCalibration
    """The spectral classifier."""
    energy: Interval
    """Share of the codes' energy in the span of the labelled rows."""
    capture: SubspaceCapture
    """Variance and label information in that span."""
    null: BasisNull
    """What random rows reach."""
    condition_number: float
    """Largest singular value of the rows over the least; infinite where they are dependent."""
    overlap: float
    """Largest absolute cosine between two rows: 0 where they are orthogonal."""
    alignment: Float[Tensor, "k"] | None
    """Cosine between each labelled row and the mean of its label; None without means."""

    @property
    def one_to_one(self) -> bool:
        """Whether each labelled row shows its own label."""
        return self.mapped.value == 1

    def _facts(self) -> Facts:
        m, k = len(self.plus.label), self.num_labels

        def beside(found: Interval, null: Interval) -> str:
            return f"{interval(found)}, of random vectors {number(null.value)}"

        return Facts(
            f"Basis of {m} vectors, {k} of which bear labels",
            (
                ("vectors that show their label", beside(self.mapped, self.null.mapped)),
                ("codes with their label at rank one", beside(self.signed.first, self.null.signed_first)),
                ("the same by absolute value", beside(self.absolute.first, self.null.absolute_first)),
                ("energy in the labelled vectors", beside(self.energy, self.null.energy)),
                ("label right by these alone", str(self.calibration.accuracy)),
                ("condition number", number(self.condition_number)),
                ("largest cosine of two vectors", number(self.overlap)),
            ),
            f"{round(self.mapped.value * k)} of {k} labels have a vector that shows them when it is decoded, and "
            f"{percent(self.signed.first.value)} of fresh codes have their own label as the largest of {m} coefficients.",
        )

    def _draw(self, figure: Any) -> None:
        from latentry.display.drawing import ACCENT, draw_bars

        null = self.null
        pairs: dict[str, tuple[Interval, Interval]] = {
            "vectors that show their label": (self.mapped, null.mapped),
            "codes with their label at rank one": (self.signed.first, null.signed_first),
            "the same by absolute value": (self.absolute.first, null.absolute_first),
            "energy in the labelled vectors": (self.energy, null.energy),
        }
        panel = figure.subplots()
        draw_bars(panel, {name: found for name, (found, _) in pairs.items()}, "share, with 95 % interval")
        for row, (_, random) in enumerate(pairs.values()):
            panel.plot([random.low, random.high], [row, row], color=ACCENT, linewidth=5, alpha=0.8,
                       label="random vectors" if row == 0 else None)  # fmt: skip
        panel.set_xlim(0, 1.02)
        panel.legend(fontsize=7, frameon=False)
