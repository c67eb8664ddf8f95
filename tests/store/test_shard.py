from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import ArtifactError
from darkroom.store.shard import COLUMNS, Shard, ShardFormat, Texts
from tests.store.test_store import HEIGHT, WIDTH, write

FORMAT = ShardFormat(HEIGHT, WIDTH, "stretch", "raw")


def test_a_shard_knows_its_layout(tmp_path: Path) -> None:
    shard = Shard(write(tmp_path) / "train-00000.arrow")
    assert shard.format == FORMAT
    assert (len(shard.ids), len(shard.images), len(shard.masks)) == (5, 5, 5)
    assert shard.masks[0].size == FORMAT.mask_bytes() == 28
    assert "planes" not in FORMAT.metadata(), "one plane: the bytes of earlier shards"
    assert ShardFormat(HEIGHT, WIDTH, "stretch", "raw", planes=3).mask_bytes() == 83  # 663 bits


def test_a_cut_shard_is_refused_at_every_length(tmp_path: Path) -> None:
    path = write(tmp_path, counts=(3,)) / "train-00000.arrow"
    data = path.read_bytes()
    for length in range(0, len(data) - 1, 37):
        path.write_bytes(data[:length])
        with pytest.raises(ArtifactError) as fault:
            Shard(path)
        assert "train-00000.arrow: the shard is damaged" in str(fault.value)
        assert "dvc repro" in str(fault.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"ARROW1\x00\x00" + bytes(100)])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train-00000.arrow"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="the shard is damaged"):
        Shard(path)


def foreign(path: Path, schema: pa.Schema) -> Path:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema):
        pass
    return path


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, "not a shard of this version of Darkroom"),
        ({"version": "0"}, "found: version 0"),
        (FORMAT.metadata() | {"fit": "squash"}, "fit 'squash'"),
        (FORMAT.metadata() | {"height": "0"}, "stored size 0 x 17"),
        (FORMAT.metadata() | {"width": "wide"}, "the shard is damaged"),
        (FORMAT.metadata() | {"planes": "0"}, "masks of 0 planes"),
    ],
)
def test_another_version_or_format_is_refused(
    tmp_path: Path, metadata: dict[str, str], words: str
) -> None:
    with pytest.raises(ArtifactError) as fault:
        Shard(foreign(tmp_path / "a.arrow", pa.schema(COLUMNS, metadata=metadata)))
    assert words in str(fault.value)


def test_other_columns_are_refused(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.string())], metadata=FORMAT.metadata())
    with pytest.raises(ArtifactError, match="found: version 1, columns id"):
        Shard(foreign(tmp_path / "a.arrow", schema))


@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1))
def test_a_flipped_shard_is_refused_or_read_within_bounds(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    path = write(folder, counts=(3,)) / "train-00000.arrow"
    data = bytearray(path.read_bytes())
    for place, bits in flips:
        data[place % len(data)] ^= bits
    path.write_bytes(data)
    try:
        shard = Shard(path)
    except ArtifactError:
        return
    assert np.isfinite([float(view.sum()) for view in (*shard.images, *shard.masks)]).all()


def test_texts_are_a_sequence_however_they_are_cut() -> None:
    texts = [f"é{number}" for number in range(9000)]
    cut = Texts(pa.chunked_array([texts[:10], texts[10:5000], texts[5000:]], pa.string()))
    assert (len(cut), cut[0], cut[-1], cut[4999], cut[8:12]) == (
        9000,
        "é0",
        "é8999",
        "é4999",
        texts[8:12],
    )
    assert cut.index("é7000") == 7000
    assert list(cut.take([3, 8000, 3])) == ["é3", "é8000", "é3"]
    other = [*texts[:8999], "no"]
    for column in (texts, pd.Series(texts), pd.Series(texts, dtype=object), Texts.joined([cut])):
        assert cut == column
    for column in (other, pd.Series(other), texts[:-1], pd.Series(texts[1:])):
        assert cut != column
    assert cut != Texts(pa.chunked_array([other], pa.large_string()))
    assert cut != 5
