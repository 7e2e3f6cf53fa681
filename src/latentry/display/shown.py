"""How a result is displayed: as text, and as HTML in a notebook.

A result names its facts, and draws itself where a picture says more; from these come its `repr`, its cell in a notebook and
its figure. Matplotlib is imported when something is drawn, and not before.
"""

import base64
import html
import textwrap
from collections.abc import Sized
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from latentry.display.numbers import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Facts", "Plottable", "Described"]

_LINES, _COLUMNS = 12, 100
"""Most lines of a `repr`, and their length."""


@dataclass(frozen=True)
class Facts:
    """A result in a few words.

    Example:
        >>> print(Facts("Two codes", (("met", "2 of 2"), ("error", "0.1"))).text())
        Two codes
          met    2 of 2
          error  0.1
    """

    title: str
    """What it is, and of how many things."""
    rows: tuple[tuple[str, str], ...] = ()
    """Names and values, the most important first."""
    meaning: str = ""
    """What it means, in a sentence."""

    def text(self) -> str:
        """All of it, in at most twelve lines of 100 characters."""
        meaning_lines = textwrap.wrap(self.meaning, _COLUMNS, initial_indent="  ", subsequent_indent="  ")[:4]
        rows = self.rows[: _LINES - 1 - len(meaning_lines)]
        width = max((len(name) for name, _ in rows), default=0)
        lines = [self.title, *(f"  {name:<{width}}  {value}" for name, value in rows), *meaning_lines]
        return "\n".join(line if len(line) <= _COLUMNS else f"{line[: _COLUMNS - 3]}..." for line in lines)


class Described:
    """Mixin of results that print in a few lines, without the numbers of any tensor.

    Such a dataclass is made with `repr=False`, so that its own `repr` does not replace the short one here.
    """

    def _facts(self) -> Facts:
        """By default every field, the long ones by their size."""
        assert is_dataclass(self), "a class that is no dataclass overrides _facts"
        rows = tuple((field.name.replace("_", " "), _brief(getattr(self, field.name))) for field in fields(self))
        return Facts(type(self).__name__, rows)

    def _picture(self) -> str:
        """What stands below the facts in a notebook, as HTML."""
        return ""

    def __repr__(self) -> str:
        return self._facts().text()

    def _repr_html_(self) -> str:
        """The facts as a table, for notebooks."""
        facts = self._facts()
        rows = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in facts.rows)
        meaning = f"<p>{html.escape(facts.meaning)}</p>" if facts.meaning else ""
        return f"<div><strong>{html.escape(facts.title)}</strong>{meaning}<table>{rows}</table>{self._picture()}</div>"


class Plottable(Described):
    """Mixin of results that also draw themselves: `_draw` puts them on an empty figure."""

    def _draw(self, figure: Any) -> None:
        raise NotImplementedError

    def plot(self) -> "Figure":
        """A matplotlib figure of the result, to look at or to save with `.savefig(path)`; pyplot is left alone."""
        from latentry.display.drawing import Drawing, finished

        figure = Drawing(figsize=(6.4, 3.2), layout="constrained")
        self._draw(figure)
        return finished(figure)

    def _picture(self) -> str:
        from latentry.display.drawing import png_of

        png = base64.b64encode(png_of(self.plot())).decode("ascii")
        return f'<img alt="{html.escape(self._facts().title)}" src="data:image/png;base64,{png}">'


def _brief(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, Tensor):
        return number(value.item()) if value.numel() == 1 else f"{' x '.join(map(str, value.shape))} numbers"
    if isinstance(value, nn.Module):
        return type(value).__name__
    if isinstance(value, (bool, str)) or value is None:
        return {True: "yes", False: "no", None: "none"}.get(value, str(value))  # type: ignore[arg-type]
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, Described):
        return value._facts().title
    if isinstance(value, Sized) and (len(value) > 4 or len(str(value)) > 80):
        return f"{len(value)} of them"
    return str(value)
