"""Drawn Carvana files against the layout of the real ones, read back by other means."""

import io
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from darkroom.raw.sample import draw_carvana
from darkroom.raw.sample.car.camera import Camera
from darkroom.raw.sample.car.paint import paint_car
from darkroom.raw.sample.car.shapes import SHAPES, choose_car
from tests.raw.sample.folders import digestible, unzipped

pytestmark = pytest.mark.slow  # full-size pictures are drawn

FILES = [
    "metadata.csv.zip", "sample_submission.csv.zip", "test.zip", "train.zip", "train_masks.csv.zip",
    "train_masks.zip",
]  # fmt: skip


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("carvana")
    draw_carvana(folder, 7, train_cars=1, test_cars=1)
    return folder


def table(folder: Path, name: str) -> list[str]:
    members = unzipped(folder / f"{name}.zip")
    assert list(members) == [name]
    text = members[name].decode()
    assert text.endswith("\n")
    assert "\r" not in text
    return text.splitlines()


def test_files_and_members_are_named_like_the_real_ones(drawn: Path) -> None:
    assert sorted(p.name for p in drawn.iterdir()) == FILES
    train, test = list(unzipped(drawn / "train.zip")), list(unzipped(drawn / "test.zip"))
    masks = list(unzipped(drawn / "train_masks.zip"))
    assert len(train) == len(test) == len(masks) == 16
    car = train[0].removeprefix("train/")[:12]
    assert re.fullmatch("[0-9a-f]{12}", car)
    assert train == [f"train/{car}_{view:02d}.jpg" for view in range(1, 17)]
    assert masks == [f"train_masks/{car}_{view:02d}_mask.gif" for view in range(1, 17)]
    assert all(re.fullmatch(r"test/[0-9a-f]{12}_\d\d\.jpg", name) for name in test)
    assert car not in test[0]


def test_photographs_have_the_real_dimensions_and_file_sizes(drawn: Path) -> None:
    for data in unzipped(drawn / "train.zip").values():
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (1918, 1280))
        assert 80_000 < len(data) < 120_000


def mask_of(data: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.mode == "P"
        return np.asarray(picture)


def test_masks_are_gifs_of_palette_indices_0_and_1(drawn: Path) -> None:
    for data in unzipped(drawn / "train_masks.zip").values():
        assert data[:6] == b"GIF89a"
        mask = mask_of(data)
        assert mask.shape == (1280, 1918)
        assert (mask.min(), mask.max()) == (0, 1)
        assert 0.05 < mask.mean() < 0.35
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.getpalette() or [])[:6] == [0, 0, 0, 255, 255, 255]


def test_the_run_length_table_gives_the_masks(drawn: Path) -> None:
    rows = table(drawn, "train_masks.csv")
    assert rows[0] == "img,rle_mask"
    masks = list(unzipped(drawn / "train_masks.zip").items())
    assert len(rows) == 1 + len(masks)
    for row, (name, data) in zip(rows[1:], masks, strict=True):
        image, runs = row.split(",")
        assert name == f"train_masks/{image.removesuffix('.jpg')}_mask.gif"
        flat = bytearray(1280 * 1918)
        numbers = [int(number) for number in runs.split(" ")]
        for start, length in zip(numbers[::2], numbers[1::2], strict=True):
            flat[start - 1 : start - 1 + length] = b"\1" * length
        assert bytes(flat) == mask_of(data).tobytes()


def test_the_small_tables_are_written_as_the_real_ones(drawn: Path) -> None:
    rows = table(drawn, "sample_submission.csv")
    tests = [n.removeprefix("test/") for n in unzipped(drawn / "test.zip")]
    assert rows == ["img,rle_mask", *(f"{name},1 1" for name in tests)]
    about = table(drawn, "metadata.csv")
    assert about[0] == '"id","year","make","model","trim1","trim2"'
    assert len(about) == 3
    assert all(re.fullmatch(r'"[0-9a-f]{12}","20\d\d"(,"[\w ]+"){4}', row) for row in about[1:])


def test_bytes_depend_on_the_seed_alone(drawn: Path, tmp_path: Path) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    again.mkdir()
    other.mkdir()
    draw_carvana(again, 7, train_cars=1, test_cars=1, workers=2)
    assert digestible(again) == digestible(drawn)
    draw_carvana(other, 8, train_cars=1, test_cars=0)
    assert (other / "train.zip").read_bytes() != (drawn / "train.zip").read_bytes()


@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_a_car_is_longer_from_the_side_and_one_piece(number: int) -> None:
    import cv2

    car = choose_car(np.random.default_rng(number), number)
    width = {}
    for view in (1, 5, 9):
        picture, mask = paint_car(Camera(), car, view)
        columns = np.flatnonzero(mask.any(axis=0))
        width[view] = int(columns[-1] - columns[0])
        assert columns[0] > 50, "the whole car is in the picture"
        assert columns[-1] < 1868
        assert not picture[mask == 0].max() > 7
        pieces = cv2.connectedComponentsWithStats(mask)[2][1:, cv2.CC_STAT_AREA]
        assert pieces.max() > 0.998 * pieces.sum()
    assert width[5] > 1.7 * width[1]
    assert width[1] > 400
    assert abs(width[1] - width[9]) < 0.2 * width[1]


def test_the_whole_set_has_ten_cars_and_more(tmp_path: Path) -> None:
    draw_carvana(tmp_path, 7, workers=2)
    cars = {name.split("_")[0] for name in unzipped(tmp_path / "train.zip")}
    tests = {name.split("_")[0] for name in unzipped(tmp_path / "test.zip")}
    assert (len(cars), len(tests)) == (10, 3)
    assert {row.split(",")[3] for row in table(tmp_path, "metadata.csv")[1:]} == {
        f'"{shape.name}"' for shape in SHAPES
    }
