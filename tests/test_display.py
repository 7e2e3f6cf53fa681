"""Results show themselves: a few lines, a cell of a notebook, a figure; and nothing of matplotlib's own state is changed."""

import io
import math
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import metadata
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from public_names import public_names
from sklearn.naive_bayes import GaussianNB
from torch import Tensor, nn

import latentry as lt
from latentry.data.recovered import RecoveredCodes
from latentry.display import Described, Facts, Plottable, interval, number, percent
from latentry.display.drawing import PALETTE, Drawing, draw_images, plain, png_of, shown_range
from latentry.display.progress import reported
from latentry.evaluation.basis import evaluate_basis
from latentry.latent.boundaries import LinearClassifier
from latentry.latent.inverse import Inverse
from latentry.latent.inverse_report import DataReport, InverseReport
from latentry.numerics.interval import Interval
from latentry.priors import GammaRadius, HalfUniformHalfNormal, LogUniformRadius, Normal, NormalMixture, SphericalCauchy

D = 6
MATRIX = torch.eye(2 * D, D)


def images(z: Tensor) -> Tensor:
    """A linear generator of small grey images."""
    return (z @ torch.randn(D, 16, generator=torch.Generator().manual_seed(1)) / 4).view(-1, 1, 4, 4)


def results() -> Iterator[tuple[str, Any]]:
    """One result of every kind that shows itself."""
    prior, rng = Normal(D), torch.Generator().manual_seed(0)
    z = prior.sample(20, rng=rng)
    options: dict[str, Any] = {"rng": rng, "restarts": 1}
    yield (
        "recovery of vectors",
        lt.recover_codes(lambda codes: codes @ MATRIX.to(codes).mT, z[:3] @ MATRIX.mT, prior, **options),
    )
    yield "recovery of images", lt.recover_codes(images, images(z[:3]), prior, **options)
    yield "fit", lt.goodness_of_fit(z, prior)
    yield "misfit", lt.goodness_of_fit(0.3 * z, prior)
    yield "one code", lt.goodness_of_fit(z[:1], prior)
    foreign = torch.rand(2, 1, 4, 4, generator=rng)
    yield "provenance", lt.metrics.is_from(images, torch.cat([images(z[:2]), foreign]), prior, calibration=19, **options)
    yield "provenance of one", lt.metrics.is_from(images, foreign[:1], prior, calibration=19, **options)
    yield "samples", lt.evaluate_samples(z, prior.sample(30, rng=rng), lambda x: x)
    yield "paths", lt.evaluate_paths(lambda codes: codes, prior, count=20, rng=rng)
    report = lt.evaluate_samples
    yield (
        "paths of samples",
        lt.evaluate_paths(
            lambda codes: codes,
            prior,
            reference=z,
            count=20,
            t=(0.5,),
            metric=lambda made, data: report(made, data, lambda x: x),
            rng=rng,
        ),
    )
    basis = lt.directions.basis_from_codes(z, torch.arange(20) % 3)
    yield "basis", basis
    probes = {"normal": GaussianNB()}
    codes, y = prior.sample(60, rng=rng), torch.arange(60) % 3
    yield (
        "basis report",
        evaluate_basis(
            basis.vectors,
            codes,
            basis.coefficients(codes),
            y,
            lambda z: z[:, :3],
            num_labels=3,
            null_draws=2,
            folds=3,
            probes=probes,
            rng=rng,
        ),
    )
    inverse = InverseReport(0.25, ((10, 0.5), (20, 0.25)), 1000, 3.0, data=DataReport(0.1, 1.0, None, None, True))
    yield "inverse report", inverse
    yield "inverse", Inverse(torch.nn.Linear(4, D), prior, (4,), "abc", inverse)
    yield "mismatch", lt.priors.mismatch(prior, [0.1, 0.5])
    yield "mismatch at one step", lt.priors.mismatch(prior, 0.5)
    yield "linear scores", LinearClassifier(torch.ones(2, D), torch.zeros(2))
    yield "data", lt.load_dataset("digits")
    yield "attributes", lt.load_dataset("stroke-digits").split("held-out")
    nothing = torch.full((2,), math.nan)
    flags, whole = torch.tensor([True, False]), torch.ones(2, dtype=torch.int64)
    yield (
        "recovered codes",
        RecoveredCodes(z[:2], torch.tensor([0.0, 1.0]), flags, flags, nothing, whole, nothing, nothing, ("a", "b")),
    )
    yield "generator", lt.load_model("digits-generator")
    yield "label split", lt.load_model("digits-split")
    yield "semantic", lt.load_model("letters-semantic")
    for distribution in (prior, HalfUniformHalfNormal(D), GammaRadius(D), SphericalCauchy(D), LogUniformRadius(D)):
        yield type(distribution).__name__, distribution
    yield "mixture", NormalMixture(torch.eye(3, 4), torch.ones(3, 4))
    yield "mixture of one coordinate", NormalMixture(torch.tensor([[0.0], [1.0]]), torch.ones(2, 1))
    yield "placement", lt.priors.SemanticPlacement(["$a", "b<i>"], 4)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return dict(results())


