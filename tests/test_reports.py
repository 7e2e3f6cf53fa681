"""Pictures, tables and the page say what they were given."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from latentry.evaluation.codes import goodness_of_fit
from latentry.names import printable
from latentry.priors import HalfUniformHalfNormal, IIDPrior, Normal, Uniform
from latentry.reports.consoles import PlainConsole
from latentry.reports.figures import histogram_figure, p_value_figure
from latentry.reports.page import Picture, sheet, write_page
from latentry.reports.pictures import grid, interleave, magnification, png, write_png, write_sheet
from latentry.reports.tables import Table, print_table

TABLE = Table("A title", ("name", "value"), (("<b>bold</b>", "1"), ("plain", "2")), "A note.")


def test_a_grid_has_every_image_in_its_place_on_white() -> None:
    x = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 1, 2, 3) / 10
    sheet = grid(x, columns=3, gap=1)
    assert sheet.shape == (1, 2 * 3 + 1, 3 * 4 + 1)
    for index in range(5):
        top, left = 1 + index // 3 * 3, 1 + index % 3 * 4
        assert torch.equal(sheet[:, top : top + 2, left : left + 3], x[index])
    assert (sheet[:, 4:6, 9:12] == 1).all()  # the place of the sixth, which is not there


def test_interleaved_rows_put_like_beside_like() -> None:
    first, second = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    assert interleave([first, second]).mean((1, 2, 3)).tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_reads_back_to_the_nearest_of_256_levels(channels: int, tmp_path: Path, rng: torch.Generator) -> None:
    x = 2 * torch.rand(channels, 5, 7, generator=rng) - 1
    write_png(tmp_path / "x.png", x, magnify=2)
    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (14, 10)
        pixels = torch.from_numpy(np.array(image)).view(10, 14, channels)[::2, ::2].permute(2, 0, 1)
    assert (pixels / 127.5 - 1 - x).abs().max() <= 1 / 255 + 1e-6


def test_equal_images_give_equal_bytes() -> None:
    x = torch.zeros(1, 4, 4)
    assert png(x) == png(x.clone())


@pytest.mark.parametrize("prior", [Normal(16), Uniform(16), HalfUniformHalfNormal(16)], ids=repr)
def test_figures_are_pictures_of_any_prior(prior: IIDPrior, rng: torch.Generator) -> None:
    z = prior.sample(30, rng=rng)
    for figure in (histogram_figure({"a": z, "b": 2 * z}, prior), p_value_figure({"a": goodness_of_fit(z, prior)})):
        with Image.open(io.BytesIO(figure)) as image:
            assert image.format == "PNG"
            assert len(np.unique(np.array(image.convert("L")))) > 10  # not an empty sheet


def test_the_page_holds_tables_and_pictures_and_lets_no_markup_through(tmp_path: Path) -> None:
    picture = Picture("A picture", png(torch.zeros(1, 4, 4)), "Its caption.")
    write_page(tmp_path / "page.html", "The title", ["A lead."], [TABLE, picture], [("seed", "7")])
    page = (tmp_path / "page.html").read_text()
    for text in ("The title", "A lead.", "A note.", "Its caption.", "<dd>7</dd>", picture.uri, "&lt;b&gt;bold&lt;/b&gt;"):
        assert text in page


def test_a_table_prints_all_it_holds() -> None:
    console = PlainConsole(file=io.StringIO(), width=80)
    print_table(TABLE, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("A title", "name", "value", "plain", "2", "A note."):
        assert text in shown


NAMES = (
    "[bold]loud[/bold].png",
    "[/red].png",
    ":smile:.png",
    "猫 é.png",
    "$x_1$.png",
    "two\nlines\x1b[31m.png",
    "\udcff.png",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_it_is_wherever_it_stands(name: str) -> None:
    console = PlainConsole(file=io.StringIO(), width=60)
    print_table(Table(name, ("name", name), ((name, "1"), ("q" * 200, "2")), name), console)
    console.print(f"Results: {'folder/' * 20}{name}")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.count(printable(name)) == 5  # title, heading, cell, note, and the sentence, which is not broken
    assert shown.count("q") == 200
    assert shown.encode("utf-8")


def test_names_of_rows_and_columns_stand_beside_a_picture_on_the_page(tmp_path: Path) -> None:
    x = torch.zeros(2, 1, 4, 4)
    picture = sheet("Title", [("above <i>", x), ("\udcff", x)], ["T-shirt/top", "猫"])
    write_page(tmp_path / "page.html", "Names \udc80", [], [picture], [("path", "a\udcffb")])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<span>above &lt;i&gt;</span><span>\\xff</span>" in page
    assert '<span title="T-shirt/top">T-shirt/top</span><span title="猫">猫</span>' in page
    assert "<dd>a\\xffb</dd>" in page


def test_a_page_turns_the_colours_of_charts_alone(tmp_path: Path) -> None:
    chart = Picture("Chart", p_value_figure({"$ name": goodness_of_fit(torch.zeros(3, 4), Normal(4))}))
    pixels = Picture("Pixels", png(torch.zeros(1, 4, 4)))
    assert chart.chart
    assert not pixels.chart
    write_page(tmp_path / "page.html", "Both", [], [chart, pixels], [])
    page = (tmp_path / "page.html").read_text()
    assert page.count('class="chart"') == page.count('class="pixels"') == 1
    assert "prefers-color-scheme: dark" in page
    assert f'width="{chart.width}"' in page
    with Image.open(io.BytesIO(chart.png)) as image:
        assert image.width == pytest.approx(1.5 * chart.width, abs=1)  # sharp on screens of high resolution


def test_a_labelled_sheet_holds_its_pictures_below_and_right_of_their_names(tmp_path: Path) -> None:
    x = torch.full((3, 1, 4, 4), -1.0)
    write_sheet(tmp_path / "plain.png", [("", x), ("", x)])
    write_sheet(tmp_path / "named.png", [("one", x), ("漢\udcff", x)], ["$", "[b]", "c"])
    with Image.open(tmp_path / "plain.png") as plain, Image.open(tmp_path / "named.png") as named:
        assert plain.size == (2 * (3 * 6 + 2), 2 * (2 * 6 + 2))
        assert named.width > plain.width
        assert named.height > plain.height
        corner = named.crop((named.width - plain.width, named.height - plain.height, named.width, named.height))
        assert np.array_equal(np.array(corner), np.array(plain))


def test_small_images_are_blown_up_and_large_ones_left() -> None:
    assert [magnification(width) for width in (4, 28, 64, 512)] == [14, 2, 1, 1]
