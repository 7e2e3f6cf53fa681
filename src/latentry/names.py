"""Names that users give: how they are printed safely, and the message for an unknown one."""

import difflib
import os
import unicodedata
from collections.abc import Sequence

__all__ = ["counted", "feature_index", "hint", "printable"]

_JOINERS = "\u200c\u200d"
"""Of Persian words and of composed emoji: invisible, and part of how a name is written."""


def printable(text: str | os.PathLike[str], width: int | None = None) -> str:
    r"""A name as every console, table, figure, page and record can show it: valid Unicode on one line.

    Bytes that are not UTF-8, control characters, line breaks and marks that turn the direction of writing are written as
    escapes; letters of all scripts stay. What has a markup of its own (rich, HTML, TeX) escapes that besides.

    Args:
        text: A name or a path.
        width: Most characters; a longer name loses its middle. No limit by default.

    Example:
        >>> printable("tab\there, byte \udcff, 猫 [bold]")
        'tab\\there, byte \\xff, 猫 [bold]'
        >>> printable("a-very-long-name.png", width=11)
        'a-ver…e.png'
    """
    printable_text = "".join(map(_printable_letter, os.fspath(text)))
    if width is None or len(printable_text) <= width:
        return printable_text
    room = max(width - 1, 0)
    return printable_text[: room - room // 2] + "…" + printable_text[len(printable_text) - room // 2 :]


def _printable_letter(letter: str) -> str:
    if letter.isprintable() or letter in _JOINERS or unicodedata.category(letter) == "Zs":
        return letter
    if "\udc80" <= letter <= "\udcff":  # how Python holds a byte of a file name that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")


def counted(count: int, noun: str) -> str:
    """A number of things in words.

    Example:
        >>> counted(1, "image"), counted(2000, "image")
        ('1 image', '2,000 images')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def hint(name: str, known: Sequence[str], otherwise: str) -> str:
    """The known name that was probably meant, as a question; `otherwise` where none is like it."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else otherwise


def feature_index(name: str, features: Sequence[str]) -> int:
    """Where a feature stands among others.

    Raises:
        ValueError: There is no such feature.
    """
    if name not in features:
        raise ValueError(
            f"expected a feature among {', '.join(features) or 'none'}, got {name!r}; "
            f"{hint(name, features, 'choose one of these')}"
        )
    return list(features).index(name)
