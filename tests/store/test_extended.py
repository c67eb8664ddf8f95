"""A store with rows of another one behind its own."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import ArtifactError
from darkroom.store.extended import ExtendedStore
from darkroom.store.shard import ShardFormat
from darkroom.store.store import Store, StoredImage, pack_image, pack_mask, shard_name, write_shard

FORMAT = ShardFormat(4, 4, "stretch", "raw")


def image(number: int) -> np.ndarray:
    return np.full((4, 4, 3), number, np.uint8)


def mask(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 2, (1, 4, 4)).astype(np.uint8)


def write(
    folder: Path, part: str, numbers: range, *, masks: bool, format: ShardFormat = FORMAT
) -> Store:
    rows = [
        StoredImage(
            f"{part}{number}",
            pack_image(image(number), "raw", 0),
            pack_mask(mask(number) if masks else None),
            number + 1,
            7,
        )
        for number in numbers
    ]
    write_shard(folder / shard_name(part, 0), rows, format)
    return Store(folder, part)


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Store, Store]:
    return (
        write(tmp_path, "train", range(3), masks=True),
        write(tmp_path, "test", range(10, 15), masks=False),
    )


def write_masks(path: Path, ids: list[str]) -> Path:
    rows = [StoredImage(each, b"", pack_mask(mask(90 + n)), 5, 7) for n, each in enumerate(ids)]
    write_shard(path, rows, replace(FORMAT, image="jpeg"))
    return path


def test_chosen_rows_stand_behind_the_first_store_s_with_masks_of_their_own(
    stores: tuple[Store, Store], tmp_path: Path
) -> None:
    path = write_masks(tmp_path / "masks.arrow", ["test13", "test10"])
    store = ExtendedStore(*stores, [3, 0], path)
    for each in (store, pickle.loads(pickle.dumps(store))):
        assert each.ids == ["train0", "train1", "train2", "test13", "test10"]
        assert [int(each.image(row)[0, 0, 0]) for row in range(len(each))] == [0, 1, 2, 13, 10]
        assert each.originals[:, 0].tolist() == [1, 2, 3, 14, 11]
        expected = [mask(0), mask(1), mask(2), mask(90), mask(91)]
        np.testing.assert_array_equal(each.masks(range(5)), expected)
        assert each.has_mask.all()
    assert len(stores[0]) == 3


def test_without_masks_the_added_rows_have_none(stores: tuple[Store, Store]) -> None:
    store = ExtendedStore(*stores, [4])
    assert store.has_mask.tolist() == [True] * 3 + [False]
    assert store.mask(3) is None


def test_masks_of_other_images_or_of_another_format_are_refused(
    stores: tuple[Store, Store], tmp_path: Path
) -> None:
    path = write_masks(tmp_path / "masks.arrow", ["test13", "test10"])
    with pytest.raises(ArtifactError, match="of other images"):
        ExtendedStore(*stores, [0, 3], path)
    other = write(tmp_path / "other", "test", range(2), masks=False)
    other.format = replace(FORMAT, height=2, width=8)
    with pytest.raises(ArtifactError, match="stored in another format"):
        ExtendedStore(stores[0], other, [0])
