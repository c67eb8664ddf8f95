"""A decision is read back unchanged, or refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.errors import ArtifactError
from darkroom.prediction.decision import Decision, read_decision, write_decision
from darkroom.project.checked_json import write_json

WRITTEN = {
    "threshold": 0.25,
    "at_least_one": False,
    "cuts": [],
    "min_area": 0,
    "fill_holes": False,
    "separate": False,
    "largest": False,
    "temperature": 1.0,
    "networks": [],
}
ALL = Decision(
    threshold=(0.25, 0.5),
    at_least_one=True,
    min_area=12,
    fill_holes=True,
    separate=True,
    largest=True,
    temperature=1.5,
    networks=("ab", "cd"),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_decision(tmp_path / "decision.json", ALL)
    values = json.loads((tmp_path / "decision.json").read_text())
    assert values.pop("checksum")
    assert values == {
        "threshold": [0.25, 0.5],
        "at_least_one": True,
        "cuts": [],
        "min_area": 12,
        "fill_holes": True,
        "separate": True,
        "largest": True,
        "temperature": 1.5,
        "networks": ["ab", "cd"],
    }
    assert read_decision(tmp_path / "decision.json", "cars", "multilabel", 2) == ALL


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_cuts_are_read_without_a_threshold(tmp_path: Path, task: str) -> None:
    decision = Decision(None, cuts=(0.5, 1.25))
    write_decision(tmp_path / "decision.json", decision)
    assert read_decision(tmp_path / "decision.json", "eyes", task) == decision


@pytest.mark.parametrize("task", ["segmentation", "multilabel", "binary"])
def test_a_task_that_needs_a_threshold_is_refused_one_half_for_none(
    tmp_path: Path, task: str
) -> None:
    write_decision(tmp_path / "decision.json", Decision(None))
    with pytest.raises(ArtifactError, match=f"found: threshold null for {task}"):
        read_decision(tmp_path / "decision.json", "cars", task)


def test_thresholds_of_other_labels_are_refused(tmp_path: Path) -> None:
    write_decision(tmp_path / "decision.json", ALL)
    with pytest.raises(ArtifactError, match="found: 2 thresholds for 3 labels"):
        read_decision(tmp_path / "decision.json", "cars", "multilabel", 3)
    with pytest.raises(ArtifactError, match="found: 2 thresholds\n  expected: 3"):
        ALL.answers("multilabel", np.zeros((1, 3), np.float32))


def test_answers_by_label() -> None:
    found = np.array([[0.3, 0.3], [0.1, 0.6], [0.2, 0.3], [0.1, 0.4]], np.float32)
    thresholds = Decision((0.25, 0.5))
    assert thresholds.answers("multilabel", found).tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]
    # 0.2 is 4/5 of its threshold, 0.3 is 3/5; 0.1 is 2/5 of its own, 0.4 is 4/5.
    some = Decision((0.25, 0.5), at_least_one=True)
    assert some.answers("multilabel", found).tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]


def test_answers_of_masks_by_class() -> None:
    found = np.full((1, 2, 1, 2), 0.4, np.float32)
    assert Decision((0.25, 0.5)).answers("segmentation", found).tolist() == [[[[1, 1]], [[0, 0]]]]


def test_answers_without_a_threshold() -> None:
    found = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]], np.float32)
    assert Decision(None).answers("multiclass", found).tolist() == [1, 0]
    # Expected grades 1.1 and 0.9.
    assert Decision(None, cuts=(0.5, 1.0)).answers("multiclass", found).tolist() == [2, 1]
    values = np.array([[0.4], [2.5]], np.float32)
    assert Decision(None).answers("regression", values) is values
    assert Decision(None, cuts=(0.5, 1.0)).answers("regression", values).tolist() == [0, 2]


def test_an_edited_decision_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "decision.json"
    write_decision(file, Decision(0.25))
    file.write_text(file.read_text().replace("0.25", "0.26"))
    with pytest.raises(ArtifactError, match="it is damaged or was edited"):
        read_decision(file, "cars", "segmentation")


@pytest.mark.parametrize(
    "values",
    [
        {"threshold": 0.5},
        WRITTEN | {"threshold": 1.5},
        WRITTEN | {"threshold": "x"},
        WRITTEN | {"threshold": True},
        WRITTEN | {"tiles": {"height": 3}},
        WRITTEN | {"tta": None},
        WRITTEN | {"threshold": []},
        WRITTEN | {"threshold": [0.5, 1]},
        WRITTEN | {"cuts": [0.5]},
        WRITTEN | {"at_least_one": 1},
        WRITTEN | {"min_area": -1},
        WRITTEN | {"min_area": 1.5},
        WRITTEN | {"temperature": 2.0},
        WRITTEN | {"temperature": 1},
        WRITTEN | {"more": 1},
    ],
)
def test_a_decision_of_other_values_is_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    write_json(tmp_path / "decision.json", values)
    with pytest.raises(ArtifactError) as caught:
        read_decision(tmp_path / "decision.json", "cars", "segmentation")
    assert "it is damaged: it holds no valid decision" in str(caught.value)
    assert "run `dvc repro -sf evaluate@cars`" in str(caught.value)


@pytest.mark.parametrize("cuts", [[1.0, 0.5], [None], [1], "ab"])
def test_cuts_that_do_not_ascend_are_refused(tmp_path: Path, cuts: Any) -> None:
    write_json(tmp_path / "decision.json", WRITTEN | {"threshold": None, "cuts": cuts})
    with pytest.raises(ArtifactError, match="it holds no valid decision"):
        read_decision(tmp_path / "decision.json", "eyes", "regression")
