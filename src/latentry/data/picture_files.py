"""Which files of a folder are pictures, and a report of all others.

Links to files and folders are followed. A file is a picture by its suffix or, if the suffix is unknown, by its content.
Other files are left out, counted and named in the notes, except hidden files and system files such as Thumbs.db.
"""

import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from PIL import Image

from latentry.paths import user_path

__all__ = ["Listing", "expand_paths", "is_hidden", "joined", "left_out", "list_pictures", "picture_formats", "subfolders"]

_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "QOI", "TIFF", "WEBP")
"""Formats that hold pixels and begin with a mark of their own; EPS, which is a program, is none of them."""
_SYSTEM = ("thumbs.db", "desktop.ini", "__macosx", "@eadir", "lost+found", "system volume information")
_MOST_LISTED = 5


@dataclass(frozen=True)
class Listing:
    """What lies in a folder and its subfolders."""

    pictures: tuple[Path, ...] = ()
    """Files that are pictures, sorted."""
    others: tuple[Path, ...] = ()
    """Files that are none."""
    special: tuple[Path, ...] = ()
    """What is no file at all: pipes, sockets, devices. They are never opened."""
    loops: tuple[Path, ...] = ()
    """Linked folders that lead back to one above them."""
    results: tuple[Path, ...] = ()
    """Folders that latentry wrote."""
    repeated: tuple[Path, ...] = ()
    """Pictures that were named more than once, which count once."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, in words."""
        kinds = Counter(file.suffix.lower() or "without a suffix" for file in self.others)
        common = [f"{count:,} {kind}" for kind, count in kinds.most_common(_MOST_LISTED)]
        more = [f"{len(kinds) - _MOST_LISTED} other kinds"] if len(kinds) > _MOST_LISTED else []
        return (
            *left_out(self.others, f"of no picture format ({', '.join(common + more)})"),
            *left_out(self.special, "pipes, sockets or devices"),
            *left_out(self.loops, "linked folders that lead back to one above"),
            *left_out(self.results, "folders with results of latentry"),
            *left_out(self.repeated, "named a second time"),
        )


def left_out(paths: Sequence[Path], what: str) -> tuple[str, ...]:
    """A note on what is not read, if there is any."""
    return (f"left out: {len(paths):,} {what}, the first {paths[0]}",) if paths else ()


def joined(listings: Sequence[Listing]) -> Listing:
    """Several listings as one, in their order."""
    parts = ("pictures", "others", "special", "loops", "results", "repeated")
    return Listing(*(tuple(path for listing in listings for path in getattr(listing, part)) for part in parts))


def list_pictures(folder: Path, *, deep: bool = True) -> Listing:
    """The pictures of a folder, sorted, and what else lies there.

    Args:
        folder: Where.
        deep: Whether its subfolders are read too.

    Raises:
        ValueError: A folder cannot be read, or a link leads nowhere.
    """
    kinds: dict[str, list[Path]] = {"pictures": [], "others": [], "special": [], "loops": [], "results": []}
    open_folders: list[tuple[Path, tuple[tuple[int, int], ...]]] = [(folder, (_identity(folder),))]
    while open_folders:
        place, above = open_folders.pop()
        for path in _visible(place):
            mode = _status(path).st_mode
            if stat.S_ISREG(mode):
                kinds["pictures" if _is_picture(path) else "others"].append(path)
            elif not stat.S_ISDIR(mode):
                kinds["special"].append(path)
            elif _is_result(path):
                kinds["results"].append(path)
            elif not deep:
                continue
            elif (here := _identity(path)) in above:
                kinds["loops"].append(path)
            else:
                open_folders.append((path, (*above, here)))
    return Listing(**{kind: tuple(sorted(paths)) for kind, paths in kinds.items()})


def subfolders(folder: Path) -> list[Path]:
    """The subfolders of a folder, linked ones too, sorted; hidden ones and results of latentry are left out.

    Raises:
        ValueError: The folder cannot be read, or a link in it leads nowhere.
    """
    return [path for path in _visible(folder) if stat.S_ISDIR(_status(path).st_mode) and not _is_result(path)]


def expand_paths(paths: Sequence[str | Path], *, once: bool = False) -> Listing:
    """The image files that these paths of files and folders stand for, in the order that `load_images` reads them.

    Args:
        paths: Files and folders.
        once: Whether a file that is named more than once counts once.

    Raises:
        ValueError: There are no paths, one leads nowhere, or a folder has no image.
    """
    if not paths:
        raise ValueError("expected paths of images or folders, got none; name at least one")
    found = joined([_expanded(user_path(path)) for path in paths])
    return _without_repeats(found) if once else found


def _without_repeats(listing: Listing) -> Listing:
    named: set[str] = set()
    first: list[Path] = []
    again: list[Path] = []
    for picture in listing.pictures:
        place = os.path.realpath(picture)
        (again if place in named else first).append(picture)
        named.add(place)
    return replace(listing, pictures=tuple(first), repeated=tuple(again))


@cache
def picture_formats() -> tuple[str, ...]:
    """The formats that are read, as Pillow calls them, of those that it has here."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is hidden, or one that systems put everywhere."""
    return path.name.startswith(".") or path.name.lower() in _SYSTEM


def _expanded(path: Path) -> Listing:
    if not path.is_dir():
        return Listing(pictures=(path,))
    found = list_pictures(path)
    if found.pictures:
        return found
    raise ValueError(f"expected images in the folder {path}, found none{_besides(found)}; name one that holds some")


def _besides(found: Listing) -> str:
    return "".join(f" ({note})" for note in found.notes)


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not is_hidden(path))
    except OSError as error:
        raise ValueError(f"expected a folder that can be read at {folder}, got {error.strerror}; mend or move it") from None


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        what = "a link to a file or folder that exists" if path.is_symlink() else "a file or folder that can be read"
        raise ValueError(f"expected {what} at {path}, got {error.strerror}; mend or remove it") from None


def _identity(folder: Path) -> tuple[int, int]:
    status = _status(folder)
    return status.st_dev, status.st_ino


@cache
def _suffixes() -> frozenset[str]:
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in picture_formats())


def _is_picture(file: Path) -> bool:
    """Whether a file is a picture by its suffix, or else by its content."""
    if file.suffix.lower() in _suffixes():
        return True
    try:
        with Image.open(file, formats=picture_formats()):
            return True
    except Exception:  # whatever a decoder says of a text
        return False


def _is_result(folder: Path) -> bool:
    """Whether latentry wrote a folder: results, or a training that is under way."""
    return any((folder / name).exists() for name in ("results.json", "checkpoints", "model/config.json"))
