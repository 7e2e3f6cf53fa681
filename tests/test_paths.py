"""Paths as people type them reach the file that a shell would reach."""

from pathlib import Path

import pytest

from latentry.paths import user_path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("below", ["", "/", "/a", "/a b/[c]$d"])
def test_a_tilde_is_the_home_folder(home: Path, below: str) -> None:
    assert user_path(f"~{below}") == user_path(Path(f"~{below}")) == Path(f"{home}{below}")


@pytest.mark.parametrize("text", ["a/~", "./~", "/~", "a~b", "~nobody-of-this-name/a", "-x", "日本", "\udcff.png"])
def test_other_paths_stay_as_they_are(home: Path, text: str) -> None:
    assert user_path(text) == Path(text)


@pytest.mark.parametrize(("text", "message"), [("", "expected a path, got an empty"), ("a\0b", r"got 'a\\x00b'")])
def test_what_names_no_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        user_path(text)
