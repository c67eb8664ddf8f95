"""Tables in JSON and Parquet, in columns of blanks, and joined ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from darkroom.errors import DataError, ParamsError
from darkroom.raw.archives import Archives
from darkroom.raw.tables import Table, join_tables, read_header, read_table, table_files


def read(
    folder: Path, name: str, data: bytes | dict[str, Any] | list[Any], **options: Any
) -> Table:
    if not isinstance(data, bytes):
        data = json.dumps(data).encode()
    (folder / name).write_bytes(data)
    return read_table(Archives(folder, folder), name, **options)


def refused(
    folder: Path, name: str, data: bytes | dict[str, Any] | list[Any], **options: Any
) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, name, data, **options)
    assert len(str(caught.value)) < 3000
    return str(caught.value)


IMAGES: list[dict[str, Any]] = [
    {"id": 7, "file_name": "b.jpg", "width": 4.50},
    {"id": 3, "file_name": "a.jpg"},
]
KINDS = [{"id": 1, "name": "cat", "supercategory": "pet"}, {"id": 2, "name": "dog"}]
NOTES = [
    {"id": 9, "image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4], "segmentation": [[1, 2]]},
    {"id": 8, "image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": [[1, 2]]},
]


def test_images_are_joined_to_annotations_and_categories(tmp_path: Path) -> None:
    coco = {"info": {}, "images": IMAGES, "categories": KINDS, "annotations": NOTES}
    table = read(tmp_path, "t.json", coco)
    assert table.header == (
        *("id", "file_name", "width", "annotation_id", "category_id"),
        *("category_name", "category_supercategory"),
    )
    assert table.rows == [
        ["7", "b.jpg", "4.5", "9", "2", "dog", ""],
        ["7", "b.jpg", "4.5", "8", "1", "cat", "pet"],
        ["3", "a.jpg", "", "", "", "", ""],
    ]
    assert list(table.lines) == [1, 2, 3]


def test_images_alone_are_a_table_and_may_call_their_id_image_id(tmp_path: Path) -> None:
    alone: list[dict[str, Any]] = [{"images": IMAGES}, {"images": IMAGES, "annotations": []}]
    for content in alone:
        assert read(tmp_path, "t.json", content).column("id") == ["7", "3"]
    images: list[dict[str, Any]] = [{"image_id": "00__1", "file_name": "a.jpg"}]
    notes: list[dict[str, Any]] = [{"image_id": "00__1", "category_id": 5, "genus_id": 2}]
    kinds: list[dict[str, Any]] = [
        {"category_id": 5, "scientificName": "Abies", "category_rank": "x"}
    ]
    coco = {"images": images, "annotations": notes, "categories": kinds}
    table = read(tmp_path, "t.json", coco)
    assert dict(zip(table.header, table.rows[0], strict=True)) == {
        **{"image_id": "00__1", "file_name": "a.jpg", "category_id": "5", "genus_id": "2"},
        **{"category_scientificName": "Abies", "category_rank": "x"},
    }


def test_a_list_of_records_is_a_table(tmp_path: Path) -> None:
    records = [
        {"id": "x", "n": 1, "band": [0.5, -2], "is": True, "deep": {"a": 1}},
        {"id": "y", "n": None, "late": "z", "band": []},
    ]
    for content in (records, {"count": 2, "data": records}):
        table = read(tmp_path, "t.json", content)
        assert table.header == ("id", "n", "band", "is", "late")
        assert table.rows == [["x", "1", "0.5 -2", "True", ""], ["y", "", "", "", "z"]]
    assert read(tmp_path, "t.json", records, leave_out=["b*"]).left_out == ("band",)


def test_json_keeps_the_digits_of_numbers_and_may_be_latin_1(tmp_path: Path) -> None:
    table = read(tmp_path, "t.json", b'[{"n": 1.10, "m": 1e3, "k": NaN, "u": "\xe9"}]')
    assert table.rows == [["1.10", "1e3", "", "é"]]
    assert table.encoding == "latin-1"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'[{"a": 1},\n{"a" 1}]', "row 2: can't be read"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "no table in JSON\n  found: list"),
        (
            json.dumps([{f"c{n}": 1} for n in range(1_100)]).encode(),
            "nearly all cells of the table would be empty\n  found: 1,100 records of",
        ),
        (b'{"a.jpg": "cat"}', "no table in JSON\n  found: the keys a.jpg"),
        (b'{"train": [{"a": 1}], "test": [{"a": 1}]}', "2 lists of records\n  found: the keys tra"),
        (b'{"images": [1]}', "images is no list of records"),
        (b'{"images": []}', "no images"),
        (b'{"images": [{"file_name": "a"}]}', "one of images has no id"),
        (
            b'{"images": [{"id": 1}, {"id": "1"}]}',
            "images have an id twice\n  found: 1, at number 2",
        ),
        (
            b'{"images": [{"id": 1}], "annotations": [{"image_id": 2}]}',
            "an annotation of none of images\n  found: image_id 2, of annotation number 1",
        ),
        (
            b'{"images": [{"id": 1}], "annotations": [{"image_id": 1, "category_id": 4}], '
            b'"categories": [{"id": 3}]}',
            "an annotation of none of categories\n  found: category_id 4",
        ),
    ],
)
def test_what_is_no_list_of_images_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in refused(tmp_path, "t.json", content)


def test_ids_that_pandas_wrote_as_floats_are_those_of_coco(tmp_path: Path) -> None:
    notes = [{"image_id": 7.0, "category_id": 5.00}, {"image_id": "3", "category_id": 5}]
    kinds = [{"id": 5.0, "name": "cat"}]
    table = read(tmp_path, "t.json", {"images": IMAGES, "annotations": notes, "categories": kinds})
    assert table.column("id") == ["7", "3"]
    assert table.column("category_id") == ["5", "5"]
    assert table.column("category_name") == ["cat", "cat"]


def test_json_may_be_utf_16(tmp_path: Path) -> None:
    text = json.dumps([{"name": "é"}], ensure_ascii=False)
    for encoding in ("utf-16", "utf-16-le", "utf-8-sig"):
        table = read(tmp_path, "t.json", text.encode(encoding))
        assert table.rows == [["é"]]


def test_a_column_that_holds_no_cells_is_said_to(tmp_path: Path) -> None:
    table = read(tmp_path, "t.json", [{"id": 1, "label": {"name": "a"}, "boxes": [[1], [2]]}])
    data = parquet(tmp_path / "x", id=pa.array([1]), label=pa.array([{"name": "a"}]))
    for each in (table, read(tmp_path, "t.parquet", data)):
        with pytest.raises(DataError, match="column 'label' holds no cells"):
            each.position("label")


def test_a_word_of_coco_is_led_to_its_columns(tmp_path: Path) -> None:
    table = read(tmp_path, "t.json", [{"id": 1, "file_name": "a", "category_name": "b"}])
    with pytest.raises(DataError, match="is it 'file_name' or 'category_name'"):
        table.position("name")


def parquet(path: Path, **columns: Any) -> bytes:
    pq.write_table(pa.table(columns), path)
    return path.read_bytes()


def test_numbers_of_parquet_are_those_of_a_csv(tmp_path: Path) -> None:
    data = parquet(
        tmp_path / "x",
        i=pa.array([1, None, -3]),
        w=pa.array([1.0, float("nan"), 3.0]),
        f=pa.array([0.1, None, 3.0], pa.float32()),
        s=pa.array(["007", "", None]),
        d=pa.array(["a", "b", "a"]).dictionary_encode(),
        b=pa.array([True, False, None]),
        v=pa.array([[1, 2], [], None]),
        raw=pa.array([b"\0", b"", b""]),
        deep=pa.array([{"a": 1}] * 3),
    )
    table = read(tmp_path, "t.parquet", data)
    assert table.header == ("i", "w", "f", "s", "d", "b", "v")
    assert table.rows == [
        ["1", "1", "0.1", "007", "a", "True", "1 2"],
        ["", "", "", "", "b", "False", ""],
        ["-3", "3", "3.0", "", "a", "", ""],
    ]
    table = read(tmp_path, "t.csv", data, leave_out=["[b-w]"])  # what it holds counts
    assert (table.header, table.left_out) == ((), ("i", "w", "f", "s", "d", "b", "v"))
    assert read_header(Archives(tmp_path, tmp_path), "t.parquet") == (
        "i",
        "w",
        "f",
        "s",
        "d",
        "b",
        "v",
    )


def test_a_damaged_parquet_is_refused(tmp_path: Path) -> None:
    data = parquet(tmp_path / "x", a=pa.array(range(1000)))
    assert "can't be read" in refused(tmp_path, "t.parquet", data[:-5])
    assert "can't be read" in refused(tmp_path, "t.parquet", data[:4] + bytes(400) + data[404:])
    data = parquet(tmp_path / "x", name=pa.array(["text"]))
    for old, new in ((b"name", b"na\xffe"), (b"text", b"te\xfft")):
        assert "can't be read" in refused(tmp_path, "t.parquet", data.replace(old, new))
    with pytest.raises(DataError, match="names its columns"):
        read(tmp_path, "t.parquet", data, columns=["a"])
    options: dict[str, Any] = {"use_dictionary": False, "compression": "none"}
    pq.write_table(pa.table({"a": [7, 1500]}), tmp_path / "x", write_page_checksum=True, **options)
    data = (tmp_path / "x").read_bytes()
    place = data.index(b"\x07" + bytes(7) + b"\xdc\x05")  # of the two values, side by side
    data = data[:place] + b"\x08" + data[place + 1 :]
    assert "CRC checksum verification failed" in refused(tmp_path, "t.parquet", data)
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 2, names=["a", "a"]), tmp_path / "x")
    assert "a column name comes twice" in refused(
        tmp_path, "t.parquet", (tmp_path / "x").read_bytes()
    )
    data = parquet(tmp_path / "x", a=pa.array([], pa.int8()))
    assert "a header and no rows" in refused(tmp_path, "t.parquet", data)


def test_millions_of_rows_in_a_few_bytes_are_refused(tmp_path: Path) -> None:
    data = parquet(tmp_path / "x", a=pa.array(np.zeros(20_000_001, np.int8)))
    assert "more rows than any table of images\n  found: 20,000,001" in refused(
        tmp_path, "t.parquet", data
    )


OFFICIAL = b"2\r\nSmiling Male \r\n000001.jpg -1  1\r\n000002.jpg  1 -1\r\n"


@pytest.mark.parametrize(
    ("name", "data", "header"),
    [
        ("t.txt", OFFICIAL, "image_id Smiling Male"),
        ("t.txt", OFFICIAL.partition(b"\n")[2], "image_id Smiling Male"),
        ("t.txt", OFFICIAL.replace(b"Smiling", b"id Smiling"), "id Smiling Male"),
        ("t.txt", b"2\nid,a,b\n000001.jpg,-1,1\n000002.jpg,1,-1", "id a b"),
        ("t.txt", b"id\ta\tb\n000001.jpg\t-1\t1\n000002.jpg\t1\t-1", "id a b"),
        ("t.tsv", b"id\ta\tb\n000001.jpg\t-1\t1\n000002.jpg\t1\t-1", "id a b"),
        ("t.csv", b"id,a,b\n000001.jpg,-1,1\n000002.jpg,1,-1", "id a b"),
    ],
)
def test_every_dialect_of_text_is_read(tmp_path: Path, name: str, data: bytes, header: str) -> None:
    table = read(tmp_path, name, data)
    assert table.header == tuple(header.split())
    assert table.rows == [["000001.jpg", "-1", "1"], ["000002.jpg", "1", "-1"]]
    assert table.declared == (2 if data.startswith(b"2") else None)
    assert read_header(Archives(tmp_path, tmp_path), name) == table.header


def test_fewer_rows_than_declared_are_refused_and_more_are_not(tmp_path: Path) -> None:
    words = refused(tmp_path, "t.txt", OFFICIAL.replace(b"2\r", b"3\r", 1))
    assert "fewer rows than the file declares\n  found: 2 rows\n  expected: 3 rows" in words
    assert len(read(tmp_path, "t.txt", OFFICIAL.replace(b"2\r", b"1\r", 1)).rows) == 2


@pytest.mark.parametrize("head", [b"", b"image_id,partition\n"])
def test_a_table_without_a_header_gets_the_given_names(tmp_path: Path, head: bytes) -> None:
    data = head + b"a.jpg,0\nb.jpg,2\n"
    table = read(tmp_path, "t.csv", data, columns=["image_id", "partition"])
    assert table.header == ("image_id", "partition")
    assert table.rows == [["a.jpg", "0"], ["b.jpg", "2"]]
    assert list(table.lines) == ([2, 3] if head else [1, 2])
    words = refused(tmp_path, "t.csv", data, columns=["image_id"])
    assert "a row of another length than `columns`" in words


def test_columns_may_be_left_out(tmp_path: Path) -> None:
    data = b"label,pixel0,pixel1,use\n7,0,255,train\n"
    table = read(tmp_path, "t.csv", data, leave_out=["pixel*"])
    assert (table.header, table.rows) == (("label", "use"), [["7", "train"]])
    assert table.left_out == ("pixel0", "pixel1")
    assert table.column(3) == ["train"]  # positions are those of the file
    with pytest.raises(DataError, match="no column 1"):
        table.column(1)


def pair(tmp_path: Path, left: bytes, right: bytes) -> Table:
    return join_tables([read(tmp_path, "l.csv", left), read(tmp_path, "r.csv", right)])


def test_tables_are_joined_on_the_columns_they_share(tmp_path: Path) -> None:
    table = pair(
        tmp_path, b"id,day,a\n1,x,5\n2,x,6\n1,y,7\n", b"b,day,id\nk,y,1\nl,x,2\nm,x,1\nn,z,9\n"
    )
    assert table.header == ("id", "day", "a", "b")
    assert table.rows == [["1", "x", "5", "m"], ["2", "x", "6", "l"], ["1", "y", "7", "k"]]
    assert list(table.lines) == [2, 3, 4]
    assert table.column(2) == ["5", "6", "7"]


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        (b"a\n1\n", b"b\n1\n", "r.csv, row 1: the two tables share no column"),
        (b"a\n1\n", b"a,b\n1,2\n1,3\n", "r.csv, row 3: two rows of the same a"),
        (b"a\n1\n2\n", b"a,b\n1,2\n", "l.csv, row 3: no row of the same a"),
    ],
)
def test_tables_that_can_not_be_joined_are_refused(
    tmp_path: Path, left: bytes, right: bytes, words: str
) -> None:
    with pytest.raises(DataError) as caught:
        pair(tmp_path, left, right)
    assert words in str(caught.value)


def test_a_name_without_a_suffix_finds_any_kind_of_table(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train.csv").write_bytes(b"id\n1\n")
    archives = Archives(tmp_path, tmp_path)
    assert read_table(archives, "train").rows == [["1"]]
    assert table_files(["train", "train.json.zip"], "train") == ["train.json.zip"]
    (tmp_path / "train.tsv").write_bytes(b"id\n1\n")
    with pytest.raises(DataError) as caught:
        read_table(archives, "train")
    assert "train is two tables here\n  found: train.csv and train.tsv" in str(caught.value)
    for name in ("../t.csv", "/t.csv", "./t.csv"):
        with pytest.raises(ParamsError, match=r"data\.train\.table must be a path inside"):
            table_files(["t.csv"], name, "data.train.table")
    with pytest.raises(DataError, match="test is missing"):
        read_table(archives, "test")
