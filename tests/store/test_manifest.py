"""Digests of a folder of shards: written by whoever writes them, compared by whoever reads."""

from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import ArtifactError
from darkroom.project.files import file_sha256
from darkroom.store.manifest import NAME, compare_digests, write_manifest
from darkroom.store.shard import ShardFormat
from darkroom.store.store import Store, StoredImage, pack_mask, shard_name, write_shard

FORMAT = ShardFormat(6, 5, "stretch", "raw")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two training shards, one test shard, facts and their manifest."""
    rng = np.random.default_rng(0)
    for part, number in (("train", 0), ("train", 1), ("test", 0)):
        rows = [
            StoredImage(
                f"{part}{number}{row}",
                rng.bytes(FORMAT.image_bytes()),
                pack_mask(rng.integers(0, 2, (6, 5), np.uint8)),
                12,
                10,
            )
            for row in range(3)
        ]
        write_shard(tmp_path / shard_name(part, number), rows, FORMAT)
    (tmp_path / "facts.arrow").write_text("id\n")
    write_manifest(tmp_path, {path.name: file_sha256(path) for path in tmp_path.iterdir()})
    return tmp_path


def refusal(folder: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        Store(folder, "train", verify=True)
    return str(caught.value)


def test_a_store_has_the_digests_that_it_compared(folder: Path) -> None:
    store = Store(folder, "train", verify=True)
    assert store.digests == {path.name: file_sha256(path) for path in store.paths}
    assert list(store.digests) == ["train-00000.arrow", "train-00001.arrow"]
    assert Store(folder, "train").digests == {}, "worker processes compare nothing again"


def test_no_flipped_bit_is_accepted(folder: Path) -> None:
    path = folder / "train-00001.arrow"
    data = path.read_bytes()
    for bit in np.random.default_rng(1).integers(0, 8 * len(data), 200).tolist():
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert "train-00001.arrow: it is damaged, or not the one that" in refusal(folder), bit


def test_missing_and_added_shards_are_refused(folder: Path) -> None:
    last = folder / "train-00001.arrow"
    data = last.read_bytes()
    last.unlink()
    assert "shards are missing" in refusal(folder)
    last.write_bytes(data)
    (folder / "train-00002.arrow").write_bytes(data)
    assert "are not those that preprocess wrote" in refusal(folder)


def test_swapped_shards_are_refused(folder: Path) -> None:
    first, second = folder / "train-00000.arrow", folder / "train-00001.arrow"
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    assert "not the one that preprocess wrote" in refusal(folder)


@pytest.mark.parametrize("text", ["", "{", "5", '{"train-00000.arrow": 5}', "[1]", "\xff"])
def test_a_damaged_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / NAME).write_text(text, encoding="latin-1")
    words = "it was written by an earlier version" if "arrow" in text else "it is damaged"
    assert f"{NAME}: {words}" in refusal(folder)
    (folder / NAME).unlink()
    assert f"{NAME}: the shards have no digests" in refusal(folder)


def test_a_file_without_a_digest_is_refused(folder: Path) -> None:
    (folder / "more.csv").write_text("")
    with pytest.raises(ArtifactError, match=f"a file that {NAME} lists"):
        compare_digests(folder, ["more.csv"])
    with pytest.raises(ArtifactError, match="it can't be read"):
        compare_digests(folder, ["absent.csv"])
