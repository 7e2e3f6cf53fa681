"""Figures of codes against their prior."""

import io
from collections.abc import Mapping

import torch
from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from latentry.evaluation.codes import GoodnessOfFit
from latentry.priors import IIDPrior

__all__ = ["histogram_figure", "p_value_figure"]

_PANEL = (3.1, 2.5)


def histogram_figure(codes: Mapping[str, Float[Tensor, "n d"]], prior: IIDPrior) -> bytes:
    """PNG with one panel for each set of codes: histogram of all their elements over the prior's density."""
    law = prior.law
    low, high = law.icdf(torch.tensor([1e-4, 1 - 1e-4], dtype=torch.float64)).tolist()
    pad = 0.25 * (high - low)
    x = torch.linspace(low - pad, high + pad, 400, dtype=torch.float64)
    density = law.log_prob(x).exp()
    figure = Figure(figsize=(_PANEL[0] * len(codes), _PANEL[1]), layout="constrained")
    for panel, (name, z) in zip(figure.subplots(1, len(codes), squeeze=False)[0], codes.items(), strict=True):
        panel.hist(z.flatten().cpu().clamp(x[0], x[-1]).numpy(), bins=80, density=True, color="#9db8d9")
        panel.plot(x, density, color="#b3402a", linewidth=1.4)
        panel.set_title(f"{name}: std {z.std(correction=0).item():.3f}", fontsize=9)
        panel.set_ylim(0, 2.2 * density.max().item())
        panel.set_xlabel("element of a code", fontsize=8)
        panel.tick_params(labelsize=7)
    return _png(figure)


def p_value_figure(fits: Mapping[str, GoodnessOfFit]) -> bytes:
    """PNG of sorted per-code p-values against their expected place; true samples follow the diagonal."""
    figure = Figure(figsize=(4.2, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle="--", label="samples of the prior")
    for name, fit in fits.items():
        ordered = fit.code_p_value.sort().values
        axes.plot((torch.arange(len(ordered)) + 0.5) / len(ordered), ordered, linewidth=1.6, label=name)
    axes.set_xlabel("share of codes", fontsize=8)
    axes.set_ylabel("p-value of the code", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=7, frameon=False)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})  # same figure, same bytes
    return buffer.getvalue()
