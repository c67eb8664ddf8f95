import pickle
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest

from darkroom.errors import ArtifactError
from darkroom.store.shard import ImageKind, ShardFormat
from darkroom.store.store import (
    Store,
    StoredImage,
    pack_image,
    pack_mask,
    rows_per_shard,
    shard_name,
    write_shard,
)

HEIGHT, WIDTH = 13, 17  # a mask's bits don't end with a byte


def picture(number: int) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    planes = [rows * 15, columns * 14, np.full_like(rows, number * 9)]
    return np.stack(planes, axis=2).astype(np.uint8)


def label(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    return rng.integers(0, 2, (HEIGHT, WIDTH), dtype=np.uint8)


def rows(kind: ImageKind, count: int, first: int = 0, masks: bool = True) -> list[StoredImage]:
    return [
        StoredImage(
            f"car_{number:02d}",
            pack_image(picture(number), kind, 95),
            pack_mask(label(number) if masks else None),
            100 + number,
            200,
        )
        for number in range(first, first + count)
    ]


def write(folder: Path, kind: ImageKind = "raw", counts: tuple[int, ...] = (5, 3)) -> Path:
    first = 0
    for number, count in enumerate(counts):
        write_shard(
            folder / shard_name("train", number),
            rows(kind, count, first),
            ShardFormat(HEIGHT, WIDTH, "stretch", kind),
        )
        first += count
    return folder


@pytest.mark.parametrize("kind", ["raw", "jpeg"])
def test_a_store_returns_what_was_written(tmp_path: Path, kind: ImageKind) -> None:
    store = Store(write(tmp_path, kind), "train")
    assert (len(store), store.height, store.width, store.fit) == (8, HEIGHT, WIDTH, "stretch")
    assert store.ids == [f"car_{number:02d}" for number in range(8)]
    assert store.originals.dtype == np.int32
    assert store.originals[7].tolist() == [107, 200]
    for row in range(8):
        difference = np.abs(store.image(row).astype(int) - picture(row))
        assert difference.max() <= (0 if kind == "raw" else 24)
        mask = store.mask(row)
        assert mask is not None
        assert np.array_equal(mask, [label(row)])
    assert np.array_equal(store.masks([6, 2]), [[label(6)], [label(2)]])


@pytest.mark.parametrize("planes", [2, 9])
def test_masks_of_several_planes_return_as_they_were(tmp_path: Path, planes: int) -> None:
    masks = [np.stack([label(planes * row + k) for k in range(planes)]) for row in range(3)]
    image = pack_image(picture(0), "raw", 95)
    stored = [StoredImage(str(row), image, pack_mask(masks[row]), 100, 200) for row in range(3)]
    format = ShardFormat(HEIGHT, WIDTH, "stretch", "raw", planes=planes)
    write_shard(tmp_path / shard_name("train", 0), stored, format)
    store = Store(tmp_path, "train")
    assert store.planes == planes
    assert np.array_equal(store.masks([2, 0]), [masks[2], masks[0]])
    mask = store.mask(1)
    assert mask is not None
    assert np.array_equal(mask, masks[1])


def test_raw_pixels_are_not_copied(tmp_path: Path) -> None:
    store = Store(write(tmp_path), "train")
    assert np.shares_memory(store.image(3), store.stored_image(3))
    assert not store.image(3).flags.writeable


def test_rows_without_masks(tmp_path: Path) -> None:
    path = tmp_path / shard_name("test", 0)
    write_shard(path, rows("raw", 2, masks=False), ShardFormat(HEIGHT, WIDTH, "pad", "raw"))
    store = Store(tmp_path, "test")
    assert store.mask(0) is None
    assert store.has_mask.tolist() == [False, False]
    assert store.fit == "pad"


def test_an_empty_part_is_a_store_of_nothing(tmp_path: Path) -> None:
    assert len(Store(write(tmp_path, counts=(0,)), "train")) == 0


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, "jpeg")
    for number in range(2):
        one, other = (tmp_path / f / shard_name("train", number) for f in ("one", "other"))
        assert one.read_bytes() == other.read_bytes()


def test_standard_tools_read_a_shard(tmp_path: Path) -> None:
    with pa.ipc.open_file(write(tmp_path) / "train-00000.arrow") as reader:
        table = reader.read_all()
    assert table.column_names == ["id", "image", "mask", "height", "width"]
    assert table.schema.metadata[b"image"] == b"raw"
    assert len(table["image"][0].as_py()) == HEIGHT * WIDTH * 3


