"""The console of all commands, tables and progress bars: text is printed literally, without markup.

A console of rich takes brackets for markup, `:smile:` for a picture and numbers for something to colour; a file may be named
like that. Here no text has a markup, and what a console cannot show is escaped (`latentry.names.printable`).
"""

from typing import Any

from rich.console import Console
from rich.text import Text

from latentry.names import printable

__all__ = ["PlainConsole"]


class PlainConsole(Console):
    """A console without markup, whose sentences are not broken where it ends.

    Args:
        quiet: Whether it says nothing.
        stderr: Whether it writes to standard error, as what is no result does.
        options: Others of a console of rich, such as `file` and `width`.
    """

    def __init__(self, *, quiet: bool = False, stderr: bool = False, **options: Any) -> None:
        plain: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False, "soft_wrap": True}
        super().__init__(quiet=quiet, stderr=stderr, **plain, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text passes here: sentences, cells, headings, titles and notes."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False, "highlight": False})
