import gzip
import os
import random
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import DataError
from darkroom.raw import tables
from darkroom.raw.archives import Archives
from tests.support.packed import zip_of


def read(folder: Path, name: str, **options: Any) -> tables.Table:
    return tables.read_table(Archives(folder, folder), name, **options)


def refused(folder: Path, data: bytes, name: str = "t.csv") -> str:
    (folder / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        read(folder, name)
    return str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"a,b\n1,x\n2,y\n",
        b"a,b\r\n1,x\r\n2,y\r\n",
        b"a,b\r1,x\r2,y\r",
        b"\xef\xbb\xbfa,b\n1,x\n2,y",
        b'"a","b"\n"1","x"\n"2","y"\n\n',
        b" a , b\n1,x\n2,y\n",
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.csv.zip", "t.csv.gz"])
@pytest.mark.parametrize("packing", ["none", "zip", "gzip"])
def test_every_dialect_gives_the_same_table(
    tmp_path: Path, data: bytes, name: str, packing: str
) -> None:
    """Clients save packed tables under plain names, and browsers unpack and keep the name."""
    if packing == "zip":
        zip_of(tmp_path / name, {"t.csv": data, "__MACOSX/._t.csv": b"junk"})
    else:
        (tmp_path / name).write_bytes(gzip.compress(data, mtime=0) if packing == "gzip" else data)
    table = read(tmp_path, "t.csv")
    assert table.header == ("a", "b")
    assert table.rows == [["1", "x"], ["2", "y"]]
    assert list(table.lines) == [2, 3]
    assert table.column("b") == table.column(1) == ["x", "y"]


def test_a_further_column_has_a_name_and_no_position(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"key,cell\na_x,1\nb_y,2\n")
    table = read(tmp_path, "t.csv").with_columns({"image": ["a", "b"], "label": ["x", "y"]})
    assert table.names("image") == table.column("image") == ["a", "b"]
    assert table.names("label") == ["x", "y"]
    with pytest.raises(DataError, match="no column 2"):
        table.names(2)


def test_a_position_that_is_another_columns_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"id,0,1,3\na,b,c,d\n")
    table = read(tmp_path, "t.csv")
    assert table.column("1") == ["c"]  # a name, as it is in quotes
    assert table.column(2) == ["c"]
    assert table.column(3) == ["d"]  # both are one column
    with pytest.raises(DataError, match=r"1 is two columns.*\n.*found: '0' at position 1"):
        table.column(1)


def test_cells_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes('id;n\n007;NA\n" é";"1\n2"\n3;4\n'.encode())
    table = read(tmp_path, "t.csv", delimiter=";")
    assert table.rows == [["007", "NA"], [" é", "1\n2"], ["3", "4"]]
    assert list(table.lines) == [2, 3, 5]


def test_a_table_of_one_column_may_hold_other_delimiters(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a;b\n1\n2;3\n")
    assert read(tmp_path, "t.csv").rows == [["1"], ["2;3"]]
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(DataError, match="the cells are separated by a comma"):
        read(tmp_path, "t.csv", delimiter=";")


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n1," + b"9" * 200_000)
    assert len(read(tmp_path, "t.csv").rows[0][1]) == 200_000


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "t.csv: not a table\n  found: an empty file"),
        (b"\n \n", "t.csv: the file is empty\n  found: blank lines\n  expected: a table of text"),
        (b"\xef\xbb\xbf\n", "t.csv: the file is empty\n  found: blank lines"),
        (b"\xef\xbb\xbf", "t.csv: the file is empty\n  found: blank lines"),
        (b"\t\n\x1c\t", "t.csv: the file is empty\n  found: blank lines"),
        (b"<!DOCTYPE html><html>quota", "found: an HTML page\n  expected: a table of text, UTF-8"),
        (b"PK\x03\x04", "the zip has no end"),
        (
            "a,b\n".encode("utf-16"),
            "found: UTF-16 text\n  expected: a table of text, UTF-8\n  to do: save it as UTF-8",
        ),
        (
            "a,b\n".encode("utf-16-le"),
            "found: UTF-16 text without its mark\n  expected: a table of text, UTF-8\n"
            "  to do: save it as UTF-8",
        ),
        ("a,b\n".encode("utf-16-be"), "found: UTF-16 text without its mark"),
        (b"\0\0\0\0", "found: binary data"),
        (
            b"sep=,\na,b\n1,x\n",
            "row 1: the first line is a note for Excel, not a header\n  found: sep=,\n"
            "  expected: the names of the columns\n  to do: delete this line",
        ),
        (b'"SEP=;"\na;b\n1;x\n', "row 1: the first line is a note for Excel"),
        (
            b"a;b\n1;x\n",
            "row 1: the cells are separated by a semicolon\n  found: 'a;b'\n"
            '  expected: cells separated by a comma\n  to do: write delimiter: ";"',
        ),
        (b"a;b\n1;0,5\n", "row 1: the cells are separated by a semicolon"),
        (
            b"a\tb\n1\tx\n",
            "by a tab\n  found: 'a\\tb'\n  expected: cells separated by a comma",
        ),
        (b"a\tb\n1\tx\n", 'write delimiter: "\\t"'),
        (b"a,b\n1,\0\n", "found: binary data"),
        (b"a,b\n1,\xe9\n", "row 2: not UTF-8 text\n  found: byte 0xe9"),
        (b"a,a\n1,2\n", "row 1: a column name comes twice\n  found: a"),
        (b"a,b\n", "a header and no rows"),
        (b"a,b\n1,2\n3\n", "row 3: a row of another length than the header\n  found: 1 cells: 3"),
        (b"a,b\n1,2,3\n", "row 2: a row of another length than the header\n  found: 3 cells"),
        (b'a,b\n1,"2\n', "row 2: wrongly quoted"),
        (b'a,b\n1,"2"x\n', "row 2: wrongly quoted"),
        (b'"a";"b"\n"1";"x"\n', 'row 1: the cells are separated by a semicolon\n  found: \'"a";'),
        (b'a,b\n"1";"x"\n', "row 2: the cells are separated by a semicolon"),
        (b'a,b\r"1";"x"\r', "row 2: the cells are separated by a semicolon"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-3], "can't be read"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    assert words in refused(tmp_path, data)


