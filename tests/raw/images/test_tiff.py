"""Large TIFFs in parts: the means of blocks, whatever the parts and their compression."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from darkroom.errors import DataError
from darkroom.images import codec
from darkroom.raw import limits
from darkroom.raw.archives import Archives, digest_of
from darkroom.raw.images import pictures, tiff
from darkroom.raw.images.pictures import read_samples
from darkroom.raw.images.reader import ImageReader, plan_channels
from darkroom.raw.zips import Zip
from tests.support.packed import folder_of, tar_of

HEIGHT, WIDTH = 83, 101
_ROWS, _COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
PICTURE = np.stack([_ROWS * 3, _COLUMNS * 2, (_ROWS + _COLUMNS)], 2).astype(np.uint8)


def saved(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "TIFF", **options)
    return file.getvalue()


def pages_of(*planes: np.ndarray, **options: Any) -> bytes:
    """Return a TIFF with a page for each."""
    first, *others = [Image.fromarray(plane) for plane in planes]
    for page in others:
        page.encoderinfo = options.copy()  # Pillow 11.2 writes them uncompressed otherwise
    file = io.BytesIO()
    first.save(file, "TIFF", save_all=True, append_images=others, **options)
    return file.getvalue()


def by_hand(
    pixels: np.ndarray, *, tile: int = 16, separate: bool = False, order: str = "<"
) -> bytes:
    """Return an uncompressed TIFF of tiles, which Pillow does not write."""
    height, width, samples = pixels.shape
    rows, columns = -(-height // tile), -(-width // tile)
    padded = np.pad(
        pixels, ((0, rows * tile - height), (0, columns * tile - width), (0, 0)), mode="edge"
    )
    planes = [padded[:, :, k : k + 1] for k in range(samples)] if separate else [padded]
    parts = [
        plane[row * tile :, column * tile :][:tile, :tile].tobytes()
        for plane in planes
        for row in range(rows)
        for column in range(columns)
    ]
    starts = np.cumsum([8, *(len(part) for part in parts)]).tolist()
    tags = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [8] * samples),
        259: (3, [1]),
        262: (3, [2 if samples >= 3 else 1]),
        277: (3, [samples]),
        284: (3, [2 if separate else 1]),
        322: (3, [tile]),
        323: (3, [tile]),
        324: (4, starts[:-1]),
        325: (4, [len(part) for part in parts]),
    }
    directory, behind = b"", b""
    after = starts[-1] + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in tags.items():
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'L'}", *values)
        if len(packed) > 4:
            packed, behind = struct.pack(f"{order}L", after + len(behind)), behind + packed
        directory += struct.pack(f"{order}HHL", tag, kind, len(values)) + packed.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = magic + struct.pack(f"{order}L", starts[-1])
    count = struct.pack(f"{order}H", len(tags))
    return head + b"".join(parts) + count + directory + bytes(4) + behind


def means(pixels: np.ndarray, size: int) -> np.ndarray:
    """Return the rounded mean of each block, in the plainest way."""
    height, width, _ = pixels.shape
    rows = [
        [
            pixels[y : y + size, x : x + size].reshape(-1, 3).astype(float).mean(axis=0)
            for x in range(0, width, size)
        ]
        for y in range(0, height, size)
    ]
    return np.floor(np.array(rows) + 0.5).astype(np.uint8)


DEEP = saved(np.zeros((60, 60), np.uint16))
GREY = np.repeat(PICTURE[:, :, :1], 3, axis=2)
RGBA = np.concatenate([PICTURE, PICTURE[:, :, :1]], axis=2)
FILES: dict[str, tuple[bytes, np.ndarray]] = {
    "strips": (saved(PICTURE, tiffinfo={278: 5}), PICTURE),
    "one strip": (saved(PICTURE), PICTURE),
    "lzw, strips of 1 row": (saved(PICTURE, compression="tiff_lzw", tiffinfo={278: 1}), PICTURE),
    "deflate and predictor": (
        saved(PICTURE, compression="tiff_adobe_deflate", tiffinfo={278: 7, 317: 2}),
        PICTURE,
    ),
    "grey": (saved(PICTURE[:, :, 0], tiffinfo={278: 9}), GREY),
    "rgba": (saved(RGBA, compression="tiff_lzw", tiffinfo={278: 6}), PICTURE),
    "big": (saved(PICTURE, big_tiff=True, tiffinfo={278: 8}), PICTURE),
    "tiles": (by_hand(PICTURE), PICTURE),
    "tiles, big-endian": (by_hand(PICTURE, order=">"), PICTURE),
    "tiles, a channel behind the other": (by_hand(PICTURE, separate=True), PICTURE),
    "tiles of four channels apart": (by_hand(RGBA, separate=True), PICTURE),
    "a grey page a channel": (
        pages_of(*np.moveaxis(PICTURE, 2, 0), compression="tiff_lzw", tiffinfo={278: 5}),
        PICTURE,
    ),
    "tiles, grey": (by_hand(PICTURE[:, :, :1]), GREY),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("divisor", [2, 4, 8])
def test_each_pixel_is_the_mean_of_its_block(name: str, divisor: int) -> None:
    data, pixels = FILES[name]
    layout = tiff.large_layout(data, name="a.tif", more_than=1000)
    assert layout is not None
    at_least = (HEIGHT // divisor, WIDTH // divisor)
    reduced, header = tiff.read_reduced(data, layout, name="a.tif", at_least=at_least)
    assert np.array_equal(reduced, means(pixels, divisor))
    assert (header.height, header.width, header.format) == (HEIGHT, WIDTH, "TIFF")


def test_jpeg_in_tiff_is_read_as_the_whole_is() -> None:
    data = saved(PICTURE, compression="jpeg", quality=95, tiffinfo={278: 16})
    layout = tiff.large_layout(data, name="a.tif", more_than=1000)
    assert layout is not None
    reduced, _ = tiff.read_reduced(data, layout, name="a.tif", at_least=(40, 40))
    whole = codec.decode_image(data)
    assert np.abs(reduced.astype(int) - means(whole, 2)).max() <= 2


def test_smaller_pictures_and_other_files_are_left_to_pillow() -> None:
    assert tiff.large_layout(saved(PICTURE), name="a", more_than=HEIGHT * WIDTH) is None
    assert tiff.large_layout(b"\x89PNG\r\n", name="a", more_than=0) is None
    assert tiff.large_layout(b"II*\0\0\0\0\0", name="a", more_than=0) is None


def test_pictures_beyond_the_limit_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_PIXELS", 5000)
    data = by_hand(PICTURE)
    samples = read_samples(data, name="a.tif", sufficient=lambda *_: (20, 20))
    assert np.array_equal(samples.values, means(PICTURE, 4))
    assert pictures.count_channels(data, name="a.tif") == 3
    with pytest.raises(DataError, match=r"at more than half[\s\S]*preprocess\.height"):
        read_samples(data, name="a.tif")


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no member of more than 999 bytes be held."""
    monkeypatch.setattr(limits, "MAX_MEMBER_BYTES", 999)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} is read whole"))
    monkeypatch.setattr(Zip, "read", lambda _, name: pytest.fail(f"{name} is read whole"))