class Strict(HTMLParser):
    """Counts tags, and remembers those that are open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_result_prints_in_at_most_twelve_lines_without_a_tensor(made: dict[str, Any]) -> None:
    for name, result in made.items():
        lines = repr(result).splitlines()
        assert 1 <= len(lines) <= 12, name
        assert all(len(line) <= 100 for line in lines) or isinstance(result, torch.nn.Module), name
        assert "tensor(" not in repr(result), name


def test_a_result_is_a_figure_and_a_cell_of_a_notebook_and_leaves_matplotlib_as_it_was(made: dict[str, Any]) -> None:
    settings, open_figures = dict(mpl.rcParams), pyplot.get_fignums()
    for name, result in made.items():
        figure = result.plot()
        assert isinstance(figure, Figure), name
        assert figure.axes, name
        shown = result._repr_html_()
        cell = Strict(shown)
        assert not cell.open, name
        assert cell.tags.count("img") == 1, name
        assert shown.count("<tr>") == len(result._facts().rows), name
    assert dict(mpl.rcParams) == settings
    assert pyplot.get_fignums() == open_figures


def test_every_result_at_the_front_door_is_told() -> None:
    """What `latentry` offers and holds tensors or networks has no `repr` that prints them."""
    for name, kind in public_names().items():
        fields = getattr(kind, "__dataclass_fields__", {}).values() if isinstance(kind, type) else ()
        if any("jaxtyping" in str(field.type) or "Module" in str(field.type) for field in fields):
            assert issubclass(kind, Described), name


def test_a_cell_lets_no_markup_through() -> None:
    class Bad(Described):
        def _facts(self) -> Facts:
            return Facts("<script>1</script>", (("<b>", "a & b"),), "<i>x</i>")

    shown = Bad()._repr_html_()
    assert Strict(shown).tags == ["div", "strong", "p", "table", "tr", "td", "td"]
    for text in ("&lt;script&gt;", "&lt;b&gt;", "a &amp; b", "&lt;i&gt;x"):
        assert text in shown


def test_long_facts_are_cut_to_twelve_lines_of_a_hundred() -> None:
    told = Facts("t" * 300, tuple((f"fact {i}", "v" * 200) for i in range(40)), "word " * 400).text().splitlines()
    assert len(told) == 12
    assert max(map(len, told)) == 100


def test_verdicts_of_provenance_count_the_foreign(made: dict[str, Any]) -> None:
    assert made["provenance"].verdict.startswith("2 of 4 images were probably not made by this generator")
    assert made["provenance of one"].verdict.startswith("This image was probably not made by this generator (p = 0.05")


def test_a_recovery_is_drawn_below_its_data(made: dict[str, Any]) -> None:
    found = made["recovery of images"]
    assert names_of(found.plot(found.x_hat)) == (["given", "recovered"], ["met"] * 3)
    assert names_of(found.plot()) == (["recovered"], ["met"] * 3)


class Product(nn.Module):
    """Codes times a matrix."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix = matrix

    def forward(self, z: Tensor) -> Tensor:
        return z @ self.matrix


