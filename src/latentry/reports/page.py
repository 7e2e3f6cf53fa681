"""A report as one HTML file without external files."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jaxtyping import Float
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from torch import Tensor

from latentry.display.drawing import CHART
from latentry.names import printable
from latentry.reports.drawings import drawn
from latentry.reports.pictures import magnification, png, stack
from latentry.reports.tables import Table
from latentry.storage import write_text

__all__ = ["Picture", "sheet", "write_page"]

_SMALL = 640
"""Pixels of a page that small pictures are shown at, as near as whole numbers come."""
_POINTS = 100
"""Dots per inch at which a figure has the size that it is meant for."""


@dataclass(frozen=True)
class Picture:
    """A PNG with a title and a caption."""

    title: str
    png: bytes
    caption: str = ""
    rows: tuple[str, ...] = ()
    """Names of its rows, from above, equally high."""
    columns: tuple[str, ...] = ()
    """Names of its columns, equally wide."""
    link: str | None = None
    """Its file beside the page, for a page that shall not hold it; None puts it into the page."""

    @property
    def uri(self) -> str:
        """Where a page finds it: its file, or the picture itself as a data URI."""
        return self.link or "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")

    @property
    def chart(self) -> bool:
        """Whether it is a figure on white, whose colours may be turned on a dark ground."""
        return self._read[1].get("Title") == CHART

    @property
    def width(self) -> int:
        """Pixels of the page that it is meant for."""
        width, info = self._read
        if self.chart and "dpi" in info:
            return round(width * _POINTS / info["dpi"][0])
        return width * max(1, round(_SMALL / width))

    @cached_property
    def _read(self) -> tuple[int, dict[str, Any]]:
        with Image.open(io.BytesIO(self.png)) as image:
            return image.width, {str(key): value for key, value in image.info.items()}


def sheet(
    title: str, rows: Sequence[tuple[str, Float[Tensor, "n *s"]]], columns: Sequence[str] = (), caption: str = ""
) -> Picture:
    """Data in named rows, as many in each, under named columns; images as they are, others drawn."""
    pictures = drawn([x for _, x in rows])
    picture = png(stack(pictures), magnification(pictures[0].shape[3]))
    return Picture(title, picture, caption, tuple(name for name, _ in rows), tuple(columns))


def write_page(
    path: str | Path, title: str, lead: Sequence[str], blocks: Sequence[Table | Picture], facts: Sequence[tuple[str, str]]
) -> None:
    """Write a page: title, paragraphs, tables and pictures in order, and at its foot how it was made."""
    environment = Environment(
        loader=PackageLoader("latentry", "reports"), autoescape=True, undefined=StrictUndefined, finalize=_valid
    )
    template = environment.get_template("page.html")
    write_text(path, template.render(title=title, lead=lead, blocks=blocks, facts=facts))


def _valid(value: Any) -> Any:
    """A text without what no file can hold, such as bytes of a name that are no letters."""
    return printable(value) if isinstance(value, str) and not value.isprintable() else value
