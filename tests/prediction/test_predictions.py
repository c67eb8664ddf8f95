import itertools
import json
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import ArtifactError
from darkroom.prediction.predictions import (
    HALF_COLUMNS,
    Header,
    Prediction,
    Predictions,
    to_bytes,
    write_predictions,
)
from darkroom.prediction.thresholds import THRESHOLDS
from darkroom.project.checked_json import checksum
from darkroom.project.journal import Journal

LABELS = Header("valid", "multilabel", (3,), 5, leaked=("b",), facts={"fold": 0})
MASKS = Header("test", "segmentation", (2, 4, 6), 5, fit="pad", fingerprint="f" * 64)


def batches(header: Header, size: int = 2) -> list[Prediction]:
    """Return predictions that are drawn: the bytes of masks can hold them exactly."""
    drawn = np.random.default_rng(3).integers(0, 256, (header.rows, *header.shape))
    values = (drawn / np.float32(255)).astype(np.float32)
    ids = [f"ä{number}" for number in range(header.rows)]
    originals = np.array([[10 + number, 20] for number in range(header.rows)], np.int64)
    parts = [slice(start, start + size) for start in range(0, header.rows, size)]
    return [Prediction(ids[part], values[part], originals[part]) for part in parts]


def write(path: Path, header: Header, parts: list[Prediction]) -> Predictions:
    write_predictions(path, header, lambda _: iter(parts))
    return Predictions(path)


@pytest.mark.parametrize("header", [LABELS, MASKS])
def test_what_is_written_is_read(header: Header, tmp_path: Path) -> None:
    parts = batches(header)
    stored = write(tmp_path / "a" / "fold0.arrow", header, parts)
    assert stored.header == header
    ids = [image_id for part in parts for image_id in part.ids]
    assert stored.are_of(ids)
    assert stored.are_of(pd.DataFrame({"id": ids})["id"])
    blocks = pa.chunked_array([pa.array(ids[:1]), pa.array(ids[1:])])
    assert stored.are_of(blocks.to_pandas(types_mapper=pd.ArrowDtype))
    others = [ids[:-1], [*ids, "x"], ids[::-1], ["x", *ids[1:]], []]
    assert not any(stored.are_of(each) for each in others)
    for expected, got in zip(parts, stored, strict=True):
        assert got.ids == expected.ids
        np.testing.assert_array_equal(got.probabilities, expected.probabilities)
        assert got.probabilities.dtype == np.float32
        assert got.originals.dtype == np.int64
        np.testing.assert_array_equal(got.originals, expected.originals)
    assert pa.ipc.open_file(tmp_path / "a" / "fold0.arrow").read_all().num_rows == header.rows


def test_values_are_stored_as_they_are(tmp_path: Path) -> None:
    values = np.array([[-1e6, 0.1], [3e38, 0.7]], np.float32)
    parts = [Prediction(["a", "b"], values, np.ones((2, 2), np.int64))]
    stored = write(tmp_path / "a.arrow", Header("test", "regression", (2,), 2), parts)
    np.testing.assert_array_equal(next(iter(stored)).probabilities, values)


@given(st.floats(0, 1, width=32))
def test_a_mask_keeps_its_probabilities_to_half_a_level(probability: float) -> None:
    level = int(to_bytes(np.array([probability], np.float32))[0])
    assert abs(level / 255 - probability) <= 0.5 / 255 + 1e-7
    assert (level / 255 > 0.5) == (probability > 0.5)


def test_the_thresholds_tell_all_bytes_apart() -> None:
    stored = (np.arange(256, dtype=np.uint8) / np.float32(255)).astype(np.float32)
    above = stored[:, None] > THRESHOLDS.astype(np.float32)
    assert above.sum(axis=1).tolist() == list(range(256))
    np.testing.assert_array_equal(to_bytes(stored), np.arange(256))


def test_many_classes_are_halved_and_none_becomes_impossible(tmp_path: Path) -> None:
    count = HALF_COLUMNS + 1
    values = np.zeros((1, count), np.float32)
    values[0, :3] = 0.3, 1e-12, 0
    parts = [Prediction(["a"], values, np.ones((1, 2), np.int64))]
    stored = write(tmp_path / "a.arrow", Header("test", "multiclass", (count,), 1), parts)
    got = next(iter(stored)).probabilities[0]
    assert got[:3].tolist() == [float(np.float16(0.3)), 2.0**-24, 0]
    column = pa.ipc.open_file(tmp_path / "a.arrow").read_all().column("prediction")
    assert column.type == pa.list_(pa.float16(), count)


def test_a_file_may_hold_no_image(tmp_path: Path) -> None:
    header = Header("valid", "binary", (1,), 0)
    stored = write(tmp_path / "a.arrow", header, [])
    assert (stored.header, list(stored), stored.take(["a"])) == (header, [], {})
    assert stored.are_of([])


