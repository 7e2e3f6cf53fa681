from pathlib import Path

import pytest

from latentry.data.tables import existing_files, read_csv


def written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "text", ["file,kind\r\na, x\r\nb,y\r\n", "\ufefffile,kind\na,x\n\nb,y", '"file","kind"\na,x\nb,"y"\n']
)
def test_the_dialects_of_spreadsheets_are_read_alike(tmp_path: Path, text: str) -> None:
    table = read_csv(written(tmp_path, text))
    assert (table.column("file"), table.column("kind")) == (["a", "b"], ["x", "y"])


def test_attributes_are_signed_and_an_empty_cell_is_unknown(tmp_path: Path) -> None:
    table = read_csv(written(tmp_path, "file,hat,tie\na,1,-1\nb,, 1\nc,0,-1\n"))
    assert table.attributes(["hat", "tie"]).tolist() == [[1, -1], [0, 1], [0, -1]]


def test_zero_is_absent_in_a_table_of_zeros_and_ones(tmp_path: Path) -> None:
    table = read_csv(written(tmp_path, "file,hat,tie\na,1,0\nb,,1\n"))
    assert table.attributes(["hat", "tie"]).tolist() == [[1, -1], [0, 1]]


@pytest.mark.parametrize("cell", ["0.5", "yes", "2"])
def test_an_attribute_that_is_no_sign_is_named(tmp_path: Path, cell: str) -> None:
    table = read_csv(written(tmp_path, f"file,hat\na,1\nb,{cell}\n"))
    with pytest.raises(ValueError, match=rf"table\.csv, got '{cell}' for 'hat' in line 3; recode"):
        table.attributes(["hat"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found an empty file"),
        ("file,label\na,1\nb\n", "expected 2 cells in each row of .*table.csv, got 1 in line 3"),
    ],
)
def test_a_table_that_is_cut_short_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_csv(written(tmp_path, text))


def test_text_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("file,näme\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"UTF-8 text in .*table\.csv"):
        read_csv(path)


@pytest.mark.parametrize(
    ("column", "message"),
    [("label", "column 'label' in .*table.csv, got columns"), ("kind", "expected a kind .* none in line 3")],
)
def test_a_missing_column_or_cell_is_named(tmp_path: Path, column: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_csv(written(tmp_path, "file,kind\na,x\nb,\n")).column(column)


def test_a_listed_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    table = read_csv(written(tmp_path, "file,label\ntable.csv,x\ngone.png,x\n"))
    with pytest.raises(ValueError, match=r"gone\.png that .*table\.csv lists in line 3, found none"):
        existing_files(table, tmp_path, "file")
