"""The report of a trained inverse: its errors, and the cost of its training."""

from dataclasses import dataclass
from typing import Any

from latentry.display import Described, Facts, Plottable, number, percent

__all__ = ["DataReport", "InverseReport"]


@dataclass(frozen=True, repr=False)
class DataReport(Described):
    """How an encoder does on data that no code is known of.

    Example:
        >>> from latentry.results import DataReport
        >>> report = DataReport(0.01, 0.9, agreement=0.98, spectral_agreement=None, held_back=True)
        >>> report.agreement
        0.98
    """

    reconstruction_error: float
    """Mean squared error of an element of G(E(x))."""
    mean_square: float
    """Mean square of an element of the codes, in the prior's scale: 1 for codes of the prior, less for shrunken ones."""
    agreement: float | None
    """Share of data whose G(E(x)) the classifier gives their label; None without a classifier."""
    spectral_agreement: float | None
    """Share of data whose label has the largest of the coefficients; None without a basis."""
    held_back: bool
    """Whether the data had no part in the training."""


@dataclass(frozen=True, repr=False)
class InverseReport(Plottable):
    """How good an inverse is, and what it took.

    Example:
        >>> import torch, latentry as lt
        >>> settings = lt.settings.InverseSettings(steps=2, width=1)
        >>> inverse = lt.fit_inverse(lambda z: 2 * z, lt.priors.Normal(3), settings, rng=0, progress=False)
        >>> inverse.report.code_error > 0
        True
    """

    code_error: float
    """Mean squared error of an element of fresh codes, in units of the prior's variance, or in normal coordinates."""
    course: tuple[tuple[int, float], ...]
    """The same after so many steps, at each checkpoint."""
    forwards: int
    """Codes that went through the generator, for training, calibration and validation."""
    seconds: float
    """Time of the training, over all parts of a run that was stopped and resumed."""
    element_errors: tuple[float, ...] | None = None
    """Root mean square error of each element of fresh codes, in the units of codes; None in files of earlier versions."""
    data: DataReport | None = None
    """How it does on data, where it was fitted to these (`fit_encoder`)."""

    def _facts(self) -> Facts:
        on_data = () if self.data is None else (("mean squared error on data", number(self.data.reconstruction_error)),)
        return Facts(
            "Report on a learned inverse",
            (
                ("mean squared error of codes", f"{number(self.code_error)}, where a guess of the mean has 1"),
                *on_data,
                ("passes of the generator", f"{self.forwards:,}"),
                ("seconds of training", number(round(self.seconds))),
            ),
            f"It explains {percent(max(0.0, 1 - self.code_error))} of the variance of codes that it has not seen.",
        )

    def _draw(self, figure: Any) -> None:
        from latentry.display.drawing import GUIDE, LINE

        panel = figure.subplots()
        steps, errors = zip(*(self.course or ((0, self.code_error),)), strict=True)
        panel.plot(steps, errors, color=LINE, linewidth=1.6, marker="o", markersize=3)
        panel.axhline(1, color=GUIDE, linewidth=1, linestyle="--")
        panel.set_ylim(0, None)
        panel.set_xlabel("training step", fontsize=8)
        panel.set_ylabel("error of fresh codes", fontsize=8)
        panel.tick_params(labelsize=7)
