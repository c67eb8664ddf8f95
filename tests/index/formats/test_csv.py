from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from pydantic import BaseModel

from darkroom.errors import DarkroomError, DataError, ParamsError
from darkroom.index.formats.csv import build_index, required_files
from darkroom.index.table import Index
from darkroom.params.data import CsvData, CsvTable
from darkroom.raw.archives import Archives
from tests.support.packed import zip_of
from tests.support.realdata import REALDATA, needs_realdata

Section = TypeVar("Section", bound=BaseModel)


def replace(section: Section, **changes: Any) -> Section:
    return section.model_copy(update=changes)


TRAIN = CsvTable(table="train.csv", image="img", image_path="train.zip/t/{}.png", targets=["label"])
TEST = CsvTable(table="test.csv", image=0, image_path="test.zip/{}.png")
DATA = CsvData(
    format="csv", source="raw", task="multiclass", train=TRAIN, test=TEST, header=["id", "label"]
)
MASKED = replace(
    DATA,
    task="segmentation",
    train=replace(TRAIN, targets=[], mask="label", mask_path="train.zip/t/{}.png"),
    header=["id", "rle"],
)


def draw(raw: Path, labels: list[str], name: str = "label") -> Path:
    rows = [f"{n:03},{label},{n % 2}\n" for n, label in enumerate(labels)]
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "train.csv").write_text(f"img,{name},car\n" + "".join(rows))
    (raw / "test.csv").write_text("img\nb\na\n")
    zip_of(raw / "train.zip", {f"t/{n:03}.png": b"%d" % n for n in range(len(labels))})
    zip_of(raw / "test.zip", {"a.png": b"a", "b.png": b"b"})
    return raw


def index_of(raw: Path, data: CsvData = DATA) -> Index:
    return build_index(Archives(raw, raw / "spool"), data)


def refused(raw: Path, data: CsvData = DATA, kind: type[DarkroomError] = DataError) -> str:
    with pytest.raises(kind) as caught:
        index_of(raw, data)
    return str(caught.value)


def changed(**changes: Any) -> CsvData:
    return replace(DATA, train=replace(TRAIN, **changes))


def test_multiclass(tmp_path: Path) -> None:
    index = index_of(draw(tmp_path, ["dog", "cat", "dog"]))
    assert index.rows["id"].tolist() == ["000", "001", "002", "b", "a"]
    assert index.rows["image"].tolist()[2:4] == ["train.zip/t/002.png", "test.zip/b.png"]
    assert index.card.classes == ("cat", "dog")
    assert index.rows["label"].tolist()[:3] == [1.0, 0.0, 1.0]
    assert np.isnan(index.rows["label"].tolist()[3:]).all()
    assert index.card.declared == {"train images": 3, "test images": 2}
    assert index.card.runs.order == "column"


def test_columns_by_position_and_a_group(tmp_path: Path) -> None:
    draw(tmp_path, ["10", "2", "2"])
    index = index_of(tmp_path, changed(image=0, targets=[1], group=2))
    assert index.card.classes == ("2", "10")
    assert index.rows["group"].tolist() == ["0", "1", "0", "", ""]


def test_binary_and_multilabel_and_regression(tmp_path: Path) -> None:
    draw(tmp_path, ["True", "False"])
    index = index_of(tmp_path, replace(DATA, task="binary"))
    assert index.card.label_values == ("False", "True")
    assert index.rows["label"].tolist()[:2] == [1.0, 0.0]
    draw(tmp_path, ["1", "0"])
    both = replace(changed(targets=["label", "car"]), header=["id", "label", "car"])
    index = index_of(tmp_path, replace(both, task="multilabel"))
    assert index.card.targets == ("label", "car")
    assert index.rows["car"].tolist()[:2] == [0.0, 1.0]
    draw(tmp_path, ["1.25", "-3e2"])
    index = index_of(tmp_path, replace(DATA, task="regression"))
    assert index.rows["label"].tolist()[:2] == [1.25, -300.0]


def test_the_header_names_the_targets_in_any_order_and_nothing_else(tmp_path: Path) -> None:
    draw(tmp_path, ["1", "0"])
    both = replace(changed(targets=["label", "car"]), task="multilabel")
    card = index_of(tmp_path, replace(both, header=["id", "car", "label"])).card
    assert (card.targets, card.header) == (("label", "car"), ("id", "car", "label"))
    words = refused(tmp_path, replace(both, header=["id", "cars", "label"]))
    assert "the submission's header does not have the names of the targets" in words
    assert "found: 2: cars, label\n  expected: 2: label, car, in any order" in words
    assert "is 'cars' the target 'car'?" in words


