from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import DataError
from darkroom.index.formats.celeba import build_index, read_attributes, required_files
from darkroom.index.table import Index
from darkroom.params.data import CelebaData
from darkroom.project.names import list_names
from darkroom.raw.archives import Archives
from tests.support.packed import folder_of, zip_of
from tests.support.realdata import REALDATA, needs_realdata

DATA = CelebaData(format="celeba", source="raw")
IDS = [f"{n:06}.jpg" for n in range(1, 7)]
NAMES = [f"Attribute_{n}" for n in range(40)]
VALUES = [[1 if (image * 7 + name) % 3 else -1 for name in range(40)] for image in range(6)]
PARTS = ["0", "0", "2", "1", "0", "2"]


def official(values: list[list[int]] = VALUES, count: str = "6\r\n", end: str = "\r\n") -> str:
    rows = [name + "".join(f" {v:2}" for v in row) for name, row in zip(IDS, values, strict=True)]
    return f"{count}{' '.join(NAMES)} \r\n" + "\r\n".join(rows) + end


def mirror(first: str = "image_id", end: str = "\n", absent: str = "-1") -> str:
    lines = [",".join([first, *NAMES])]
    lines += [
        ",".join([name, *(str(v).replace("-1", absent) for v in row)])
        for name, row in zip(IDS, VALUES, strict=True)
    ]
    return "\n".join(lines) + end


def zeros() -> list[list[int]]:
    return [[max(0, value) for value in row] for row in VALUES]


def draw(raw: Path, attributes: str | bytes, name: str = "list_attr_celeba.txt") -> Path:
    inside = "img_align_celeba/img_align_celeba"
    zip_of(raw / "img_align_celeba.zip", {f"{inside}/{name}": name.encode() for name in IDS})
    data = attributes.encode() if isinstance(attributes, str) else attributes
    folder_of(raw, {name: data})
    partition = "".join(f"{name} {part}\n" for name, part in zip(IDS, PARTS, strict=True))
    (raw / "list_eval_partition.txt").write_text(partition)
    return raw


def index_of(raw: Path) -> Index:
    return build_index(Archives(raw, raw / "spool"), DATA)


def refused(raw: Path) -> str:
    with pytest.raises(DataError) as caught:
        index_of(raw)
    return str(caught.value)


def test_the_index_of_a_drawn_set(tmp_path: Path) -> None:
    index = index_of(draw(tmp_path, official()))
    rows = index.rows
    assert rows["id"].tolist() == [IDS[n] for n in (0, 1, 3, 4, 2, 5)]
    assert rows["part"].tolist() == ["train"] * 4 + ["test"] * 2
    assert rows["official"].tolist() == ["train", "train", "valid", "train", "test", "test"]
    inside = "img_align_celeba.zip/img_align_celeba/img_align_celeba/000001.jpg"
    assert rows["image"].iloc[0] == inside
    expected = [[float(v == 1) for v in VALUES[n]] for n in (0, 1, 3, 4, 2, 5)]
    assert rows[NAMES].to_numpy().tolist() == expected
    assert index.card.targets == tuple(NAMES)
    assert index.card.header == ("image_id", *NAMES)
    assert index.card.label_values == ("-1", "1")
    assert index.card.declared == {"train images": 4, "test images": 2, "images": 6}


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("list_attr_celeba.txt", official(zeros()), 6),
        ("list_attr_celeba.txt", official(count=""), None),
        ("list_attr_celeba.txt", official(count="5\r\n"), 5),
        ("list_attr_celeba.txt", official(end=""), 6),
        ("list_attr_celeba.txt", official().replace("\r\n", "\n"), 6),
        (
            "list_attr_celeba.txt",
            official(count="").replace("Attribute_0 ", "id Attribute_0 "),
            None,
        ),
        ("list_attr_celeba.txt", mirror(), None),
        ("list_attr_celeba.csv", mirror(), None),
        ("list_attr_celeba.csv", mirror().replace("\n", "\r\n"), None),
        ("list_attr_celeba.csv", mirror(first=""), None),
        ("list_attr_celeba.csv", mirror(first="id"), None),
        ("list_attr_celeba.csv", mirror(end=""), None),
        ("list_attr_celeba.csv", mirror(absent="0"), None),
        ("list_attr_celeba.csv", "\ufeff" + mirror(), None),
    ],
)
def test_all_known_dialects_give_the_same_attributes(
    tmp_path: Path, name: str, text: str, count: int | None
) -> None:
    reference = index_of(draw(tmp_path / "a", official()))
    index = index_of(draw(tmp_path / "b", text, name))
    assert index.rows.equals(reference.rows)
    assert index.card.declared.get("images") == count


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!DOCTYPE html><title>Google Drive - Quota exceeded", "found: an HTML page"),
        ("", "found: an empty file"),
        ("\ufeff\r\n", "the file is empty\n  found: blank lines"),
        (official(count="²\r\n"), "row 1: not the line of attribute names\n  found: 1 different"),
        (official(count="9" * 5000 + "\r\n"), "row 1: not the line of attribute names"),
        ("6\r\n", "row 2: not the line of attribute names\n  found: 0 different names"),
        (
            official(count="7\r\n"),
            "fewer rows than the file declares\n  found: 6 rows\n  expected: 7",
        ),
        (
            official().replace("Attribute_3 ", ""),
            "row 2: not the line of attribute names\n  found: 39",
        ),
        (official().replace("Attribute_3 ", "Attribute_4 "), "found: 39 different names"),
        (official()[:-6] + "\r\n", "row 8: a row of another length than the header"),
        (
            official([[-1] * 40] * 6)[:-3] + "\r\n",
            "row 8: not a value of Attribute_39\n  found: '-'",
        ),
        (official().replace(" 1 ", " 2 ", 1), "row 3: not a value of Attribute_1\n  found: '2'"),
        (official().replace("-1", " 0", 1), "absent is written in two ways\n  found: 0 and -1"),
        (official().replace("000002", "000001"), "rows 3 and 4: 000001.jpg"),
        (official().replace("000002", "000009"), "1 here and not in"),
        (official(count="").split("\r\n", 1)[1], "row 1: not the line of attribute names"),
    ],
)
def test_what_can_not_be_trusted_is_refused(tmp_path: Path, text: str, words: str) -> None:
    message = refused(draw(tmp_path, text))
    assert "list_attr_celeba.txt" in message
    assert words in message