def test_recovered_signals_are_drawn_as_curves_over_their_data(rng: torch.Generator) -> None:
    matrix = torch.randn(2, 40, generator=rng)
    z = torch.randn(3, 2, generator=rng)
    for channels, signals in ((1, nn.Identity()), (2, nn.Unflatten(1, (2, 20)))):
        generator = nn.Sequential(Product(matrix), signals)
        panels = lt.recover_codes(generator, generator(z), lt.priors.Normal(2), progress=None).plot(generator(z)).axes
        assert [panel.get_title() for panel in panels] == ["met"] * 3
        assert [len(panel.lines) for panel in panels] == [2 * channels] * 3


def names_of(figure: Figure) -> tuple[list[str], list[str]]:
    """Of the rows and of the columns of images."""
    panel = figure.axes[0]
    return [text.get_text() for text in panel.get_yticklabels()], [text.get_text() for text in panel.get_xticklabels()]


def test_results_do_not_import_matplotlib_before_they_are_drawn() -> None:
    """What a result's own module imports at its head is no module that draws."""
    package = Path(lt.__file__).parent
    heads = re.compile(
        r"^from (matplotlib|latentry\.(display\.drawing|evaluation\.fit_panels|priors\.panels|reports))", re.M
    )
    drawn = {path.relative_to(package).as_posix() for path in package.rglob("*.py") if heads.search(path.read_text())}
    below = {path for path in drawn if not path.startswith(("reports/", "tasks/"))}
    assert below == {"display/drawing.py", "evaluation/fit_panels.py", "priors/panels.py"}


@pytest.mark.parametrize(
    "name", ["$", "a $ b", r"\frac{", "$x$ $", "[bold]", "漢字 かな", "עברית", "\udcff.png", "😀", "a\nb", "<b>&"]
)
def test_any_name_can_stand_in_a_figure(name: str) -> None:
    figure = Drawing()
    panel = figure.subplots()
    panel.set_title(plain(name))
    panel.barh([plain(name), "other"], [1, 2], label=plain(name))
    panel.legend()
    png_of(figure)  # warnings are errors: a letter without a glyph would be one


def test_dollars_are_shown_as_they_are() -> None:
    text = Text(0, 0, plain("price $5 or $6"))
    figure = Drawing()
    figure.add_artist(text)
    figure.draw_without_rendering()
    assert text.get_text().replace("\\", "") == "price $5 or $6"
    assert "\\" not in Text._preprocess_math(text, text.get_text())[0]  # type: ignore[attr-defined]


def test_a_figure_is_the_same_bytes_twice_on_white_and_says_that_it_is_a_chart() -> None:
    def made() -> bytes:
        figure = Drawing(figsize=(1, 1))
        figure.subplots().plot([0, 1])
        return png_of(figure)

    with Image.open(io.BytesIO(made())) as image:
        assert image.info["Title"] == "chart"
        assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
    assert made() == made()


def test_classes_have_colours_that_differ() -> None:
    assert len(set(PALETTE)) == len(PALETTE) == 10


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.5, 0.9, (-1.0, 1.0)), (0.0, 1.0, (0.0, 1.0)), (0.0, 255.0, (0.0, 255.0)), (-3.0, 2.0, (-3.0, 2.0))],
)
def test_images_are_shown_in_their_range(low: float, high: float, expected: tuple[float, float]) -> None:
    assert shown_range(torch.tensor([low, high, math.nan])) == expected


