"""A report as one HTML file that needs nothing beside it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from latentry.reports.tables import Table
from latentry.storage import write_text

__all__ = ["Picture", "write_page"]


@dataclass(frozen=True)
class Picture:
    """A PNG with a title and a caption."""

    title: str
    png: bytes
    caption: str = ""

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


def write_page(
    path: str | Path, title: str, lead: Sequence[str], blocks: Sequence[Table | Picture], facts: Sequence[tuple[str, str]]
) -> None:
    """Write a page: title, paragraphs, tables and pictures in order, and at its foot how it was made."""
    environment = Environment(loader=PackageLoader("latentry", "reports"), autoescape=True, undefined=StrictUndefined)
    template = environment.get_template("page.html")
    write_text(path, template.render(title=title, lead=lead, blocks=blocks, facts=facts))
