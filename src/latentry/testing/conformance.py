"""What a check finds: one promise a row, each kept, broken or not applicable, with what was measured and the way out.

A check asks `Question`s in their order. Each looks at the object and gives a `Finding`; an exception on the way breaks the
promise. What can only be seen where another promise is kept is not looked at else, so that one fault breaks one row.
"""

import html
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from latentry.display.numbers import number
from latentry.names import counted

__all__ = [
    "Conformance",
    "Finding",
    "Promise",
    "Question",
    "Verdict",
    "conformance",
    "finding",
    "not_applicable",
    "undisturbed",
]

Verdict = Literal["kept", "broken", "not applicable"]

_COLUMNS = 120
"""Longest line of a report."""


@dataclass(frozen=True)
class Promise:
    """One row of a report.

    Example:
        >>> Promise("finite data", "broken", 0.5, "NaN or infinity in 32 of 64 rows", "clamp what is divided by").verdict
        'broken'
    """

    name: str
    """What is promised."""
    verdict: Verdict
    """Whether it is kept; `not applicable` where it cannot be looked at, or is optional and not there."""
    figure: float
    """What was measured, as a number; NaN where there is none."""
    measured: str
    """The same in words."""
    way_out: str = ""
    """What to do where it is broken; where it is optional and not there, what it would allow."""


@dataclass(frozen=True, repr=False)
class Conformance:
    """Which promises an object keeps; true if it breaks none.

    Example:
        >>> import torch, latentry as lt
        >>> found = lt.testing.check_generator(lambda z: z.detach(), lt.priors.Normal(2))
        >>> bool(found), [promise.name for promise in found.broken]
        (False, ['has a gradient'])
        >>> found["has a gradient"].verdict
        'broken'
    """

    subject: str
    """What was looked at."""
    promises: tuple[Promise, ...]
    """All rows, in the order in which they were looked at."""

    @property
    def broken(self) -> tuple[Promise, ...]:
        """The rows that are broken."""
        return tuple(promise for promise in self.promises if promise.verdict == "broken")

    def __bool__(self) -> bool:
        return not self.broken

    def __getitem__(self, name: str) -> Promise:
        for promise in self.promises:
            if promise.name == name:
                return promise
        raise KeyError(f"expected one of the promises {[promise.name for promise in self.promises]}, got {name!r}")

    def raise_if_broken(self) -> None:
        """Do nothing where no promise is broken.

        Raises:
            ValueError: One is; the message has all of them, with the ways out.

        Example:
            >>> import torch, latentry as lt
            >>> lt.testing.check_generator(torch.tanh, lt.priors.Normal(2)).raise_if_broken()
        """
        if self.broken:
            lines = [f"{promise.name}: {promise.measured}; {promise.way_out}" for promise in self.broken]
            raise ValueError(f"expected {self.subject} to keep its promises, got {len(lines)} broken:\n" + "\n".join(lines))

    @property
    def _title(self) -> str:
        kept = sum(promise.verdict == "kept" for promise in self.promises)
        broken = counted(len(self.broken), "promise") + " broken" if self.broken else "no promise broken"
        return f"{self.subject}: {broken}, {kept} kept, {len(self.promises) - kept - len(self.broken)} not applicable"

    def __repr__(self) -> str:
        first, second, _ = (max(len(cell) for cell in column) for column in zip(*self._cells(), strict=True))
        lines = _wrapped(self._title, "", "  ")
        for promise, (verdict, name, measured) in zip(self.promises, self._cells(), strict=True):
            head = f"  {verdict:<{first}}  {name:<{second}}  "
            lines += _wrapped(measured, head, " " * len(head))
            if promise.way_out:
                lines += _wrapped(promise.way_out, f"  {'':<{first}}  > ", " " * (first + 6))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The rows as a table, for notebooks."""
        rows = (
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in (*cells, promise.way_out)) + "</tr>"
            for cells, promise in zip(self._cells(), self.promises, strict=True)
        )
        return f"<div><strong>{html.escape(self._title)}</strong><table>{''.join(rows)}</table></div>"

    def _cells(self) -> list[tuple[str, str, str]]:
        return [(promise.verdict, promise.name, promise.measured) for promise in self.promises]


@dataclass(frozen=True)
class Finding:
    """What a look at one promise found."""

    kept: bool | None
    """None where there was nothing to look at, or where something optional is not there."""
    figure: float
    measured: str


@dataclass(frozen=True)
class Question:
    """A promise, and how it is looked at."""

    promise: str
    look: Callable[[], Finding]
    way_out: str = ""
    """What to do where it is broken."""
    allows: str = ""
    """Of something optional: what it would allow."""
    needs: tuple[str, ...] = ()
    """Promises without which there is nothing to see."""


def finding(kept: bool | None, figure: float | int, measured: str) -> Finding:
    """A finding; `{}` in the words is the figure.

    Example:
        >>> finding(True, 0.25, "differ by {}").measured
        'differ by 0.25'
    """
    return Finding(kept, float(figure), measured.format(number(figure)))


def not_applicable(reason: str) -> Finding:
    """There was nothing to look at, and why.

    Example:
        >>> not_applicable("without log_prob").kept is None
        True
    """
    return Finding(None, math.nan, reason)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Torch's own random numbers, as they were before, however many are drawn meanwhile.

    Example:
        >>> before = torch.get_rng_state()
        >>> with undisturbed():
        ...     drawn = torch.rand(3)
        >>> torch.equal(torch.get_rng_state(), before)
        True
    """
    with torch.random.fork_rng(range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()):
        yield


def conformance(subject: str, questions: Sequence[Question], *, raises: bool) -> Conformance:
    """Ask all questions.

    Args:
        subject: What is looked at.
        questions: In their order.
        raises: Whether a broken promise is an error.

    Raises:
        ValueError: A promise is broken, and that is an error.

    Example:
        >>> conformance("a list", [Question("is empty", lambda: finding(True, 0, "has {} items"))], raises=True)
        a list: no promise broken, 1 kept, 0 not applicable
          kept  is empty  has 0 items
    """
    promises: list[Promise] = []
    for question in questions:
        missing = [one.name for one in promises if one.name in question.needs and one.verdict != "kept"]
        promises.append(
            Promise(question.promise, "not applicable", math.nan, f'needs "{missing[0]}"') if missing else _asked(question)
        )
    found = Conformance(subject, tuple(promises))
    if raises:
        found.raise_if_broken()
    return found


def _asked(question: Question) -> Promise:
    try:
        found = question.look()
    except Exception as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        first = (str(error).splitlines() or ["no message"])[0]
        message = first if isinstance(error, ValueError) else f"{type(error).__name__}: {first}"
        return Promise(question.promise, "broken", math.nan, message, question.way_out)
    verdict: Verdict = "not applicable" if found.kept is None else "kept" if found.kept else "broken"
    said = question.way_out if verdict == "broken" else question.allows if verdict == "not applicable" else ""
    return Promise(question.promise, verdict, found.figure, found.measured, said)


def _wrapped(text: str, head: str, margin: str) -> list[str]:
    """Lines of a text, the first one after a head, the others after a margin."""
    return textwrap.wrap(text, _COLUMNS, initial_indent=head, subsequent_indent=margin, drop_whitespace=True) or [head]