def test_record_batches_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkroom.store.store._BATCH_BYTES", 2000)
    folder = write(tmp_path)
    with pa.ipc.open_file(folder / "train-00000.arrow") as reader:
        assert [reader.get_batch(k).num_rows for k in range(reader.num_record_batches)] == [2, 2, 1]
    assert np.array_equal(Store(folder, "train").image(4), picture(4))


def test_rows_are_not_collected_before_they_are_written(tmp_path: Path) -> None:
    def failing() -> object:
        yield from rows("raw", 2)
        raise RuntimeError("the third row fails")

    path = tmp_path / "train-00000.arrow"
    with pytest.raises(RuntimeError):
        write_shard(path, failing(), ShardFormat(HEIGHT, WIDTH, "pad", "raw"))  # type: ignore[arg-type]
    assert not path.exists()


def test_a_row_of_another_size_is_refused(tmp_path: Path) -> None:
    taller = ShardFormat(HEIGHT + 1, WIDTH, "pad", "raw")
    with pytest.raises(ValueError, match="car_00: 663 bytes, not 714"):
        write_shard(tmp_path / "a", rows("raw", 1), taller)


def test_rows_per_shard_is_a_function_of_the_number_of_rows() -> None:
    assert [rows_per_shard(n) for n in (0, 1, 64, 2048, 2049, 5088, 202_599)] == [
        32, 32, 32, 32, 33, 80, 3166,
    ]  # fmt: skip
    for count in (1, 31, 33, 5_088, 100_064):
        assert 1 <= -(-count // rows_per_shard(count)) <= 64


def test_a_store_pickles_and_leaves_no_file_open(tmp_path: Path) -> None:
    files = psutil.Process().num_fds()
    store = Store(write(tmp_path, "jpeg"), "train")
    again = pickle.loads(pickle.dumps(store))
    assert np.array_equal(again.image(6), store.image(6))
    assert psutil.Process().num_fds() == files


@pytest.mark.parametrize(
    ("drop", "words"), [([0, 1], "found: none"), ([0], "found: train-00001.arrow")]
)
def test_missing_shards_are_named(tmp_path: Path, drop: list[int], words: str) -> None:
    write(tmp_path)
    for number in drop:
        (tmp_path / shard_name("train", number)).unlink()
    with pytest.raises(ArtifactError) as fault:
        Store(tmp_path, "train")
    assert "shards of part 'train' are missing" in str(fault.value)
    assert words in str(fault.value)
    assert "dvc repro" in str(fault.value)


def test_shards_that_disagree_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "jpeg", (2,))
    write_shard(tmp_path / "train-00001.arrow", [], ShardFormat(HEIGHT, 99, "pad", "jpeg"))
    with pytest.raises(ArtifactError) as fault:
        Store(tmp_path, "train")
    assert "train-00001.arrow: a shard has another format" in str(fault.value)


def test_a_damaged_jpeg_is_named_by_its_id(tmp_path: Path) -> None:
    path = write(tmp_path, "jpeg", (3,)) / "train-00000.arrow"
    jpeg = rows("jpeg", 1, 1)[0].image
    path.write_bytes(path.read_bytes().replace(jpeg[-60:], b"\xff\xd9" + bytes(58)))
    with pytest.raises(ArtifactError) as fault:
        Store(tmp_path, "train").image(1)
    assert "(train, id car_01): a stored JPEG is damaged" in str(fault.value)


@pytest.mark.parametrize("kind", ["raw", "jpeg"])
@pytest.mark.parametrize("channels", [1, 6])
def test_images_of_other_channels_come_back(tmp_path: Path, kind: ImageKind, channels: int) -> None:
    format = ShardFormat(HEIGHT, WIDTH, "stretch", kind, channels)
    pixels = np.repeat(picture(7)[:, :, :1], channels, axis=2)
    pixels[:, :, -1] = 255 - pixels[:, :, -1]
    row = StoredImage("a", pack_image(pixels, kind, 95), b"", 20, 30)
    write_shard(tmp_path / shard_name("train", 0), [row], format)
    store = Store(tmp_path, "train")
    assert store.channels == channels
    assert np.abs(store.image(0).astype(int) - pixels).max() <= (0 if kind == "raw" else 12)
    with pytest.raises(ValueError, match="bytes, not"):
        write_shard(
            tmp_path / "odd.arrow",
            [row],
            ShardFormat(HEIGHT + 1, WIDTH, "stretch", "raw", channels),
        )
