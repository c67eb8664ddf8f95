"""Pixels in the cells of a table: a value a cell, or many."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from darkroom.errors import DataError
from darkroom.raw.archives import Archives
from darkroom.raw.tables import pixels, read_pixels, read_table
from tests.support.packed import zip_of


def read(folder: Path, name: str, data: bytes, columns: list[str], **options: Any) -> Any:
    (folder / name).write_bytes(data)
    return read_pixels(Archives(folder, folder), name, columns, **options)


DIGITS = b"label,p0,p1\n7,0,255\n\n3,1,2\n"


@pytest.mark.parametrize(
    ("name", "data", "options"),
    [
        ("t.csv", DIGITS, {}),
        ("t.csv", b"\xef\xbb\xbf" + DIGITS.replace(b"\n", b"\r\n"), {}),
        ("t.csv", DIGITS.replace(b"\n", b"\r"), {}),
        ("t.csv", b"\n" + DIGITS.replace(b"p0", b'"p0"'), {}),
        ("t.csv", DIGITS.replace(b",", b";"), {"delimiter": ";"}),
        ("t.csv", DIGITS.partition(b"\n")[2], {"names": ["label", "p0", "p1"]}),
        ("t.txt", DIGITS.replace(b",", b"  "), {}),
        ("t.tsv", DIGITS.replace(b",", b"\t"), {}),
        ("t.csv", DIGITS.replace(b"255", b"255.0"), {}),
        ("t.json", b'[{"p0": 0, "p1": 255}, {"p0": 1, "p1": 2}]', {}),
        ("t.csv", b'label,p,q\n"a, b",0,255\n"c",1,2', {"columns": ["p", "q"]}),
        ("t.csv", b"label,p\na,0 255\nb,1 2\n", {"columns": ["p"]}),
        ("t.csv", b"label,p\na, 0  255 \nb,1 2\n", {"columns": ["p"]}),
        ("t.json", b'[{"b": [0, 255]}, {"b": [1, 2]}]', {"columns": ["b"]}),
    ],
)
def test_pixels_are_read_from_every_dialect(
    tmp_path: Path, name: str, data: bytes, options: dict[str, Any]
) -> None:
    values = read(tmp_path, name, data, options.pop("columns", ["p0", "p1"]), **options)
    assert values.dtype == np.uint8
    assert values.tolist() == [[0, 255], [1, 2]]


@pytest.mark.parametrize("cells", [b"0.5,256", b"-1,1e3", b"0,65535"])
def test_other_values_are_floats(tmp_path: Path, cells: bytes) -> None:
    values = read(tmp_path, "t.csv", b"p0,p1\n" + cells + b"\n", ["p0", "p1"])
    assert values.dtype == np.float32
    assert values.tolist() == [list(map(float, cells.split(b",")))]


def test_columns_keep_their_order_and_several_lie_behind_each_other(tmp_path: Path) -> None:
    data = b"a,b\n1 2,3 4\n5 6,7 8\n"
    assert read(tmp_path, "t.csv", data, ["b", "a"]).tolist() == [[3, 4, 1, 2], [7, 8, 5, 6]]


def test_pixels_of_parquet(tmp_path: Path) -> None:
    columns = {
        "p0": pa.array([0, 1], pa.int64()),
        "p1": pa.array([255.0, 2.0]),
        "v": pa.array([[0, 255], [1, 2]]),
        "t": pa.array(["0 255", "1 2"]),
        "gap": pa.array([1, None]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    archives = Archives(tmp_path, tmp_path)
    for names in (["p0", "p1"], ["v"], ["t"]):
        assert read_pixels(archives, "t.parquet", names).tolist() == [[0, 255], [1, 2]]
    for name in ("gap", "none"):
        with pytest.raises(DataError, match="a column of pixels holds no numbers, or is not there"):
            read_pixels(archives, "t.parquet", [name])


def test_columns_named_by_row_and_column_are_read_as_quickly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Row by row, as hexadecimal numbers must be, MNIST's 60,000 rows take ten seconds.
    monkeypatch.setattr(pixels, "_read_strictly", None)
    values = read(tmp_path, "t.csv", b"label,9x1,10x1\n5,1,2\n7,3,4\n", ["9x1", "10x1"])
    assert values.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"p0,p1\n1,2\n3,\n", "row 3: no number in column p1\n  found: ''"),
        (b"p0,p1\n1,2\n3,1_0\n", "row 3: no number in column p1\n  found: '1_0'"),
        (b"p0,p1\n1,2\n0x10,3\n", "row 3: no number in column p0\n  found: '0x10'"),
        ("p0,p1\n1,2\n3,\u0661\n".encode(), "row 3: no number in column p1\n  found: '\u0661'"),
        (b"p0,p1\n1,2\n\n3,NA\n", "row 4: no number in column p1\n  found: 'NA'"),
        (b"p0,p1\n1,2\nnan,3\n", "row 3: no number in column p0\n  found: 'nan'"),
        (b"x,p0,p1\n1\n3,4,5\n", "row 2: a row of another length"),
        (b"p0,p1\n1,2\n3\n", "row 3: a row of another length"),
        (b"p0,p1\n1 2,3\n4,5\n", "row 3: a row of more or fewer pixels\n"),
        (b"p0,q1\n1,2\n", "no column 'p1'"),
    ],
)
def test_what_is_no_pixel_is_refused_with_row_and_column(
    tmp_path: Path, data: bytes, words: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, "t.csv", data, ["p0", "p1"])
    assert words.rstrip("\n") in str(caught.value)


def test_both_readers_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (50, 30))
    lines = [",".join(f"c{n}" for n in range(30))]
    for row in values:
        lines += [",".join(map(str, row)), *[""] * int(rng.integers(2))]
    data = "\n".join(lines).encode()
    zip_of(tmp_path / "t.csv.zip", {"t.csv": data})
    archives = Archives(tmp_path, tmp_path)
    names = [f"c{n}" for n in range(30)]
    fast = read_pixels(archives, "t.csv", names)
    monkeypatch.setattr(pixels, "_ERRORS", (ValueError,))
    monkeypatch.setattr(pixels, "_HEAD_BYTES", 0)

    def refuse(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(pixels, "_read_csv", refuse)
    strict = read_pixels(archives, "t.csv", names)
    assert fast.dtype == strict.dtype == np.uint8
    assert fast.tolist() == strict.tolist() == values.tolist()
    assert len(read_table(archives, "t.csv").rows) == len(fast)