PARTITIONS: dict[str, Callable[[list[str]], str]] = {
    "list_eval_partition.txt": lambda rows: "\r\n".join(rows),
    "list_eval_partition.csv": lambda rows: "\n".join(
        ["image_id,partition", *(row.replace(" ", ",") for row in rows)]
    ),
}


@pytest.mark.parametrize("name", PARTITIONS)
def test_both_dialects_of_the_partition_give_the_same(tmp_path: Path, name: str) -> None:
    draw(tmp_path, official())
    (tmp_path / "list_eval_partition.txt").unlink()
    rows = [f"{name} {part}" for name, part in zip(IDS, PARTS, strict=True)]
    (tmp_path / name).write_text(PARTITIONS[name](rows), newline="")
    assert index_of(tmp_path).rows["official"].tolist()[:3] == ["train", "train", "valid"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "000003.jpg 2",
            "000003.jpg 3",
            "row 3: not a file name and its partition\n  found: 000003.jpg 3",
        ),
        ("000003.jpg 2", "000003.jpg", "row 3: not a file name and its partition"),
        ("000003.jpg 2", "000002.jpg 2", "rows 2 and 3: 000002.jpg"),
        ("000003.jpg 2\n", "", "1 here and not in"),
        ("000001.jpg 0", "<html>", "found: an HTML page"),
    ],
)
def test_a_broken_partition_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = draw(tmp_path, official()) / "list_eval_partition.txt"
    path.write_text(path.read_text().replace(old, new))
    message = refused(tmp_path)
    assert "list_eval_partition.txt" in message
    assert words in message


def test_an_image_without_a_row_and_the_reverse_are_listed(tmp_path: Path) -> None:
    draw(tmp_path, official())
    names = [*IDS[1:], "000007.jpg"]
    zip_of(tmp_path / "img_align_celeba.zip", {f"x/{name}": b"x" for name in names})
    words = refused(tmp_path)
    assert "1 here and not in img_align_celeba.zip: 000001.jpg" in words
    assert "1 in img_align_celeba.zip and not here: 000007.jpg" in words


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, official())
    names = list_names(tmp_path)
    assert required_files([*names, "list_bbox_celeba.txt"], DATA) == names
    with pytest.raises(DataError, match="list_attr_celeba is missing") as caught:
        required_files(["img_align_celeba", "attributes.csv"], DATA)
    assert "found: attributes.csv, img_align_celeba" in str(caught.value)
    (tmp_path / "list_eval_partition.txt").unlink()
    assert "list_eval_partition is missing" in refused(tmp_path)


@needs_realdata
def test_the_real_files() -> None:
    raw = REALDATA / "celeba"
    index = index_of(raw)
    counts = index.rows["official"].value_counts().to_dict()
    assert counts == {"train": 40, "valid": 10, "test": 10}
    assert index.card.targets[:2] == ("5_o_Clock_Shadow", "Arched_Eyebrows")
    assert len(index.card.targets) == 40
    first = index.rows[index.rows["id"] == "000001.jpg"]
    assert first[["5_o_Clock_Shadow", "Arched_Eyebrows"]].to_numpy().tolist() == [[0.0, 1.0]]
    present = index.rows[list(index.card.targets)].to_numpy().sum()
    assert np.sum(read_attributes(raw).values) == present


@needs_realdata
def test_the_real_tables_as_the_mirror_has_them(tmp_path: Path) -> None:
    lines = (REALDATA / "celeba" / "list_attr_celeba.txt").read_text().splitlines()[1:]
    rows = [
        ",".join(["image_id", *lines[0].split()]),
        *(",".join(row.split()) for row in lines[1:]),
    ]
    (tmp_path / "list_attr_celeba.csv").write_text("\n".join(rows))
    ours, official = read_attributes(tmp_path), read_attributes(REALDATA / "celeba")
    assert ours.names == official.names
    assert ours.ids == official.ids
    assert (ours.values == official.values).all()
