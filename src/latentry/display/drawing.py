"""Figures without matplotlib's global state, in one palette, with any characters in names.

People with any common colour vision can tell the colours apart, in print and on a dark background.

Reference: Petroff, "Accessible color sequences for data visualization", 2021.
"""

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager, get_font
from matplotlib.text import Text
from torch import Tensor

from latentry.names import printable
from latentry.numerics.interval import Interval

__all__ = [
    "ACCENT", "BAD", "BAND", "CHART", "FILL", "GUIDE", "INK", "LINE", "PALETTE", "QUIET", "Drawing", "are_images",
    "are_signals", "draw_bars", "draw_errors", "draw_images", "draw_matrix", "draw_names", "draw_samples",
    "draw_signals", "finished", "plain",
    "png_of", "shown_range",
]  # fmt: skip

PALETTE = (
    "#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#94a4a2", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
"""Colours of lines and classes, in their order."""
INK, LINE, FILL, BAND, GUIDE, QUIET = "#222222", "#2f5d91", "#9db8d9", "#d5dae0", "#888888", "#9db4c8"
"""Of the prior's curve, of what is held against it, of bars, of bands, of lines to compare with, of what is not meant."""
ACCENT, BAD = "#ff7f0e", "#b3402a"
"""Of what is meant, and of what fails."""

CHART = "chart"
"""Title of every PNG that `png_of` makes."""

_FALLBACKS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "IPAexGothic",
    "Droid Sans Fallback", "Hiragino Sans", "PingFang SC", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic", "Noto Sans",
    "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari",
)  # fmt: skip
"""Fonts for letters that matplotlib's own has not, where they are installed."""


_FEWEST_SAMPLES = 16
"""Samples of the shortest signal that is drawn as a curve."""
_SIDE = 0.66
"""Inches of an image and the gap beside it."""


class Drawing(Figure):
    """A figure that notebooks show without any set-up."""

    def _repr_png_(self) -> bytes:
        return png_of(self)


@cache
def _fonts() -> dict[str, frozenset[int]]:
    """Letters of each font that is there, matplotlib's own first."""
    installed = {entry.name: entry for entry in fontManager.ttflist}
    names = ["DejaVu Sans", *(name for name in _FALLBACKS if name in installed)]
    return {name: frozenset(get_font(installed[name].fname).get_charmap()) for name in names}


def plain(text: str) -> str:
    r"""A name as a figure can show it: `$` is no formula, and letters that no font has are boxes.

    Example:
        >>> print(plain("cost in $"))
        cost in \$
    """
    letters = _fonts().values()
    drawable = "".join(c if any(ord(c) in font for font in letters) else "\u25a1" for c in printable(text))
    return drawable.replace("$", r"\$")


def finished(figure: Figure) -> Any:
    """The figure, with fonts for all its letters."""
    for text in figure.findobj(Text):
        text.set_fontfamily([*_fonts()])
    return figure


def png_of(figure: Figure, dpi: int = 100) -> bytes:
    """A figure as PNG on white; equal figures give equal bytes.

    Pages know it by its title for a chart, whose colours are turned on a dark ground.
    """
    buffer = io.BytesIO()
    canvas, own = figure.canvas, figure.dpi
    FigureCanvasAgg(figure)
    try:
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None, "Title": CHART}, facecolor="white")
    finally:
        figure.set_canvas(canvas)
        figure.set_dpi(own)
    return buffer.getvalue()


def are_images(x: Tensor) -> bool:
    """Whether these are grey or colour images `(n, c, h, w)`.

    Example:
        >>> are_images(torch.zeros(5, 3, 28, 28)), are_images(torch.zeros(5, 28))
        (True, False)
    """
    return x.ndim == 4 and x.shape[1] in (1, 3) and min(x.shape[2:]) > 1


