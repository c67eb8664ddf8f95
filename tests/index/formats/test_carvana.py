import zipfile
from pathlib import Path

import pytest

from darkroom.errors import DataError
from darkroom.index.formats.carvana import build_index, required_files
from darkroom.index.table import Index
from darkroom.params.data import CarvanaData
from darkroom.project.names import list_names
from darkroom.raw.archives import Archives
from tests.support.packed import folder_of, zip_of
from tests.support.realdata import REALDATA, needs_realdata

DATA = CarvanaData(format="carvana", source="raw")
CARS = ("00087a6bd4dc", "02159e548029")
TEST_CAR = "0789bed99cb8"
TRAIN = [f"{car}_{view:02}" for car in CARS for view in range(1, 17)]
TEST = [f"{TEST_CAR}_{view:02}" for view in range(1, 17)]
SAMPLE = "img,rle_mask\n" + "".join(f"{name}.jpg,1 1\n" for name in reversed(TEST))


def contents(suffix: str = "") -> dict[str, dict[str, bytes]]:
    return {
        f"train{suffix}": {f"train{suffix}/{name}.jpg": name.encode() for name in TRAIN},
        "train_masks": {f"train_masks/{name}_mask.gif": name.encode() for name in TRAIN},
        f"test{suffix}": {f"test{suffix}/{name}.jpg": name.encode() for name in TEST},
    }


def draw(raw: Path, members: dict[str, dict[str, bytes]], sample: str | None = SAMPLE) -> Path:
    for stem, files in members.items():
        zip_of(raw / f"{stem}.zip", files)
    if sample is not None:
        zip_of(raw / "sample_submission.csv.zip", {"sample_submission.csv": sample.encode()})
    return raw


def index_of(raw: Path, data: CarvanaData = DATA) -> Index:
    return build_index(Archives(raw, raw / "spool"), data)


def refused(raw: Path) -> str:
    with pytest.raises(DataError) as caught:
        index_of(raw)
    return str(caught.value)


def test_the_index_of_a_drawn_set(tmp_path: Path) -> None:
    index = index_of(draw(tmp_path, contents()))
    train = index.rows[index.rows["part"] == "train"]
    assert train["id"].tolist() == [f"{name}.jpg" for name in TRAIN]
    assert train["group"].tolist() == [name[:12] for name in TRAIN]
    assert train["image"].iloc[0] == "train.zip/train/00087a6bd4dc_01.jpg"
    assert train["mask"].iloc[0] == "train_masks.zip/train_masks/00087a6bd4dc_01_mask.gif"
    assert set(index.rows["official"]) == {""}
    assert index.card.task == "segmentation"
    assert index.card.header == ("img", "rle_mask")
    assert index.card.runs.order == "row"
    assert index.card.declared == {"train images": 32, "test images": 16}


def test_test_ids_keep_the_order_of_the_sample_submission(tmp_path: Path) -> None:
    rows = index_of(draw(tmp_path, contents())).rows
    expected = [f"{name}.jpg" for name in reversed(TEST)]
    assert rows.loc[rows["part"] == "test", "id"].tolist() == expected


def test_without_a_sample_submission_test_ids_are_sorted(tmp_path: Path) -> None:
    rows = index_of(draw(tmp_path, contents(), sample=None)).rows
    assert rows.loc[rows["part"] == "test", "id"].tolist() == [f"{name}.jpg" for name in TEST]


def test_zipped_and_unpacked_give_the_same_rows(tmp_path: Path) -> None:
    zipped = index_of(draw(tmp_path / "a", contents()))
    for stem, files in contents().items():
        folder_of(tmp_path / "b", {name: data for name, data in files.items() if stem in name})
    (tmp_path / "b" / "sample_submission.csv").write_text(SAMPLE)
    plain = index_of(tmp_path / "b")
    assert plain.rows["image"].iloc[0] == "train/00087a6bd4dc_01.jpg"
    same = ["id", "part", "group", "official", "digest"]
    assert plain.rows[same].equals(zipped.rows[same])


