"""Names that are not known: the nearest that is, or what to do instead."""

import pytest

from latentry.names import feature_index, hint

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
