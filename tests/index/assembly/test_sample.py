"""Keys of a sample submission are read as the labels of training allow."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import DataError
from darkroom.index.assembly.part import SAMPLE_ID
from darkroom.index.assembly.sample import Sample, read_sample
from darkroom.params.data import Data
from darkroom.raw.archives import Archives

WORDS = st.text("ab_.-1", min_size=1, max_size=5)


def read(
    folder: Path, keys: list[str], labels: list[str], row: str, name: str = "key", **train: Any
) -> Sample:
    (folder / "s.csv").write_text(f"{name},value\n" + "".join(f"{key},0\n" for key in keys))
    data = Data.model_validate(
        {
            "source": "raw",
            "task": "multilabel",
            "train": {"table": "t.csv", "image": "{i}", "label": "k"} | train,
            "like": "s.csv",
            "row": row,
        }
    )
    sample = read_sample(Archives(folder, folder / "u"), data, labels)
    assert sample is not None
    return sample


@given(
    ids=st.lists(WORDS, min_size=1, max_size=4, unique=True),
    labels=st.lists(WORDS, min_size=1, max_size=3, unique=True),
    row=st.sampled_from(["{id}_{label}", "{label}__{id}", "x{id}.{label}y"]),
)
def test_ids_and_labels_come_back_or_two_readings_are_refused(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str], labels: list[str], row: str
) -> None:
    keys = [row.replace("{id}", name).replace("{label}", label) for name in ids for label in labels]
    sample, words = None, ""
    try:
        sample = read(tmp_path_factory.mktemp("s"), keys, labels, row)
    except DataError as error:
        words = str(error)
    if sample is None:
        assert "two ways" in words or "come twice" in words
        assert len(labels) > 1 or len(set(keys)) < len(keys)
        return
    assert sample.ids == ids == sample.table.column(SAMPLE_ID)
    assert sample.labels == tuple(labels)


def test_the_labels_have_the_order_of_the_sample(tmp_path: Path) -> None:
    sample = read(tmp_path, ["2_b", "2_a", "1_b", "1_a"], ["a", "b"], "{id}_{label}")
    assert (sample.ids, sample.labels) == (["2", "1"], ("b", "a"))
    assert sample.header == ("key", "value")


def test_a_column_of_keys_that_is_called_id_gives_the_id_of_an_image(tmp_path: Path) -> None:
    sample = read(tmp_path, ["2_b", "2_a", "1_b", "1_a"], ["a", "b"], "{id}_{label}", "id")
    assert sample.table.column("id") == ["2", "1"]
    assert sample.header == ("id", "value")


def test_cells_that_are_taken_apart_may_give_the_id_themselves(tmp_path: Path) -> None:
    cells = {"key": "{id}_{label}"}
    sample = read(tmp_path, ["2_b", "2_a"], ["a", "b"], "{id}_{label}", cells=cells)
    assert (sample.ids, "id" in sample.table.header) == (["2"], False)


def test_a_label_that_where_may_leave_out_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, ["1_a", "1_b"], ["a"], "{id}_{label}", where={"rle": "?*"})
    assert "or data.train.where, if it leaves out every row of that label" in str(caught.value)


def test_an_unknown_label_is_named_with_those_of_training(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, ["1_a", "1_c"], ["a", "b"], "{id}_{label}")
    words = str(caught.value)
    assert "s.csv, row 3: 1 of 2 rows whose key is not like data.row\n  found: '1_c'" in words
    assert "expected: {id}_{label}, {label} being one of a, b" in words
