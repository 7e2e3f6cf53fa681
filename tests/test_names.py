"""Names: shown whatever they hold, and where they are not known, the nearest that is."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentry.names import feature_index, hint, printable

FEATURES = ("bold", "italic", "serif")


def test_a_slip_is_answered_with_the_name_that_was_meant() -> None:
    assert hint("itallic", FEATURES, "choose one of these") == "did you mean 'italic'?"
    assert hint("xyz", FEATURES, "choose one of these") == "choose one of these"


@pytest.mark.parametrize(
    ("features", "message"),
    [(FEATURES, "expected a feature among bold, italic, serif, got 'blod'; did you mean 'bold'"), ((), "among none, got")],
)
def test_a_feature_that_there_is_none_of_is_refused(features: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        feature_index("blod", features)


def test_a_feature_stands_where_it_is_named() -> None:
    assert [feature_index(name, FEATURES) for name in FEATURES] == [0, 1, 2]


@given(st.text(st.characters(codec=None)), st.none() | st.integers(1, 40))
def test_whatever_a_name_holds_is_shown_as_valid_text_on_one_line(name: str, width: int | None) -> None:
    shown = printable(name, width)
    assert shown.encode("utf-8").decode("utf-8") == json.loads(json.dumps(shown)) == shown
    assert len(shown.splitlines()) <= 1
    assert width is None or len(shown) <= width
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (os.fsdecode(b"caf\xe9.png"), r"caf\xe9.png"),
        ("two\nlines\x1b[31m", r"two\nlines\x1b[31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\ud800", r"\ud800"),
        ("[bold]$x$ 猫 é 👩\u200d🚀.png", "[bold]$x$ 猫 é 👩\u200d🚀.png"),
        (Path("a") / "b c.png", "a/b c.png"),
    ],
)
def test_letters_stay_and_what_cannot_be_shown_is_escaped(name: str | Path, shown: str) -> None:
    assert printable(name) == shown


def test_a_long_name_keeps_both_ends() -> None:
    assert printable("a" * 300 + ".png", 20) == "a" * 10 + "…" + "a" * 5 + ".png"
    assert printable("short.png", 20) == "short.png"
