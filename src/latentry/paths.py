"""Paths as users type them."""

import os.path
from pathlib import Path

__all__ = ["folder_name", "user_path"]


def user_path(text: str | Path) -> Path:
    """The path that a user typed, with a leading `~` or `~name` replaced by that home folder.

    A `~name` of nobody is kept as it is, as shells do.

    Raises:
        ValueError: The text is empty or holds a null character, so that it names no file.
    """
    if not str(text):
        raise ValueError("expected a path, got an empty text; name a file or folder, or . for the folder you are in")
    if "\0" in str(text):
        raise ValueError(f"expected a path without null characters, got {str(text)!r}; correct it")
    return Path(os.path.expanduser(text))  # noqa: PTH111  # Path.expanduser takes the file ./~ for the home folder


def folder_name(folder: Path) -> str:
    """What a folder is called, be it written as `.` or `..`."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name