def test_targets_of_another_table_in_another_order_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, ["1", "0"])
    (tmp_path / "test.csv").write_text("img,car,label\nb,1,0\na,1,0\n")
    both = replace(changed(targets=["label", "car"]), header=["id", "label", "car"])
    both = replace(both, task="multilabel")
    swapped = replace(both, test=replace(TEST, targets=["car", "label"]))
    words = refused(tmp_path, swapped, ParamsError)
    assert (
        "data.test.targets are in another order than data.train.targets\n  found: car, la" in words
    )
    rows = index_of(tmp_path, replace(both, test=replace(TEST, targets=["label", "car"]))).rows
    assert rows[["label", "car"]].to_numpy()[2:].tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_a_target_may_have_the_name_of_a_column_of_the_index(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y"], name="mask")
    assert index_of(tmp_path, changed(targets=["mask"])).card.targets == ("mask_target",)


def test_an_official_validation_table(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y"])
    (tmp_path / "valid.csv").write_text("img,label\nv,y\n")
    zip_of(tmp_path / "valid.zip", {"v.png": b"v"})
    valid = replace(TRAIN, table="valid.csv", image_path="valid.zip/{}.png")
    rows = index_of(tmp_path, replace(DATA, valid=valid)).rows
    assert rows["official"].tolist() == ["train", "train", "valid", "test", "test"]
    assert rows["part"].tolist() == ["train"] * 3 + ["test"] * 2
    (tmp_path / "valid.csv").write_text("img,label\n001,y\n")
    valid = replace(TRAIN, table="valid.csv")
    words = refused(tmp_path, replace(DATA, valid=valid))
    assert "valid.csv, row 2: 1 ids of the training table come again\n  001" in words


def test_test_labels_that_are_known_are_kept(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y"])
    (tmp_path / "test.csv").write_text("img,label\nb,y\na,\n")
    data = replace(DATA, test=replace(TEST, targets=["label"]))
    labels = index_of(tmp_path, data).rows["label"].tolist()[2:]
    assert labels[0] == 1.0
    assert np.isnan(labels[1])
    (tmp_path / "test.csv").write_text("img,label\nb,z\na,\n")
    assert "classes of label without a training image: z" in refused(tmp_path, data)


def test_masks_by_file(tmp_path: Path) -> None:
    rows = index_of(draw(tmp_path, ["001", "000"]), MASKED).rows
    assert rows["mask"].tolist() == ["train.zip/t/001.png", "train.zip/t/000.png", "", ""]
    draw(tmp_path, ["001", ""])
    assert "training images without a mask: 1 of 4 rows" in refused(tmp_path, MASKED)
    draw(tmp_path, ["001", "007"])
    words = refused(tmp_path, MASKED)
    assert "train.csv, row 3: 1 rows without their mask\n  row 3: train.zip/t/007.png" in words


def test_masks_by_run_lengths(tmp_path: Path) -> None:
    train = replace(TRAIN, targets=[], rle="label", rle_order="row")
    data = replace(MASKED, train=train)
    rows = index_of(draw(tmp_path, ["1 3 10 2", "", "-1"]), data).rows
    assert rows["mask"].tolist()[:3] == ["rle:row 1 3 10 2", "rle:row", "rle:row"]
    for bad in ("1 3 10", "0 3", "1,3", "1  3"):
        draw(tmp_path, ["1 3", f'"{bad}"'])
        words = refused(tmp_path, data)
        assert "train.csv, row 3: run lengths that can't be read\n  found: 1 of 2 rows" in words


def test_an_id_column_of_its_own(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y"])
    (tmp_path / "train.csv").write_text("img,label,key\n000,x,1e5\n001,y,007\n")
    assert index_of(tmp_path, changed(id="key")).rows["id"].tolist()[:2] == ["007", "1e5"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("img,label,c\n000,x,1\n000,y,1\n", "1 rows repeat an id\n  rows 2 and 3: 000"),
        ("img,label,c\n000,x,1\n,y,1\n", "row 3: column img is empty"),
        ("img,lable,c\n000,x,1\n", "row 1: no column 'label'"),
        ("img,label,c\n000,x,1\n001,,1\n", "row 3: target label is empty for images to train on"),
        ("img,label,c\n000,x,1\n001,x,1\n", "wrong number of classes for the task multiclass"),
        ("img\n000\n", "row 1: no column 'label'\n  found: 1 columns: 'img'"),
        (
            "img,label,c\n000,x,1\n009,y,1\n",
            "row 3: 1 rows without their image\n  row 3: train.zip/t/009.png",
        ),
        (
            "img,label,c\n000,x,1\n001, x,1\n",
            "row 3: target label holds ' x', which is 'x' apart from blanks\n  found: 1 of 2 rows",
        ),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, table: str, words: str) -> None:
    draw(tmp_path, ["x", "y"])
    (tmp_path / "train.csv").write_text(table)
    assert words in refused(tmp_path)


def test_rows_of_other_files_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path, ["dog", "cat", "dog"])
    junk = ".DS_Store,,\n000,dog,0\n001,cat,1\na/Thumbs.db,x,\n.DS_Store,,\n002,dog,0\n"
    (tmp_path / "train.csv").write_text("img,label,car\n" + junk)
    assert "1 rows repeat an id\n  rows 2 and 6: .DS_Store" in refused(tmp_path)
    data = replace(DATA, leave_out=[".DS_Store", "*.db"])
    index = index_of(tmp_path, data)
    assert index.rows["id"].tolist() == ["000", "001", "002", "b", "a"]
    assert index.card.classes == ("cat", "dog")
    assert capsys.readouterr().err == (
        "data.train.table: 3 of 6 rows left out: .DS_Store, a/Thumbs.db\n"
        "data.test.table: 0 of 2 rows left out\n"
    )
    (tmp_path / "train.csv").write_text("img,label,car\n" + junk + "003,dog,0\n")
    assert "train.csv, row 8: 1 rows without their image" in refused(tmp_path, data)
    for key, patterns in (("train", ["00*"]), ("test", ["003", "[ab]"])):
        message = refused(
            tmp_path, replace(data, leave_out=[*data.leave_out, *patterns]), ParamsError
        )
        assert f"data.leave_out leaves no row of data.{key}.table" in message


def test_several_rows_may_be_of_one_image_if_they_have_ids(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y"])
    (tmp_path / "train.csv").write_text("img,label,key\n000,x,p\n000,y,q\n")
    assert index_of(tmp_path, changed(id="key")).rows["id"].tolist()[:2] == ["p", "q"]
    assert "1 rows repeat an id\n  rows 2 and 3: 000" in refused(tmp_path)
    (tmp_path / "train.csv").write_text("img,label,key\n000,x,p\n001,y,p\n")
    assert "1 rows repeat an id\n  rows 2 and 3: p" in refused(tmp_path, changed(id="key"))


@pytest.mark.parametrize(
    ("task", "words"), [("multiclass", "is '1' elsewhere"), ("binary", "0 or 1")]
)
def test_a_label_written_as_another_number_is_named_with_its_row(
    tmp_path: Path, task: str, words: str
) -> None:
    draw(tmp_path, ["1", "0", "1"])
    (tmp_path / "test.csv").write_text("img,label\nb,1.0\na,\n")
    known = replace(DATA, test=replace(TEST, targets=["label"]), task=task)
    message = refused(tmp_path, known)
    assert "test.csv, row 2: target label holds '1.0'" in message
    assert words in message


def test_a_label_of_ten_thousand_letters_is_refused(tmp_path: Path) -> None:
    words = refused(draw(tmp_path, ["x", "y" * 10_000]))
    assert "row 3: target label holds a text of more than 1,000 characters" in words
    assert len(words) < 1000


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("../x", "a path with .."),
        ("a\\x", "a path with a backslash"),
        ("/data/x", "an absolute path"),
    ],
)
def test_an_unsafe_cell_is_reported_with_its_row(tmp_path: Path, cell: str, fault: str) -> None:
    draw(tmp_path, ["x", "y"])
    (tmp_path / "train.csv").write_text(f"img,label\n000,x\n{cell},y\n")
    whole = changed(image_path="{}") if fault == "an absolute path" else DATA
    (tmp_path / "000").write_bytes(b"0")
    words = refused(tmp_path, whole)
    assert words.startswith(
        f"{tmp_path}/train.csv, row 3: 1 rows whose image is not a path inside the source folder\n"
        f"  row 3: {cell!r}\n  found: {fault}: {cell!r}\n  expected: a relative path with /"
    )
    assert words.endswith("to do: correct the cell")


def test_an_unsafe_mask_is_reported_with_its_row(tmp_path: Path) -> None:
    words = refused(draw(tmp_path, ["000", "../001"]), MASKED)
    assert "train.csv, row 3: 1 rows whose mask is not a path inside the source folder" in words


def test_a_table_without_a_header_does_not_lose_its_first_image(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y", "x"])
    (tmp_path / "train.csv").write_text("000,x,1\n001,y,1\n002,x,1\n")
    words = refused(tmp_path, changed(image=0, targets=[1]))
    assert words == (
        f"{tmp_path}/train.csv, row 1: the first row is data, not a header\n"
        "  found: '000', and train.zip/t/000.png is an image\n"
        "  expected: the names of the columns\n"
        "  to do: put a line of column names before it; "
        "if it is one, give the column by its name"
    )
    draw(tmp_path, ["x", "y"])
    (tmp_path / "test.csv").write_text("b\na\n")
    assert "test.csv, row 1: the first row is data" in refused(tmp_path)


def test_a_header_that_names_an_image_is_taken_by_its_name(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y", "x"])
    (tmp_path / "train.csv").write_text("000,label,c\n001,y,1\n002,x,1\n")
    assert len(index_of(tmp_path, changed(image="000")).rows) == 4


@pytest.mark.parametrize("value", ["1e39", "-3.5e38", "1e999", "inf"])
def test_a_number_that_float32_can_not_hold_is_refused(tmp_path: Path, value: str) -> None:
    words = refused(draw(tmp_path, ["1.5", value]), replace(DATA, task="regression"))
    assert f"train.csv, row 3: target label holds '{value}'\n  found: 1 of 2 rows: 3" in words


def test_the_error_for_an_absent_image_names_the_nearest(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y"])
    words = refused(tmp_path, changed(image_path="train.zip/{}.png"))
    assert "2 rows without their image\n  row 2: train.zip/000.png" in words
    assert "2 others, the nearest t/000.png" in words
    assert "to do: correct the image_path in the parameters, or the table; rows of" in words


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            changed(image_path="train.zip/x.png"),
            "data.train.image_path must contain {} exactly once",
        ),
        (changed(targets=[]), "data.train does not fit the task multiclass\n  found: nothing"),
        (changed(mask="img"), "expected: the key targets, and neither mask nor rle"),
        (replace(MASKED, train=TRAIN), "data.train does not fit the task segmentation"),
        (
            replace(MASKED, train=replace(MASKED.train, rle="img")),
            "found: mask, rle\n  expected: one of the keys mask and rle, and no targets",
        ),
        (
            replace(DATA, test=replace(TEST, targets=["a", "b"])),
            "data.test.targets has other targets than data.train.targets\n  found: 2: a, b",
        ),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(
    tmp_path: Path, data: CsvData, words: str
) -> None:
    draw(tmp_path, ["x", "y"])
    assert words in refused(tmp_path, data, ParamsError)
    with pytest.raises(ParamsError):
        required_files(["train.csv", "test.csv", "train.zip", "test.zip"], data)


def test_required_files_are_tables_and_containers() -> None:
    names = ["train.csv.zip", "test.csv", "train.zip", "test.zip", "other.zip"]
    expected = ["test.csv", "test.zip", "train.csv.zip", "train.zip"]
    assert required_files(names, DATA) == expected
    assert required_files(names, changed(image_path="{}")) == sorted(names)
    with pytest.raises(DataError, match=r"train\.zip is missing"):
        required_files(["train.csv", "test.csv", "train", "test.zip"], DATA)


def nuclei(train: CsvTable) -> CsvData:
    test = CsvTable(table="test.csv", image="image", image_path="test.zip/{}")
    return replace(MASKED, train=train, test=test, header=["ImageId", "EncodedPixels"])


def test_a_path_that_no_file_system_accepts_is_refused(tmp_path: Path) -> None:
    raw = draw(tmp_path, ["a", "b"])
    (raw / "train").mkdir()
    (raw / "train.csv").write_text(f"img,label\n{'9' * 300}/000,a\n001,b\n")
    words = refused(raw, changed(image_path="train/{}.png"))
    assert "999/000.png: can't be read\n  found: File name too long" in words


@needs_realdata
def test_real_nuclei_by_mask_files_and_by_run_lengths() -> None:
    raw = REALDATA / "nuclei"
    files = CsvTable(
        table="train.csv",
        image="image",
        image_path="train.zip/{}",
        mask=1,
        mask_path="train_masks.zip/{}",
    )
    runs = CsvTable(
        table="train_masks_column_major.csv",
        image=0,
        image_path="train.zip/train/{}",
        rle="rle_mask",
    )
    by_file, by_runs = index_of(raw, nuclei(files)).rows, index_of(raw, nuclei(runs)).rows
    assert by_file["part"].value_counts().to_dict() == {"train": 120, "test": 39}
    same = ["part", "image", "digest"]
    assert by_file[same].equals(by_runs[same])
    assert by_runs["mask"].iloc[0].startswith("rle:column 9 10 266 9 522 9")
    assert by_file["mask"].iloc[0].startswith("train_masks.zip/train_masks/00071198d059ba7f")
    assert by_file["id"].iloc[0].startswith("train/00071198d059ba7f")