LARGE = by_hand(PICTURE, separate=True)


def zip_with(path: Path, data: bytes, method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("b.txt", b"b")
        archive.writestr("a.tif", data)


@pytest.mark.parametrize("name", ["train", "train.zip", "train.zip.001", "train.tar"])
@pytest.mark.usefixtures("small_limit")
def test_a_file_that_is_too_large_to_hold_is_read_in_parts(tmp_path: Path, name: str) -> None:
    if name == "train":
        folder_of(tmp_path / name, {"a.tif": LARGE})
    elif name == "train.tar":
        tar_of(tmp_path / name, {"b.txt": b"b", "a.tif": LARGE})
    else:
        zip_with(tmp_path / "whole", LARGE)
        with (tmp_path / "whole").open("rb") as whole:
            if name.endswith("1"):
                (tmp_path / name).write_bytes(whole.read(5000))
                name = "train.zip.001"
            (tmp_path / name.replace("001", "002")).write_bytes(whole.read())
    archives = Archives(tmp_path, tmp_path / "unpacked")
    path = f"{name}/a.tif"
    (digest,) = archives.digests(pa.array([path])).to_pylist()
    assert digest == digest_of(LARGE)
    reader = ImageReader(archives, plan_channels(archives, [path] * 2, None))
    raw = reader.read(path, digest=digest, sufficient=lambda *_: (20, 20))
    assert np.array_equal(raw.pixels, means(PICTURE, 4))
    assert (raw.bytes, raw.header.height, raw.header.width) == (len(LARGE), HEIGHT, WIDTH)
    with pytest.raises(DataError, match="not the file that was indexed"):
        reader.read(path, digest="0" * 32)


@pytest.mark.usefixtures("small_limit")
def test_other_files_that_are_too_large_to_hold_are_refused(tmp_path: Path) -> None:
    folder_of(
        tmp_path / "train", {"a.png": b"\x89PNG" + LARGE, "deep.tif": DEEP, "cut.tif": LARGE[:9999]}
    )
    zip_with(tmp_path / "test.zip", LARGE, zipfile.ZIP_DEFLATED)
    zip_with(tmp_path / "odd.zip", LARGE)
    with (tmp_path / "odd.zip").open("r+b") as file:
        file.seek(2000)
        file.write(b"damage")
    archives = Archives(tmp_path, tmp_path / "unpacked")
    for name, words in {
        "test.zip/a.tif": "too large to be read[\\s\\S]*unpack its archive into a folder",
        "train/a.png": "too large to be read[\\s\\S]*store it as a TIFF",
        "train/deep.tif": "not read in parts",
        "train/cut.tif": "no picture at the place that the header names",
    }.items():
        with pytest.raises(DataError, match=words):
            ImageReader(archives).read(name, sufficient=lambda *_: (20, 20))
    with pytest.raises(DataError, match=r"odd\.zip/a\.tif: damaged, or cut short"):
        archives.digests(pa.array(["odd.zip/a.tif"]))


def edited(data: bytes, tag: int, value: int) -> bytes:
    """Return a little-endian file with another value of a tag of one value."""
    (start,) = struct.unpack("<L", data[4:8])
    at = data.index(struct.pack("<H", tag), start + 2)
    return data[: at + 4] + struct.pack("<LL", 1, value) + data[at + 12 :]


TILES = by_hand(PICTURE)
REFUSED = {
    "more rows": (edited(TILES, 257, 60_000), "does not hold"),
    "too wide": (edited(TILES, 256, 2**31 - 1), "does not hold"),
    "cut": (TILES[: len(TILES) // 2], "a.tif"),
    "16 bits": (DEEP, "not read in parts"),
    "rotated": (saved(PICTURE, tiffinfo={274: 6}), "not read in parts"),
    "palette": (edited(TILES, 262, 3), "not read in parts"),
    "several": (
        saved(PICTURE, save_all=True, append_images=[Image.fromarray(PICTURE)] * 3),
        "several pictures",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_kinds_and_lies_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_PIXELS", 3000)
    data, words = REFUSED[name]
    with pytest.raises(DataError, match=words):
        read_samples(data, name="a.tif", sufficient=lambda *_: (8, 8))


def test_parts_that_share_bytes_are_refused() -> None:
    """Else 30 kB would claim 131,072 x 131,072 px and take hours."""
    (start,) = struct.unpack("<L", TILES[4:8])
    at = TILES.index(struct.pack("<HH", 324, 4), start)
    count, offsets = struct.unpack("<LL", TILES[at + 4 : at + 12])
    shared = struct.pack("<L", 8) * count
    data = TILES[:offsets] + shared + TILES[offsets + len(shared) :]
    longer = bytearray(data)
    counts = TILES.index(struct.pack("<HH", 325, 4), start)
    (lengths,) = struct.unpack("<L", TILES[counts + 8 : counts + 12])
    longer[lengths : lengths + 4 * count] = struct.pack("<L", 20_000) * count
    with pytest.raises(DataError, match="does not hold"):
        tiff.large_layout(bytes(longer), name="a.tif", more_than=1000)


def test_strips_as_large_as_pictures_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "MAX_PART_PIXELS", 4000)
    with pytest.raises(DataError, match=r"strips or tiles of 101 x 83 px[\s\S]*tiles of 512"):
        tiff.large_layout(saved(PICTURE, compression="tiff_lzw"), name="a.tif", more_than=1000)


@pytest.mark.parametrize(
    "name", ["one strip", "grey, one strip", "rgba, one strip", "a strip a page"]
)
def test_a_large_strip_without_compression_is_read_by_rows(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "MAX_PART_PIXELS", 8000)
    data, pixels = {
        "one strip": (saved(PICTURE), PICTURE),
        "grey, one strip": (saved(PICTURE[:, :, 0]), GREY),
        "rgba, one strip": (saved(RGBA), PICTURE),
        "a strip a page": (pages_of(*np.moveaxis(PICTURE, 2, 0)), PICTURE),
    }[name]
    layout = tiff.large_layout(data, name="a.tif", more_than=1000)
    assert layout is not None
    assert layout.part == (4, WIDTH)
    reduced, _ = tiff.read_reduced(data, layout, name="a.tif", at_least=(20, 20))
    assert np.array_equal(reduced, means(pixels, 4))
