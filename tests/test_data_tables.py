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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",file,label\n0,a,x\n", r"a name for each column of .*table\.csv, got none for column 1 in line 1; name it"),
        ("file,label,\na,x,\n", "got none for column 3 in line 1"),
        ("file, ,label\na,1,x\n", "got none for column 2 in line 1"),
        ("file,hat,label,hat\na,1,x,0\n", "different names in .*, got 'hat' for columns 2 and 4 in line 1"),
        ("file,file\na,b\n", "got 'file' for columns 1 and 2"),
        ("file;label\na;x\n", "expected commas between the columns of .*, got semicolons in line 1"),
        ("file\tlabel\na\tx\n", "got tabs in line 1"),
        ("file,label\n\n\na,x,y\n", "got 3 in line 4"),
        ('file,label\na,"x\nb,y\n', "unexpected end of data in line 3"),
        ('file,label\na,"x"y\n', "comma-separated values in .*, got .* in line 2"),
        ("file,label\na," + 200_000 * "x" + "\n", "field larger than field limit .* in line 2"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_by_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_csv(written(tmp_path, text))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_the_line_of_other_encodings_is_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("file,label\na,x\nb,caf\u00e9\n".encode(encoding))
    with pytest.raises(ValueError, match=rf"other bytes in line {1 if encoding == 'utf-16' else 3} .*; save it as UTF-8"):
        read_csv(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.png,x\nb.png,x\na.png,y\n", "each file once in .*, got 'a.png' in line 2 and in line 4; remove one"),
        ("../a.png,x\n", r"files within .*, got '\.\./a\.png' in line 2; copy it into"),
        ("a.png,x\nsub/../../a.png,x\n", "in line 3; copy it into"),
        ("/etc/passwd,x\n", "got '/etc/passwd' in line 2; copy it into"),
        ("a.png,x\n\n,y\n", "expected a file in each row of .*, got none in line 4; fill it in"),
        ("sub,x\n", "expected the file .*sub that .* lists in line 2, found none"),
        ("a\0.png,x\n", "lists in line 2, found none"),
    ],
)
def test_files_that_a_table_must_not_list_are_refused_by_their_line(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    table = read_csv(written(tmp_path, f"file,label\n{rows}"))
    with pytest.raises(ValueError, match=message):
        existing_files(table, tmp_path, "file")


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a file that can be read at .*, got Is a directory"):
        read_csv(tmp_path)
