"""Tables of labels on disk: CSV with a header, and lists of words as CelebA has them."""

import csv
import io
import sys
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


@dataclass(frozen=True)
class Table:
    """Rows of words under named columns."""

    path: Path
    """The file that errors name."""
    columns: tuple[str, ...]
    rows: list[list[str]]

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"expected {len(self.columns)} cells in each row of {self.path}, got {len(row)} in row {number}; "
                    "it may be cut short, copy it again"
                )

    def column(self, name: str) -> list[str]:
        """The cells of one column, none of them empty.

        Raises:
            ValueError: There is no such column, or a cell of it is empty.
        """
        if name not in self.columns:
            raise ValueError(
                f"expected a column {name!r} in {self.path}, got columns {list(self.columns)}; name it in line 1"
            )
        index = self.columns.index(name)
        cells = [row[index].strip() for row in self.rows]
        if not all(cells):
            raise ValueError(
                f"expected a {name} in each row of {self.path}, got none in row {cells.index('') + 1}; fill it in"
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
                    f"expected -1, 0, 1 or nothing as attributes in {self.path}, got {cell!r} for {names[column]!r} in row "
                    f"{number + 1}; recode the column or remove it"
                )
            codes[number, column] = CELLS.get(cell, UNKNOWN)
        values = torch.from_numpy(codes).reshape(len(self.rows), len(names))
        return signed_attributes(values.where(values != UNKNOWN, 0), values != UNKNOWN)


def read_words(path: Path) -> list[list[str]]:
    """The words of each line that has any."""
    return [words for line in _text(path).splitlines() if (words := _interned(line.split()))]


def read_csv(path: Path) -> Table:
    """Read comma-separated values under a header.

    Raises:
        ValueError: The file is no UTF-8, is empty, or a row has another number of cells than the header.
    """
    rows = [_interned(row) for row in csv.reader(io.StringIO(_text(path), newline="")) if row]
    if not rows:
        raise ValueError(f"expected a header and rows in {path}, found an empty file; write or copy it again")
    header, *rows = rows
    return Table(path, tuple(name.strip() for name in header), rows)


def existing_files(table: Table, folder: Path, column: str) -> list[Path]:
    """The files that a column names, relative to `folder`.

    Raises:
        ValueError: One of them does not exist.
    """
    files = [folder / name for name in table.column(column)]
    for file in files:
        if not file.is_file():
            raise ValueError(f"expected the file {file} that {table.path} lists, found none; add it or remove its row")
    return files


def _interned(words: Iterable[str]) -> list[str]:
    return [sys.intern(word) for word in words]  # 8 million cells of CelebA are three different strings


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected UTF-8 text in {path}, got other bytes ({error}); save it as UTF-8") from None