def test_the_hq_archives_can_be_chosen(tmp_path: Path) -> None:
    draw(tmp_path, contents("_hq"))
    hq = DATA.model_copy(update={"quality": "hq"})
    names = ["sample_submission.csv.zip", "test_hq.zip", "train_hq.zip", "train_masks.zip"]
    assert required_files(list_names(tmp_path), hq) == names
    image = index_of(tmp_path, hq).rows["image"].iloc[0]
    assert image == "train_hq.zip/train_hq/00087a6bd4dc_01.jpg"
    assert "train is missing\n  found: sample_submission.csv.zip, test_hq.zip" in refused(tmp_path)


def test_required_files_are_those_needed_and_no_more() -> None:
    names = ["train.zip", "test", "train_masks.zip", "metadata.csv.zip", "train_hq.zip"]
    assert required_files(names, DATA) == ["test", "train.zip", "train_masks.zip"]
    with pytest.raises(DataError, match=r"if train-masks\.zip is it, rename it"):
        required_files(["train.zip", "test.zip", "train-masks.zip"], DATA)


def test_an_image_without_a_mask_and_the_reverse_are_listed(tmp_path: Path) -> None:
    members = contents()
    members["train_masks"].pop(f"train_masks/{TRAIN[3]}_mask.gif")
    members["train"].pop(f"train/{TRAIN[5]}.jpg")
    words = refused(draw(tmp_path, members))
    assert f"1 here and not in train_masks.zip: {TRAIN[3]}_mask.gif" in words
    assert f"1 in train_masks.zip and not here: {TRAIN[5]}_mask.gif" in words


def test_a_name_that_is_no_view_of_a_car_is_refused(tmp_path: Path) -> None:
    for place, name in enumerate(("00087a6bd4dc_17.jpg", "car_01.jpg", "00087a6bd4dc_01.png")):
        members = contents()
        members["train"][f"train/{name}"] = b"x"
        words = refused(draw(tmp_path / str(place), members))
        assert "train.zip: 1 files not named like a view of a car" in words
        assert f"found: {name}\n  expected: 12 hexadecimal digits, _01 to _16, .jpg" in words


def test_a_missing_view_is_left_to_the_audit(tmp_path: Path) -> None:
    members = contents()
    members["train"].pop(f"train/{TRAIN[0]}.jpg")
    members["train_masks"].pop(f"train_masks/{TRAIN[0]}_mask.gif")
    index = index_of(draw(tmp_path, members))
    assert (index.rows["part"] == "train").sum() == 31
    assert index.card.declared["train images"] == 32


def test_a_sample_submission_of_other_images_is_refused(tmp_path: Path) -> None:
    sample = SAMPLE.replace(f"{TEST[0]}.jpg", "ffffffffffff_01.jpg")
    words = refused(draw(tmp_path, contents(), sample))
    assert "1 here and not in test.zip: ffffffffffff_01.jpg" in words
    assert f"1 in test.zip and not here: {TEST[0]}.jpg" in words
    draw(tmp_path / "b", contents(), SAMPLE + f"{TEST[0]}.jpg,1 1\n")
    assert f"rows 17 and 18: {TEST[0]}.jpg" in refused(tmp_path / "b")
    draw(tmp_path / "c", contents(), "image,rle\n" + f"{TEST[0]}.jpg,1 1\n")
    assert "row 1: no column 'img'\n  found: 2 columns: 'image', 'rle'" in refused(tmp_path / "c")


@needs_realdata
def test_the_real_files() -> None:
    raw = REALDATA / "carvana"
    assert required_files(list_names(raw), DATA) == [
        "sample_submission.csv.zip",
        "test.zip",
        "train.zip",
        "train_masks.zip",
    ]
    index = index_of(raw)
    assert index.rows["part"].value_counts().to_dict() == {"train": 64, "test": 16}
    assert index.rows["group"].nunique() == 5
    assert index.rows["digest"].nunique() == 80
    assert index.card.declared == {"train images": 64, "test images": 16}


@needs_realdata
def test_the_real_files_unpacked_and_damaged(tmp_path: Path) -> None:
    for name in ("train.zip", "train_masks.zip", "test.zip"):
        with zipfile.ZipFile(REALDATA / "carvana" / name) as archive:
            archive.extractall(tmp_path)
    same = ["id", "part", "group", "digest"]
    assert index_of(tmp_path).rows[same].equals(index_of(REALDATA / "carvana").rows[same])
    (tmp_path / "train_masks" / "00087a6bd4dc_07_mask.gif").unlink()
    assert "1 here and not in train_masks: 00087a6bd4dc_07_mask.gif" in refused(tmp_path)