def test_rows_of_images_have_names_and_every_image_its_place() -> None:
    figure = Drawing(layout="constrained")
    black, white = torch.zeros(3, 1, 2, 2), torch.ones(3, 3, 2, 2)
    draw_images(figure, [("above", black), ("below", white)], ["x", "y", "z"], columns=2)
    assert names_of(figure) == (["above", "below"], ["x", "y"])
    sheet = torch.from_numpy(figure.axes[0].images[0].get_array().data)
    assert sheet.shape == (2 * 2 + 1, 2 * 2 + 1, 3)
    assert sheet[:2, :2].eq(0).all()
    assert sheet[:2, 3:].eq(0).all()
    assert sheet[2:].eq(1).all()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.031251, "0.0313"), (1810.4, "1,810"), (2.13e-7, "2.1e-07"), (0.0, "0"), (12, "12"), (123456, "123,456"),
     (-3.14159, "-3.14"),
     (math.inf, "infinite"), (-math.inf, "-infinite"), (math.nan, "not a number")],
)  # fmt: skip
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.98337, "98.3 %"), (1.0, "100 %"), (0.99999, "> 99.9 %"), (0.0, "0 %"), (1e-5, "0.001 %"), (0.5, "50 %")],
)
def test_shares_are_in_percent_and_not_all_is_never_100(value: float, shown: str) -> None:
    assert percent(value) == shown


def test_intervals_have_the_decimals_that_they_know() -> None:
    assert interval(Interval(0.25714, 0.25111, 0.26292)) == "0.257 [0.251, 0.263]"
    assert interval(Interval(1234.5, 1200.0, 1300.0)) == "1,234 [1,200, 1,300]"
    assert interval(Interval(0.5, 0.5, 0.5)) == "0.5 [0.5, 0.5]"
    assert interval(Interval(1e-9, 0.0, 3e-9)) == "1e-09 [0, 3e-09]"
    assert interval(Interval(1.0, -math.inf, math.inf)) == "1 [-infinite, infinite]"


def test_what_shows_itself_says_what_it_is_by_default() -> None:
    report = DataReport(0.123456, 1.0, None, 0.5, True)
    assert repr(report).splitlines() == [
        "DataReport",
        "  reconstruction error  0.123",
        "  mean square           1",
        "  agreement             none",
        "  spectral agreement    0.5",
        "  held back             yes",
    ]
    assert issubclass(lt.results.Recovery, Plottable)


class Terminal(io.StringIO):
    """A standard error that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_which_vanishes_and_silence_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", stream)
        with reported(True, "recovering codes") as tell:
            assert (tell is not None) is shown
            if tell is not None:
                tell(3, 4)
        assert ("recovering codes" in stream.getvalue()) is shown
        assert sys.stderr is stream


def test_progress_may_be_a_function_or_nothing_even_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, heard = Terminal(), []
    monkeypatch.setattr("sys.stderr", terminal)
    prior, x = Normal(D), torch.ones(1, D)
    lt.recover_codes(lambda z: 1 * z, x, prior, restarts=1, progress=lambda done, total: heard.append((done, total)))
    assert heard[-1][0] == heard[-1][1]
    assert terminal.getvalue() == ""
    lt.recover_codes(lambda z: 1 * z, x, prior, restarts=1, progress=None)
    assert terminal.getvalue() == ""
    lt.recover_codes(lambda z: 1 * z, x, prior, restarts=1)
    assert "recovering codes" in terminal.getvalue()


def test_the_version_is_that_of_the_package() -> None:
    assert lt.__version__ == metadata.version("latentry")


def test_one_thing_is_told_in_the_singular_and_names_with_commas_stay_apart() -> None:
    rng = torch.Generator().manual_seed(0)
    fit = lt.goodness_of_fit(2 * torch.randn(1, 50, generator=rng), lt.priors.Normal(50))
    assert repr(fit).startswith("Goodness of fit of 1 code: does not pass")
    assert "(elements, AD; elements, scale; " in repr(fit)
    found = lt.recover_codes(lambda z: torch.cat([z, z], 1), torch.tensor([[1.0, 2.0]]), lt.priors.Normal(1), restarts=1)
    assert repr(found).startswith("Recovery of 1 code with 1 element\n")
    assert "codes that a second start gives too  unknown, no second start was as good" in repr(found)
    assert "The generator does not make this datum up to rounding." in repr(found)
