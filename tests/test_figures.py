"""Figures are PNG files that follow from their input alone."""

import io
import itertools

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from latentry.display.drawing import draw_names
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
from latentry.reports.figures import (
    comparison_figure,
    fit_figure,
    heat_figure,
    histogram_figure,
    p_value_figure,
    prior_figure,
    spectrum_figure,
)

FAILED = (179, 64, 42)
"""Colour of the bar of a test that says no."""


def failed_bars(png: bytes) -> int:
    """Pixels of that colour in the right third, where the bars are."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    right = pixels[:, 2 * pixels.shape[1] // 3 :]
    return int((right == FAILED).all(-1).sum())


def test_no_name_of_a_point_covers_another_even_where_points_coincide() -> None:
    figure = Figure(figsize=(5, 3), layout="constrained")
    panel = figure.subplots()
    points = {f"name {index}": (0.5, 0.2 + 1e-3 * index) for index in range(12)} | {"far": (0.9, 0.9)}
    panel.set(xlim=(0, 1), ylim=(0, 1))
    draw_names(panel, points)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text, renderer) for text in panel.texts]
    assert {text.get_text() for text in panel.texts} == {*points}
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert min(box.y0 for box in boxes) >= 0


PRIORS = [Normal(16), Uniform(16), HalfUniformHalfNormal(16), GammaRadius(16), SphericalCauchy(16)]


@pytest.mark.parametrize("prior", PRIORS, ids=repr)
def test_the_fit_figure_shows_failing_tests_and_only_those(prior: IIDPrior | RadialPrior, rng: torch.Generator) -> None:
    z = prior.sample(64, rng=rng)
    fit, other = (goodness_of_fit(codes, prior, rng=torch.Generator().manual_seed(0)) for codes in (z, 0.6 * z))
    good, bad = fit_figure(z, prior, fit), fit_figure(0.6 * z, prior, other)
    assert failed_bars(good) == 0
    assert failed_bars(bad) > 500
    assert fit_figure(z, prior, fit) == good


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


def coloured(png: bytes, colour: tuple[int, int, int]) -> int:
    """Pixels of a colour."""
    return int((np.asarray(Image.open(io.BytesIO(png)).convert("RGB")) == colour).all(-1).sum())


BLUE, RED = (5, 48, 97), (103, 0, 31)
"""The ends of the scale."""


def test_a_heat_map_has_the_ends_of_its_scale_where_the_matrix_has_them() -> None:
    both = heat_figure({"both": torch.tensor([[1.0, 0.0], [0.0, -1.0]])})
    up = heat_figure({"up": torch.tensor([[1.0, 0.0], [0.0, 0.0]])})
    assert coloured(both, BLUE) > 1000 + coloured(up, BLUE)
    assert abs(coloured(both, RED) - coloured(up, RED)) < 200
    blank = heat_figure({"nothing": torch.zeros(2, 3), "something": torch.ones(1, 1)})
    assert Image.open(io.BytesIO(blank)).width == 2 * Image.open(io.BytesIO(up)).width


def test_a_spectrum_has_the_bars_of_labels_in_orange() -> None:
    c = torch.tensor([0.5, 1.0, -0.5, 0.5])
    orange, plain = (255, 127, 14), (157, 180, 200)
    none, half, all_of_them = (spectrum_figure({"code": c}, k) for k in (0, 2, 4))
    assert (coloured(none, orange), coloured(all_of_them, plain)) == (0, 0)
    assert coloured(half, orange) > 1.2 * coloured(half, plain) > 0  # 1.5 in all against 1
    five = spectrum_figure({f"code {index}": c for index in range(5)}, 2)
    size, one = Image.open(io.BytesIO(five)).size, Image.open(io.BytesIO(half)).size
    assert size == (4 * one[0], 2 * one[1])  # the empty panels of the last row are left blank
