"""Facts: written by shard, joined to one file, read by columns; thumbnails by blocks and rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from darkroom.errors import ArtifactError
from darkroom.store import facts
from darkroom.store.facts import SCHEMA, Facts, ImageFacts, join_facts, write_facts

COUNTS = (3, 1, 4)
THUMBS = np.random.default_rng(0).integers(0, 256, (sum(COUNTS), 256), np.uint8)


def row(number: int) -> ImageFacts:
    return ImageFacts(
        id=f"i{number}",
        part="train" if number < 4 else "test",
        height=10 + number,
        width=20,
        format="PNG",
        mode="RGB",
        bytes=3_000_000_000,
        exif=1,
        raw_low=0.5,
        raw_high=250.0,
        peak=250,
        mask_pixels="-1",
        mask_values="",
        stored_mask_digest="",
        thumb=THUMBS[number].tobytes(),
    )


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Facts:
    """Return the facts of three shards, which were written two rows at a time."""
    monkeypatch.setattr(facts, "_ROWS_AT_ONCE", 2)
    parts, start = [], 0
    for number, count in enumerate(COUNTS):
        parts.append(tmp_path / f"parts/{number}.arrow")
        with write_facts(parts[-1]) as add:
            for place in range(start, start + count):
                add(row(place))
        start += count
    join_facts(parts, tmp_path / "facts.arrow")
    return Facts(tmp_path / "facts.arrow")


def test_rows_come_back_in_order_a_batch_a_shard(written: Facts) -> None:
    assert len(written) == 8
    expected = [{name: getattr(row(k), name) for name in SCHEMA.names} for k in range(8)]
    assert written.table(SCHEMA.names).to_pylist() == expected
    with pa.ipc.open_file(written.path) as reader:
        assert [reader.get_batch(k).num_rows for k in range(3)] == [3, 1, 4]


def test_columns_come_in_the_order_that_is_asked_for(written: Facts) -> None:
    table = written.table(["height", "id"])
    assert table.column_names == ["height", "id"]
    assert table["height"].to_pylist() == list(range(10, 18))


def test_thumbnails_are_those_of_any_slice_and_any_rows(written: Facts) -> None:
    thumbs = written.thumbs()
    assert len(thumbs) == 8
    for first in range(9):
        for end in range(first, 10):
            assert np.array_equal(thumbs[first:end], THUMBS[first:end])
    assert np.array_equal(thumbs[:], THUMBS)
    for rows in ([], [7], [3, 2, 7, 0, 3, 4], list(range(8))):
        positions = np.array(rows, np.int64)
        assert np.array_equal(thumbs[positions], THUMBS[positions])


@pytest.mark.parametrize("damage", ["text", "cut", "columns", "empty"])
def test_what_is_no_file_of_facts_is_refused(written: Facts, damage: str) -> None:
    data = written.path.read_bytes()
    if damage == "columns":
        table = pa.table({"id": ["a"]})
        with pa.OSFile(str(written.path), "wb") as file, pa.ipc.new_file(file, table.schema) as out:
            out.write_table(table)
    else:
        texts = {"text": b"id,part\n" * 99, "cut": data[: len(data) // 2], "empty": b""}
        written.path.write_bytes(texts[damage])
    with pytest.raises(ArtifactError, match=r"facts\.arrow: it is damaged") as error:
        Facts(written.path)
    assert "preprocess@" in str(error.value)