@pytest.mark.parametrize("header", [LABELS, MASKS])
@pytest.mark.parametrize("done", [0, 1, 2, 3])
def test_a_killed_run_goes_on_to_the_same_bytes(header: Header, done: int, tmp_path: Path) -> None:
    parts, computed = batches(header), list[int]()
    write(tmp_path / "whole.arrow", header, parts)

    def compute(rows: int, last: int) -> Iterator[Prediction]:
        for part in parts[-(-rows // 2) : last]:
            computed.append(len(part.ids))
            yield part
        if last < 3:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        journal = Journal(tmp_path / "parts")
        write_predictions(
            tmp_path / "cut.arrow", header, partial(compute, last=done), journal=journal
        )
    assert (done == 3) == (tmp_path / "cut.arrow").exists()
    journal = Journal(tmp_path / "parts")
    write_predictions(tmp_path / "cut.arrow", header, partial(compute, last=3), journal=journal)
    assert (tmp_path / "cut.arrow").read_bytes() == (tmp_path / "whole.arrow").read_bytes()
    assert computed == [2, 2, 1], "no batch is computed twice"


def test_a_disk_that_is_full_leaves_no_file(tmp_path: Path) -> None:
    def compute(_: int) -> Iterator[Prediction]:
        yield batches(LABELS)[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_predictions(tmp_path / "a.arrow", LABELS, compute)
    assert list(tmp_path.iterdir()) == []


def test_other_predictions_than_the_header_says_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="4 predictions, not 5"):
        write(tmp_path / "a.arrow", LABELS, batches(LABELS)[:2])
    with pytest.raises(ValueError, match=r"predictions \(2, 3\) for \(2, 4, 6\)"):
        write(tmp_path / "a.arrow", MASKS, batches(LABELS))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "values",
    [
        ("all", "binary", (1,), 1),
        ("valid", "binary", (1, 2, 3), 1),
        ("valid", "segmentation", (1,), 1),
        ("valid", "binary", (0,), 1),
        ("valid", "binary", (10**12,), 1),
        ("valid", "binary", (1,), -1),
        ("valid", "guess", (1,), 1),
    ],
)
def test_a_header_is_legal(values: tuple[str, str, tuple[int, ...], int]) -> None:
    with pytest.raises(ValueError, match=r"part|shape|rows|task"):
        Header(*values)  # type: ignore[arg-type]


def test_some_images_are_read_alone(tmp_path: Path) -> None:
    parts = batches(MASKS)
    stored = write(tmp_path / "a.arrow", MASKS, parts)
    got = stored.take(["ä3", "ä0", "elsewhere"])
    assert sorted(got) == ["ä0", "ä3"]
    np.testing.assert_array_equal(got["ä3"], parts[1].probabilities[1])


@pytest.mark.parametrize("header", [LABELS, MASKS])
@pytest.mark.parametrize("step", [31, pytest.param(1, marks=pytest.mark.long)])
def test_no_changed_byte_is_taken_for_a_prediction(
    header: Header, step: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.arrow"
    parts = batches(header)
    write(path, header, parts)
    data = path.read_bytes()
    for place in range(0, len(data), step):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x15]) + data[place + 1 :])
        try:
            stored = Predictions(path)
            got = list(stored)
        except ArtifactError:
            continue
        # Bytes that only fill up, or that the reader has no use for.
        assert stored.header == header
        for expected, one in zip(parts, got, strict=True):
            assert one.ids == expected.ids
            np.testing.assert_array_equal(one.probabilities, expected.probabilities)
            np.testing.assert_array_equal(one.originals, expected.originals)


def test_a_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    write(path, MASKS, batches(MASKS))
    data = path.read_bytes()
    for length in range(0, len(data), 61):
        path.write_bytes(data[:length])
        with pytest.raises(ArtifactError, match="damaged, or no file of predictions"):
            list(Predictions(path))


def test_what_is_no_file_of_predictions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    with pytest.raises(ArtifactError, match=r"not there\n  to do: predict"):
        Predictions(path, fix="predict")
    path.write_text("id,prediction\n")
    with pytest.raises(ArtifactError, match="no file of predictions"):
        Predictions(path)
    table = pa.table({"id": ["a"]})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ArtifactError, match="found: columns id, and no header of Darkroom"):
        Predictions(path)
    with pa.ipc.new_file(path, table.schema.with_metadata(LABELS.schema.metadata)) as writer:
        writer.write_table(table)
    with pytest.raises(ArtifactError, match="found: columns id: string"):
        Predictions(path)


def test_rows_of_another_file_are_refused(tmp_path: Path) -> None:
    """An editor of Arrow files may leave all as it was but a row."""
    path = tmp_path / "a.arrow"
    write(path, LABELS, batches(LABELS))
    whole = pa.ipc.open_file(path)
    parts = [whole.get_batch_with_custom_metadata(n) for n in range(whole.num_record_batches)]
    for order in ([1, 0, 2], [0, 1], [0, 1, 2, 2]):
        with pa.ipc.new_file(path, whole.schema) as writer:
            for number in order:
                writer.write_batch(parts[number][0], custom_metadata=parts[number][1])
        with pytest.raises(ArtifactError, match=r"not as they were written|rows instead of 5"):
            list(Predictions(path))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    """A blend would follow them, and a submission hold them."""
    parts = batches(LABELS)
    parts[0].probabilities[0, 0] = value
    stored = write(tmp_path / "a.arrow", LABELS, parts)
    with pytest.raises(ArtifactError, match="no finite numbers"):
        list(stored)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *itertools.product(["shape"], [[10**12], [1.5], ["a"], [], None, [[1]], "12"]),
        *itertools.product(["facts"], [None, [], 1]),
        *itertools.product(["leaked"], [None, 1]),
        *itertools.product(["rows"], ["5", None, True, 1.5]),
        *itertools.product(["part", "task", "fit"], [None, [], {}, "x"]),
        ("nonesuch", 1),
    ],
)
def test_a_forged_header_is_refused(key: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "a.arrow"
    write(path, LABELS, batches(LABELS))
    schema = pa.ipc.open_file(path).schema
    values = json.loads(schema.metadata[b"darkroom"]) | {key: value}
    values.pop("checksum")
    text = json.dumps({**values, "checksum": checksum(values)})
    with pa.ipc.new_file(path, schema.with_metadata({b"darkroom": text.encode()})):
        pass
    with pytest.raises(ArtifactError, match="damaged, or no file of predictions"):
        list(Predictions(path))
