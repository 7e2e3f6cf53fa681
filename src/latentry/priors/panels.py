"""Panels of priors: the density of codes, and codes of each label."""

from typing import Any

import torch

from latentry.display.drawing import FILL, GUIDE, INK, PALETTE, plain

__all__ = ["draw_components", "draw_distribution"]

_DRAWN = 600
_NAMED = 12
"""Most labels with a name in the legend."""


def draw_distribution(panel: Any, prior: Any) -> None:
    """Density of one coordinate, or of the norm of isotropic codes."""
    known = prior.univariate()
    distribution, of_norm = known.distribution, known.of_norm
    low, high = distribution.icdf(torch.tensor([5e-4, 1 - 5e-4], dtype=torch.float64)).tolist()
    if of_norm and high > 100 * low > 0:
        x = torch.logspace(torch.tensor(low).log10().item(), torch.tensor(high).log10().item(), 500, dtype=torch.float64)
        panel.set_xscale("log")
    else:
        pad = 0.0 if of_norm else 0.15 * (high - low)
        x = torch.linspace(low - pad, high + pad, 500, dtype=torch.float64)
    density = distribution.log_prob(x).exp().nan_to_num()
    panel.fill_between(x.numpy(), density.numpy(), color=FILL, linewidth=0, alpha=0.6)
    panel.plot(x.numpy(), density.numpy(), color=INK, linewidth=1.4)
    panel.set_ylim(0, None)
    panel.set_xlabel("norm of a code" if of_norm else "coordinate of a code", fontsize=8)
    panel.set_ylabel("density", fontsize=8)
    panel.tick_params(labelsize=7)


def draw_components(panel: Any, prior: Any) -> None:
    """Codes in the plane in which the labels' means lie furthest apart, coloured by label."""
    rng = torch.Generator(prior.loc.device).manual_seed(0)
    y = torch.multinomial(prior.probs.detach(), _DRAWN, replacement=True, generator=rng)
    z = prior.sample((), y, rng=rng).double().cpu()
    means = prior.loc.detach().double().cpu()
    centre = means.mean(0)
    axes = torch.linalg.svd(means - centre, full_matrices=False).Vh[:2]
    axes = torch.cat([axes, torch.eye(len(centre), dtype=torch.float64)[: 2 - len(axes)]])
    places = (z - centre) @ axes.mT
    places = torch.nn.functional.pad(places, (0, 2 - places.shape[1]))
    for label in y.unique().tolist():
        across, up = places[y.cpu() == label].T.numpy()
        name = plain(str(label)) if label < _NAMED else None
        panel.scatter(across, up, s=5, color=PALETTE[label % len(PALETTE)], linewidths=0, label=name)
    panel.axhline(0, color=GUIDE, linewidth=0.5)
    panel.axvline(0, color=GUIDE, linewidth=0.5)
    panel.legend(fontsize=6.5, frameon=False, markerscale=2.5, loc="center left", bbox_to_anchor=(1, 0.5))
    panel.set_title("codes of each label", fontsize=9)
    panel.tick_params(labelsize=7)
