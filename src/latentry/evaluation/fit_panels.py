"""Panels of a goodness-of-fit report: each code in its null band, and each test as a bar with a point at its end."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from latentry.display.drawing import BAD, BAND, FILL, GUIDE, LINE

__all__ = ["draw_codes", "draw_tests"]


def draw_codes(panel: Any, p_values: Float[Tensor, "n"], band: Float[Tensor, "n 2"]) -> None:
    """Sorted p-values of single codes, within the band that samples of the prior keep to."""
    place = (torch.arange(len(p_values)) + 0.5) / len(p_values)
    low, high = band.unbind(1)
    panel.fill_between(place, low, high, color=BAND, linewidth=0, label="95 % of samples of the prior")
    panel.plot(place, p_values.sort().values, color=LINE, linewidth=1.6, label="these codes")
    panel.set(xlim=(0, 1), ylim=(0, 1))
    panel.set_xlabel("share of codes", fontsize=8)
    panel.set_ylabel("p-value of the code", fontsize=8)
    panel.set_title("codes one by one (Kolmogorov-Smirnov)", fontsize=9)
    panel.legend(fontsize=7, frameon=False, loc="upper left")
    panel.tick_params(labelsize=7)


def draw_tests(panel: Any, p_values: Mapping[str, float], level: float) -> None:
    """Evidence against the prior, by the corrected p-value of each test; it grows to the right.

    Samples of the prior stay left of the line in 99 of 100 reports.
    """
    evidence = [-math.log10(max(p, 1e-12)) for p in p_values.values()]
    colors = [BAD if p < level else FILL for p in p_values.values()]
    panel.barh([*p_values], evidence, color=colors)
    panel.scatter(evidence, [*p_values], color=colors, s=14, zorder=3, clip_on=False)
    panel.axvline(-math.log10(level), color=GUIDE, linewidth=1, linestyle="--")
    panel.set_xlim(0, max(3.0, 1.05 * max(evidence)))
    panel.invert_yaxis()
    ticks = [tick for tick in (0, 2, 4, 6, 8, 10, 12) if tick <= panel.get_xlim()[1]]
    panel.set_xticks(ticks, ["1" if tick == 0 else f"1e-{tick}" for tick in ticks])
    panel.set_xlabel(f"p-value corrected for all tests; below {level:g} fails", fontsize=8)
    panel.set_title("passes" if min(p_values.values()) >= level else "does not pass", fontsize=9)
    panel.tick_params(labelsize=7)