def test_the_error_for_a_missing_table_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(b"a\n1\n")
    with pytest.raises(DataError) as caught:
        read(tmp_path, "trian.csv")
    assert "trian.csv is missing\n  found: train.csv" in str(caught.value)
    assert "expected: trian.csv or trian.csv.zip or trian.csv.gz" in str(caught.value)


def test_a_zip_of_two_tables_is_refused(tmp_path: Path) -> None:
    zip_of(tmp_path / "t.csv.zip", {"t.csv": b"a\n1", "u.csv": b"a\n1"})
    with pytest.raises(DataError, match="an archive of one table holds more") as caught:
        read(tmp_path, "t.csv")
    assert "found: t.csv.zip/t.csv, t.csv.zip/u.csv\n  expected: t.csv alone" in str(caught.value)


def test_the_error_for_a_wrong_column_lists_the_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b",img,label\n0,a,1\n")
    table = read(tmp_path, "t.csv")
    with pytest.raises(DataError) as caught:
        table.column("lable")
    assert "row 1: no column 'lable'\n  found: 3 columns: '', 'img', 'label'" in str(caught.value)
    assert "is it 'label'?" in str(caught.value)
    for place in (3, -1):
        with pytest.raises(DataError, match=f"no column {place}"):
            table.column(place)


def test_names_must_differ_and_not_be_empty(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"img,n\na,1\nb,2\na,3\n,4\n")
    table = read(tmp_path, "t.csv")
    with pytest.raises(DataError, match=r"t\.csv, row 5: column img is empty") as caught:
        table.names("img")
    assert "found: 1 of 4 rows: 5" in str(caught.value)
    (tmp_path / "t.csv").write_bytes(b"img,n\na,1\nb,2\na,3\n")
    table = read(tmp_path, "t.csv")
    with pytest.raises(DataError, match="1 rows repeat an id\n  rows 2 and 4: a"):
        tables.check_unique(table.names("img"), table.lines, table.file)


def test_a_table_without_a_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"0.jpeg,1\n1.jpeg,0\n")
    with pytest.raises(DataError, match="row 1: the first row is data, not a header") as caught:
        read(tmp_path, "t.csv").names(0)
    assert "found: 0.jpeg\n  expected: the names of the columns" in str(caught.value)


def test_any_damage_is_harmless_or_refused(tmp_path: Path) -> None:
    table, chance, refusals = b'a,b\n1,"x ""y"\n2,y\n', random.Random(1), 0
    for _ in range(120):
        data = bytearray(table)
        start = chance.randrange(len(data))
        end = start + chance.choice([0, 1, 1, 2, 20])
        data[start:end] = chance.choice([b"", b'"', b"\n", b",", b"\r", b"\xef\xbb\xbf", b"\xff"])
        (tmp_path / "t.csv").write_bytes(data)
        try:
            read(tmp_path, "t.csv")
        except DataError:
            refusals += 1
    assert 30 < refusals < 90


def test_a_pipe_is_no_table(tmp_path: Path) -> None:
    """Opening one would wait for ever."""
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"a\.csv: a pipe or a device, and no table"):
        tables.read_table(Archives(tmp_path, tmp_path), "a.csv")