def shown_range(*parts: Tensor) -> tuple[float, float]:
    """Black and white for images: [-1, 1] or [0, 1] where all lie within, else their own range.

    Example:
        >>> shown_range(torch.tensor([0.1, 0.9])), shown_range(torch.tensor([-0.5, 0.9]))
        ((0.0, 1.0), (-1.0, 1.0))
    """
    finite = torch.cat([part.detach().float().cpu().flatten() for part in parts])
    finite = finite[finite.isfinite()]
    low, high = (finite.min().item(), finite.max().item()) if len(finite) else (0.0, 1.0)
    if high <= 1.001 and low >= -0.001:
        return 0.0, 1.0
    if high <= 1.001 and low >= -1.001:
        return -1.0, 1.0
    return low, max(high, low + 1e-12)


def draw_images(figure: Any, rows: Sequence[tuple[str, Tensor]], titles: Sequence[str] = (), columns: int = 12) -> None:
    """Rows of images, each with its name at the left; the n-th images stand below each other, under the n-th title.

    Args:
        figure: What to draw on; its size is set.
        rows: Name and images `(n, c, h, w)` of each row, as many in each.
        titles: Of the columns.
        columns: Most images in a row; further ones are left out.
    """
    count = min(columns, *(len(x) for _, x in rows))
    low, high = shown_range(*(x[:count] for _, x in rows))
    height, width = rows[0][1].shape[2:]
    gap = max(1, round(0.08 * width))
    sheet = torch.ones(len(rows) * (height + gap) - gap, count * (width + gap) - gap, 3)
    for row, (_, x) in enumerate(rows):
        scaled = ((x[:count].detach().float().cpu().nan_to_num() - low) / (high - low)).clamp(0, 1).permute(0, 2, 3, 1)
        for column, image in enumerate(scaled):
            top, left = row * (height + gap), column * (width + gap)
            sheet[top : top + height, left : left + width] = image
    figure.set_size_inches(0.9 + _SIDE * count, 0.35 + _SIDE * len(rows) * (height + gap) / (width + gap))
    panel = figure.subplots()
    panel.imshow(sheet.numpy(), interpolation="nearest")
    panel.set_yticks([(row + 0.5) * (height + gap) - gap / 2 - 0.5 for row in range(len(rows))], [plain(n) for n, _ in rows])
    named = [plain(title) for title in titles[:count]]
    panel.set_xticks([(column + 0.5) * (width + gap) - gap / 2 - 0.5 for column in range(len(named))], named)
    panel.tick_params(labelsize=8, length=0, labelbottom=False, labeltop=True)
    panel.spines[:].set_visible(False)


def are_signals(x: Tensor) -> bool:
    """Whether these are signals `(n, t)` or `(n, c, t)`, long enough for a curve.

    Example:
        >>> are_signals(torch.zeros(5, 2, 64)), are_signals(torch.zeros(5, 4))
        (True, False)
    """
    return x.ndim in (2, 3) and x.shape[-1] >= _FEWEST_SAMPLES


