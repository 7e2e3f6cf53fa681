"""One table, shown on a console or on a page."""

from dataclasses import dataclass

from rich import box
from rich.table import Table as RichTable

from latentry.reports.consoles import PlainConsole

__all__ = ["Table", "print_table"]


@dataclass(frozen=True)
class Table:
    """Rows of text under headings, with a title and a note on how to read it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def only(self, *columns: int) -> "Table":
        """These columns, and no note: for a console, where a page has the rest."""
        names = tuple(self.columns[index] for index in columns)
        return Table(self.title, names, tuple(tuple(row[index] for index in columns) for row in self.rows))


def print_table(table: Table, console: PlainConsole | None = None) -> None:
    """Print to the console; the first column is left-aligned, the others right."""
    rich_table = RichTable(
        title=table.title,
        caption=table.note or None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for index, heading in enumerate(table.columns):
        rich_table.add_column(heading, justify="left" if index == 0 else "right", overflow="fold")
    for row in table.rows:
        rich_table.add_row(*row)
    (console or PlainConsole()).print(rich_table, soft_wrap=False)
