"""Figures are PNG files that follow from their input alone."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from latentry.evaluation.codes import goodness_of_fit
from latentry.priors import (
    GammaRadius,
    HalfUniformHalfNormal,
    IIDPrior,
    Normal,
    RadialPrior,
    SphericalCauchy,
    TruncatedCauchy,
    Uniform,
    density_curves,
    mismatch,
    norm_curves,
)
from latentry.reports.figures import comparison_figure, fit_figure, histogram_figure, p_value_figure, prior_figure

FAILED = (179, 64, 42)
"""Colour of the bar of a test that says no."""


def failed_bars(png: bytes) -> int:
    """Pixels of that colour in the right third, where the bars are."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    right = pixels[:, 2 * pixels.shape[1] // 3 :]
    return int((right == FAILED).all(-1).sum())


PRIORS = [Normal(16), Uniform(16), HalfUniformHalfNormal(16), GammaRadius(16), SphericalCauchy(16)]


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_the_fit_figure_shows_failing_tests_and_only_those(prior: IIDPrior | RadialPrior, rng: torch.Generator) -> None:
    z = prior.sample(64, rng=rng)
    good, bad = (fit_figure(codes, prior, goodness_of_fit(codes, prior)) for codes in (z, 0.6 * z))
    assert failed_bars(good) == 0
    assert failed_bars(bad) > 500
    assert fit_figure(z, prior, goodness_of_fit(z, prior)) == good


def test_one_code_has_a_figure(rng: torch.Generator) -> None:
    z = Normal(16).sample(1, rng=rng)
    assert failed_bars(fit_figure(z, Normal(16), goodness_of_fit(z, Normal(16)))) == 0


def test_panels_and_curves_are_one_for_each_set_of_codes(rng: torch.Generator) -> None:
    codes = {name: Normal(16).sample(8, rng=rng) for name in ("first", "second")}
    wide = Image.open(io.BytesIO(histogram_figure(codes, Normal(16)))).width
    single = Image.open(io.BytesIO(histogram_figure({"first": codes["first"]}, Normal(16)))).width
    assert wide == 2 * single
    fits = {name: goodness_of_fit(z, Normal(16)) for name, z in codes.items()}
    assert p_value_figure(fits) != p_value_figure({"first": fits["first"]})


@pytest.mark.parametrize("prior", [Normal(5), TruncatedCauchy(5), GammaRadius(5)], ids=lambda prior: type(prior).__name__)
def test_the_prior_figure_follows_from_the_curves_and_their_scale(prior: IIDPrior | RadialPrior) -> None:
    densities, norms = density_curves(prior, (0.5, 0.1)), {t: norm_curves(prior, t) for t in (0.5, 0.1)}
    plain, logarithmic = (prior_figure(densities, norms, log_scale=scale) for scale in (False, True))
    assert plain == prior_figure(densities, norms)
    assert plain != logarithmic
    assert Image.open(io.BytesIO(plain)).size == Image.open(io.BytesIO(logarithmic)).size


def test_the_comparison_figure_has_a_line_for_each_prior() -> None:
    found = {"normal": mismatch(Normal(5), [0.5, 0.1]), "uniform": mismatch(Uniform(5), [0.5, 0.1])}
    assert comparison_figure(found) != comparison_figure({"normal": found["normal"]})
    steady = mismatch(SphericalCauchy(5), [0.5, 0.1])
    assert comparison_figure({"cauchy": steady}) == comparison_figure({"cauchy": steady})  # a divergence of 0 on a log scale