def draw_signals(figure: Any, rows: Sequence[tuple[str, Tensor]], titles: Sequence[str] = (), columns: int = 4) -> None:
    """Signals side by side, two rows of panels at most; in each the first row of data as points, the others as curves.

    Args:
        figure: What to draw on; its size is set.
        rows: Name and signals `(n, t)` or `(n, c, t)` of each row, as many in each.
        titles: Of the signals.
        columns: Most panels beside each other; signals that do not fit are left out.
    """
    count = min(2 * columns, *(len(x) for _, x in rows))
    wide = min(columns, count)
    figure.set_size_inches(1.9 * wide + 0.4, 1.5 * -(-count // wide) + 0.4)
    panels = figure.subplots(-(-count // wide), wide, squeeze=False, sharex=True, sharey=True).flat
    for place, panel in enumerate(panels):
        panel.set_visible(place < count)
        for number, (name, x) in enumerate(rows if place < count else ()):
            points = number == 0 and len(rows) > 1
            style = {"color": GUIDE, "marker": ".", "markersize": 3} if points else {"color": LINE, "linewidth": 1.2}
            for channel in x[place].detach().float().cpu().reshape(-1, x.shape[-1]):
                panel.plot(channel.numpy(), linestyle="" if points else "-", label=plain(name), **style)
                name = ""
        panel.set_title(plain(titles[place]) if place < min(count, len(titles)) else "", fontsize=8)
        panel.tick_params(labelsize=7)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), fontsize=7, frameon=False, loc="outside right upper")


def draw_samples(figure: Any, x: Tensor, columns: int = 10) -> None:
    """Images in rows without names; other data as points of their first two elements."""
    if are_images(x):
        parts = x[: len(x) - len(x) % columns or len(x)].split(columns)
        draw_images(figure, [("", part) for part in parts], columns=columns)
        return
    points = x.detach().float().cpu().flatten(1)
    panel = figure.subplots()
    up = points[:, 1] if points.shape[1] > 1 else torch.zeros(len(points))
    panel.scatter(points[:, 0].numpy(), up.numpy(), s=10, color=LINE, linewidths=0)
    panel.set_title("samples: first two elements", fontsize=9)
    panel.tick_params(labelsize=7)


def draw_errors(axes: Any, errors: Tensor, label: str) -> None:
    """Histogram of errors of any size, on a logarithmic axis; zeros count as the smallest there is."""
    values = errors.detach().double().cpu().flatten()
    values = values[values.isfinite()].clamp(min=1e-20)
    if len(values):
        low, high = values.min().log10().floor().item(), values.max().log10().ceil().item()
        axes.hist(values.numpy(), bins=torch.logspace(low, max(high, low + 1), 31, dtype=torch.float64).numpy(), color=FILL)
    axes.set_xscale("log")
    axes.set_xlabel(label, fontsize=8)
    axes.set_ylabel("number", fontsize=8)
    axes.tick_params(labelsize=7, which="both")


def draw_matrix(panel: Any, matrix: Tensor, title: str) -> None:
    """A matrix, blue where it is negative and red where it is positive, on its own scale."""
    most = matrix.abs().max().item() or 1.0
    drawn = panel.imshow(matrix.detach().cpu().numpy(), cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
    panel.set_title(plain(title), fontsize=9)
    panel.tick_params(labelsize=7)
    panel.figure.colorbar(drawn, ax=panel, shrink=0.75).ax.tick_params(labelsize=6)


def draw_names(panel: Any, points: Mapping[str, tuple[float, float]], size: float = 6.5) -> None:
    """Names of points in a column at the right of a panel, each with a line to its point, so that none covers another.

    Limits and scales of the panel are to be set before.

    Args:
        panel: Where the points are.
        points: Place of each name, in the units of the axes.
        size: Of the letters, in points.
    """
    panel.figure.draw_without_rendering()  # the panel has its height only then
    row = 1.45 * size / 72 * panel.figure.dpi / panel.get_window_extent().height
    to_panel = panel.transData + panel.transAxes.inverted()
    heights = {name: to_panel.transform(point)[1] for name, point in points.items()}
    names = sorted(points, key=lambda name: (-heights[name], -points[name][0]))
    places: list[float] = []
    for name in names:  # from above, each at its height or just below the one before
        places.append(min([heights[name], *(place - row for place in places[-1:])]))
    for index, lowest in enumerate(row * (0.5 + step) for step in range(len(names))):  # and none below the panel
        places[-1 - index] = max(places[-1 - index], lowest)
    for name, height in zip(names, places, strict=True):
        line = {"arrowstyle": "-", "color": GUIDE, "linewidth": 0.4, "shrinkA": 1, "shrinkB": 2, "relpos": (0.0, 0.5)}
        panel.annotate(
            plain(name), points[name], xytext=(1.04, height), textcoords="axes fraction", fontsize=size, va="center",
            arrowprops=line,
        )  # fmt: skip


def draw_bars(panel: Any, bars: Mapping[str, Interval], label: str) -> None:
    """One bar with its interval for each name."""
    found = bars.values()
    values = [one.value for one in found]
    sides = [[max(0.0, one.value - one.low) for one in found], [max(0.0, one.high - one.value) for one in found]]
    panel.barh([plain(name) for name in bars], values, xerr=sides, color=FILL, error_kw={"elinewidth": 1, "ecolor": INK})
    panel.invert_yaxis()
    panel.set_xlabel(label, fontsize=8)
    panel.tick_params(labelsize=7)
