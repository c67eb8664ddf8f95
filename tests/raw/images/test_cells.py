"""Images in the cells of tables: rows, shapes, channels, values that are no bytes."""

from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import DataError
from darkroom.images.levels import Levels
from darkroom.raw.archives import Archives, digest_of
from darkroom.raw.images.cells import PixelCells, cells_digests
from darkroom.raw.images.reader import ImageReader, plan_channels
from tests.support.packed import zip_of

SIX = PixelCells(tuple(f"pixel{k}" for k in range(6)), (2, 3))
DIGITS = "label,pixel0,pixel1,pixel2,pixel3,pixel4,pixel5\n7,0,1,2,3,4,255\n1,9,8,7,6,5,4\n"


def archives(folder: Path, **tables: str) -> Archives:
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return Archives(folder, folder / "unpacked")


def test_a_row_of_columns_is_a_grey_picture(tmp_path: Path) -> None:
    images = ["pixels:train.csv#0", "pixels:train.csv#1"]
    raw_files = archives(tmp_path, train=DIGITS)
    digests = cells_digests(raw_files, images, SIX)
    assert digests[1] == digest_of(bytes([9, 8, 7, 6, 5, 4]))
    channels = plan_channels(raw_files, images, None, SIX)
    assert channels == (3,)
    reader = ImageReader(raw_files, channels, cells=SIX)
    raw = reader.read(images[0], digest=digests[0])
    assert raw.pixels[:, :, 1].tolist() == [[0, 1, 2], [3, 4, 255]]
    assert (raw.header.format, raw.header.mode) == ("cells", "uint8")
    assert (raw.header.height, raw.header.width, raw.bytes) == (2, 3, 6)
    with pytest.raises(DataError, match="not the image that was indexed"):
        reader.read(images[0], digest=digests[1])


def test_a_table_in_a_zip_and_one_cell_of_all_values(tmp_path: Path) -> None:
    text = 'emotion,pixels\n0,"0 1 2 3 4 5"\n3,250 251 252 253 254 255\n'
    zip_of(tmp_path / "faces.csv.zip", {"faces.csv": text.encode()})
    raw_files = Archives(tmp_path, tmp_path / "unpacked")
    reader = ImageReader(raw_files, cells=PixelCells(("pixels",), (3, 2)))
    for name in ("faces.csv", "faces.csv.zip"):
        pixels = reader.read(f"pixels:{name}#1").pixels
        assert pixels[:, :, 0].tolist() == [[250, 251], [252, 253], [254, 255]]


def test_channels_side_by_side_and_one_behind_the_other(tmp_path: Path) -> None:
    columns = ",".join(f"p{k}" for k in range(12))
    raw_files = archives(
        tmp_path,
        beside=f"{columns}\n{','.join(map(str, range(12)))}\n",
        behind='band_1,band_2\n"0 1 2 3","10 11 12 13"\n',
    )
    beside = PixelCells(tuple(columns.split(",")), (2, 2))
    image = "pixels:beside.csv#0"
    assert plan_channels(raw_files, [image], None, beside) == (3,)
    pixels = ImageReader(raw_files, (3,), cells=beside).read(image).pixels
    assert pixels.tolist() == np.arange(12).reshape(2, 2, 3).tolist()
    behind = PixelCells(("band_1", "band_2"), (2, 2))
    image = "pixels:behind.csv#0"
    assert plan_channels(raw_files, [image], None, behind) == (2,)
    pixels = ImageReader(raw_files, (2,), cells=behind).read(image).pixels
    assert pixels[:, :, 1].tolist() == [[10, 11], [12, 13]]


@pytest.mark.parametrize("value", ["256", "-1", "0.5"])
def test_a_value_that_is_no_byte_is_refused_by_row_and_column(tmp_path: Path, value: str) -> None:
    raw_files = archives(tmp_path, train=DIGITS.replace("9,8,7", f"9,8,{value}"))
    images = ["pixels:train.csv#0"]
    with pytest.raises(DataError, match=rf"(?s)column pixel2.*{value}, in row 2.*levels"):
        plan_channels(raw_files, images, None, SIX)
    assert plan_channels(raw_files, images, (0, 255), SIX) == (3,)
    pixels = ImageReader(raw_files, levels=(0, 255), cells=SIX).read(images[0]).pixels
    assert pixels[:, :, 0].tolist() == [[0, 1, 2], [3, 4, 255]]


@pytest.mark.parametrize(
    ("image", "shape", "words"),
    [
        ("pixels:train.csv#2", (2, 3), "fewer rows"),
        ("pixels:train.csv#x", (2, 3), "no row of a table"),
        ("pixels:train.csv", (2, 3), "no row of a table"),
        ("pixels:train.csv#0", (2, 2), r"6 values[\s\S]*2 x 2 = 4"),
        ("pixels:train.csv#0", (3, 3), "no picture of this shape"),
        ("pixels:absent.csv#0", (2, 3), "absent"),
    ],
)
def test_what_is_not_there_is_refused(
    tmp_path: Path, image: str, shape: tuple[int, int], words: str
) -> None:
    cells = PixelCells(SIX.columns, shape)
    with pytest.raises(DataError, match=words):
        ImageReader(archives(tmp_path, train=DIGITS), cells=cells).read(image)


@pytest.mark.parametrize(("levels", "white"), [((0.0, 1.0), 255), ("auto", 255), (None, 1)])
def test_levels_apply_to_a_table_that_happens_to_hold_bytes(
    tmp_path: Path, levels: Levels, white: int
) -> None:
    raw_files = archives(tmp_path, test=DIGITS.replace("9,8,7,6,5,4", "0,1,0,1,1,0"))
    reader = ImageReader(raw_files, levels=levels, cells=SIX)
    pixels = reader.read("pixels:test.csv#1").pixels
    assert pixels[:, :, 0].tolist() == [[0, white, 0], [white, white, 0]]
