"""Tables of labels on disk: CSV with a header, and lists of words as CelebA has them."""

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from latentry.data.labels import signed_attributes

__all__ = ["Table", "existing_files", "read_csv", "read_words"]

CELLS = {"-1": -1, "0": 0, "1": 1}
UNKNOWN = 2
SEPARATORS = {"semicolons": ";", "tabs": "\t"}


@dataclass(frozen=True)
class Table:
    """Rows of words under named columns."""

    path: Path
    """The file that errors name."""
    columns: tuple[str, ...]
    """Names, no two alike."""
    rows: list[list[str]]
    """As many words as there are columns, for each item."""
    lines: list[int]
    """Where each row stands in the file."""

    def __post_init__(self) -> None:
        for number, name in enumerate(self.columns, start=1):
            if not name:
                raise ValueError(
                    f"expected a name for each column of {self.path}, got none for column {number} in line 1; name it or "
                    "remove it (pandas writes none with `index=False`)"
                )
            if self.columns.index(name) != number - 1:
                raise ValueError(
                    f"expected columns of different names in {self.path}, got {name!r} for columns "
                    f"{self.columns.index(name) + 1} and {number} in line 1; rename or remove one"
                )
        for line, row in zip(self.lines, self.rows, strict=True):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"expected {len(self.columns)} cells in each row of {self.path}, got {len(row)} in line {line}; "
                    "it may be cut short, copy it again"
                )

    def column(self, name: str, *, unique: bool = False) -> list[str]:
        """The cells of one column, none of them empty.

        Args:
            name: Of the column.
            unique: Whether no two cells may be alike.

        Raises:
            ValueError: There is no such column, or a cell of it is empty, or there twice and to be unique.
        """
        if name not in self.columns:
            raise ValueError(
                f"expected a column {name!r} in {self.path}, got columns {list(self.columns)}; name it in line 1"
            )
        index = self.columns.index(name)
        cells = [row[index].strip() for row in self.rows]
        if not all(cells):
            raise ValueError(
                f"expected a {name} in each row of {self.path}, got none in line {self.lines[cells.index('')]}; fill it in"
            )
        if unique and len(set(cells)) < len(cells):
            cell = next(cell for cell, count in Counter(cells).items() if count > 1)
            first, second, *_ = (line for line, other in zip(self.lines, cells, strict=True) if other == cell)
            raise ValueError(
                f"expected each {name} once in {self.path}, got {cell!r} in line {first} and in line {second}; remove one"
            )
        return cells

    def attributes(self, names: Sequence[str]) -> Int[Tensor, "n k"]:
        """Signed attributes from columns of -1, 0, 1 or nothing (unknown); if all cells are 0 or 1, 0 means absent, -1.

        Raises:
            ValueError: A cell holds something else.
        """
        picked = [self.columns.index(name) for name in names]
        codes = np.array([[CELLS.get(row[index], UNKNOWN) for index in picked] for row in self.rows], dtype=np.int64)
        for number, column in np.argwhere(codes == UNKNOWN):
            cell = self.rows[number][picked[column]].strip()
            if cell and cell not in CELLS:
                raise ValueError(
                    f"expected -1, 0, 1 or nothing as attributes in {self.path}, got {cell!r} for {names[column]!r} in line "
                    f"{self.lines[number]}; recode the column or remove it"
                )
            codes[number, column] = CELLS.get(cell, UNKNOWN)
        values = torch.from_numpy(codes).reshape(len(self.rows), len(names))
        return signed_attributes(values.where(values != UNKNOWN, 0), values != UNKNOWN)


def read_words(path: Path) -> tuple[list[list[str]], list[int]]:
    """The words of each line that has any, and the numbers of these lines."""
    found = [(words, line) for line, text in enumerate(_text(path).splitlines(), 1) if (words := _interned(text.split()))]
    return [words for words, _ in found], [line for _, line in found]


def read_csv(path: Path) -> Table:
    """Read comma-separated values under a header.

    Raises:
        ValueError: The file is no UTF-8, is empty or no CSV, columns are nameless or of one name, or a row has another
            number of cells than the header.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        found = [(_interned(row), reader.line_num) for row in reader if row]
    except csv.Error as error:
        raise ValueError(
            f"expected comma-separated values in {path}, got {error} in line {reader.line_num}; mend it"
        ) from None
    if not found:
        raise ValueError(f"expected a header and rows in {path}, found an empty file; write or copy it again")
    (header, _), *rows = found
    if separators := [name for name, sign in SEPARATORS.items() if sign in header[0]]:
        raise ValueError(
            f"expected commas between the columns of {path}, got {separators[0]} in line 1; save it with commas"
        )
    return Table(path, tuple(name.strip() for name in header), [row for row, _ in rows], [line for _, line in rows])


def existing_files(table: Table, folder: Path, column: str) -> list[Path]:
    """The files that a column names, relative to `folder`.

    Raises:
        ValueError: One of them does not exist, lies outside the folder, or is there twice.
    """
    names = table.column(column, unique=True)
    files = [folder / name for name in names]
    for line, name, file in zip(table.lines, names, files, strict=True):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(
                f"expected files within {folder} in {table.path}, got {name!r} in line {line}; copy it into the folder"
            )
        if not file.is_file():
            raise ValueError(
                f"expected the file {file} that {table.path} lists in line {line}, found none; add it or remove its row"
            )
    return files


def _interned(words: Iterable[str]) -> list[str]:
    return [sys.intern(word) for word in words]  # 8 million cells of CelebA are three different strings


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"expected UTF-8 text in {path}, got other bytes in line {line} ({error.reason}); save it as UTF-8"
        ) from None
    except OSError as error:
        raise ValueError(f"expected a file that can be read at {path}, got {error.strerror}; mend or move it") from None
