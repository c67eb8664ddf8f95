from pathlib import Path

import pytest

from darkroom.errors import DataError
from darkroom.index.formats.banknotes import OFFICIAL, build_index, required_files
from darkroom.index.table import Index
from darkroom.params.data import BanknoteColumns, BanknotesData
from darkroom.project.names import list_names
from darkroom.raw.archives import Archives
from tests.support.packed import folder_of, tar_of
from tests.support.realdata import REALDATA, needs_realdata

COUNT = 14  # two of each class a part
TABLE = ",denomination,filename,y\n" + "".join(f"{n},5,{n}.jpeg,{n // 2}\n" for n in range(COUNT))


def data_section(columns: BanknoteColumns | None = None) -> BanknotesData:
    section = BanknotesData(format="banknotes", source="raw")
    return section if columns is None else section.model_copy(update={"columns": columns})


def draw(raw: Path, suffix: str = ".jpeg", table: str = TABLE) -> Path:
    for part in OFFICIAL:
        folder = f"{part}_data_pytorch"
        files = {f"{folder}/{n}{suffix}": f"{part}{n}".encode() for n in range(COUNT)}
        tar_of(raw / f"{folder}.tar.gz", {f"{folder}/._0{suffix}": b"junk", **files})
        (raw / f"{part}_labels.csv").write_text(table)
    return raw


def index_of(raw: Path, columns: BanknoteColumns | None = None) -> Index:
    return build_index(Archives(raw, raw / "spool"), data_section(columns))


def refused(raw: Path, columns: BanknoteColumns | None = None) -> str:
    with pytest.raises(DataError) as caught:
        index_of(raw, columns)
    return str(caught.value)


def test_the_index_of_a_drawn_set(tmp_path: Path) -> None:
    index = index_of(draw(tmp_path))
    rows = index.rows
    assert rows["official"].value_counts().to_dict() == {"train": 14, "valid": 14, "test": 14}
    train = rows.set_index("id").loc["training/3.jpeg"]
    assert train["image"] == "training_data_pytorch.tar.gz/training_data_pytorch/3.jpeg"
    assert train["class"] == 1.0
    assert rows["digest"].nunique() == 3 * COUNT
    test = rows[rows["part"] == "test"]
    assert test["id"].tolist() == [f"{n}.jpeg" for n in range(COUNT)]
    assert test["class"].tolist() == [float(n // 2) for n in range(COUNT)]
    assert index.card.classes == tuple("0123456")
    assert index.card.header == ("id", "class")
    assert index.card.declared == {"train images": 28, "test images": 14}


@pytest.mark.parametrize(
    "columns",
    [
        BanknoteColumns(image="file", target="label"),
        BanknoteColumns(image=0, target=1),
        BanknoteColumns(image="file", target=1),
    ],
)
def test_other_headers_and_suffixes_give_the_same_index(
    tmp_path: Path, columns: BanknoteColumns
) -> None:
    table = "file,label\n" + "".join(f"{n}.jpg,{n // 2}\n" for n in range(COUNT))
    expected = index_of(draw(tmp_path / "a")).rows
    rows = index_of(draw(tmp_path / "b", ".jpg", table), columns).rows
    assert rows["id"].iloc[0] == "training/0.jpg"
    assert sorted(rows["digest"]) == sorted(expected["digest"])
    assert (
        rows.set_index("digest")["class"].to_dict()
        == expected.set_index("digest")["class"].to_dict()
    )


def test_a_table_of_jpg_finds_its_jpeg(tmp_path: Path) -> None:
    rows = index_of(draw(tmp_path, table=TABLE.replace("jpeg", "jpg"))).rows
    image = rows.set_index("id").loc["training/3.jpg", "image"]
    assert image == "training_data_pytorch.tar.gz/training_data_pytorch/3.jpeg"


def test_unpacked_folders_are_read(tmp_path: Path) -> None:
    expected = index_of(draw(tmp_path / "a"))
    for part in OFFICIAL:
        files = {f"{n}.jpeg": f"{part}{n}".encode() for n in range(COUNT)}
        folder_of(tmp_path / "b" / f"{part}_data_pytorch", {"._0.jpeg": b"junk", **files})
        (tmp_path / "b" / f"{part}_labels.csv").write_text(TABLE)
    same = ["id", "part", "official", "digest", "class"]
    assert index_of(tmp_path / "b").rows[same].equals(expected.rows[same])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("3,5,3.jpeg,1\n", "", "1 in validation_data_pytorch.tar.gz and not here: 3.jpeg"),
        (",3.jpeg", ",33.jpeg", "1 here and not in validation_data_pytorch.tar.gz: 33.jpeg"),
        ("3,5,3.jpeg,1\n", "3,5,3.jpeg,\n", "row 5: target class is empty for images to train on"),
        ("3.jpeg,1\n", "3.jpeg,01\n", "two labels for one number\n  found: 01 and 1"),
        ("3.jpeg,1\n", "3.jpeg,9\n", "classes of class without a training image: 9"),
        (",3.jpeg", ",2.jpg", "rows 4 and 5: 2.jpeg"),
        (",y\n", "\n", "row 2: a row of another length than the header"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    draw(tmp_path)
    (tmp_path / "validation_labels.csv").write_text(TABLE.replace(old, new))
    assert words in refused(tmp_path)


def test_a_test_class_absent_from_training_is_named(tmp_path: Path) -> None:
    draw(tmp_path)
    for part in ("training", "validation"):
        (tmp_path / f"{part}_labels.csv").write_text(TABLE.replace("jpeg,6", "jpeg,5"))
    words = refused(tmp_path)
    assert "classes of class without a training image: 6" in words
    assert "found: training images of 0, 1, 2, 3, 4, 5" in words


def test_test_labels_may_be_unknown(tmp_path: Path) -> None:
    draw(tmp_path)
    blank = "".join(line.rsplit(",", 1)[0] + ",\n" for line in TABLE.splitlines()[1:])
    (tmp_path / "test_labels.csv").write_text(TABLE.splitlines()[0] + "\n" + blank)
    rows = index_of(tmp_path).rows
    assert rows.loc[rows["part"] == "test", "class"].isna().all()


def test_a_wrong_column_is_refused(tmp_path: Path) -> None:
    words = refused(draw(tmp_path), BanknoteColumns(image="filname", target=3))
    assert "training_labels.csv, row 1: no column 'filname'" in words
    assert "is it 'filename'?" in words


def test_a_missing_part_is_refused(tmp_path: Path) -> None:
    draw(tmp_path)
    names = list_names(tmp_path)
    assert required_files([*names, "notes.txt"], data_section()) == names
    names.remove("validation_data_pytorch.tar.gz")
    with pytest.raises(DataError, match="validation_data_pytorch is missing") as caught:
        required_files(names, data_section())
    assert "found: test_data_pytorch.tar.gz, test_labels.csv," in str(caught.value)


def test_a_picture_in_two_suffixes_is_refused(tmp_path: Path) -> None:
    draw(tmp_path)
    tar_of(tmp_path / "test_data_pytorch.tar.gz", {"t/0.jpg": b"a", "t/0.jpeg": b"b"})
    words = "two files of one name\n  found: test_data_pytorch.tar.gz/t/0.jpeg and"
    assert words in refused(tmp_path)


@needs_realdata
def test_the_real_files() -> None:
    index = index_of(REALDATA / "banknotes")
    assert index.card.classes == tuple("0123456")
    counts = index.rows.groupby("official")["class"].value_counts().unique().tolist()
    assert counts == [10]
    assert len(index.rows) == 210
    assert index.rows["image"].str.endswith(".jpeg").all()
