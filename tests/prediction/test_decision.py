"""A decision is read back unchanged, or refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import ArtifactError
from darkroom.prediction.decision import Decision, read_decision, write_decision
from darkroom.prediction.tiles import Tiles
from darkroom.prediction.tta import TTA
from darkroom.project.checked_json import write_json

WRITTEN = {"threshold": 0.25, "tta": ["hflip"], "scales": [1.0], "tiles": None}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tta = TTA(("hflip", "vflip"), (0.75, 1.0), Tiles(64, 96, 0.25))
    write_decision(tmp_path / "decision.json", 0.25, tta)
    values = json.loads((tmp_path / "decision.json").read_text())
    assert values.pop("checksum")
    assert values == {
        "threshold": 0.25,
        "tta": ["hflip", "vflip"],
        "scales": [0.75, 1.0],
        "tiles": {"height": 64, "width": 96, "overlap": 0.25},
    }
    assert read_decision(tmp_path / "decision.json", "cars", "binary") == Decision(0.25, tta)


def test_a_task_without_a_threshold_takes_one_half(tmp_path: Path) -> None:
    write_decision(tmp_path / "decision.json", None, TTA())
    for task in ("multiclass", "regression"):
        assert read_decision(tmp_path / "decision.json", "notes", task).threshold == 0.5


@pytest.mark.parametrize("task", ["segmentation", "multilabel", "binary"])
def test_a_task_that_needs_a_threshold_is_refused_one_half_for_none(
    tmp_path: Path, task: str
) -> None:
    write_decision(tmp_path / "decision.json", None, TTA())
    with pytest.raises(ArtifactError, match=f"found: threshold null for the task {task}"):
        read_decision(tmp_path / "decision.json", "cars", task)


def test_an_edited_decision_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "decision.json"
    write_decision(file, 0.25, TTA())
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
    ],
)
def test_a_decision_of_other_values_is_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    write_json(tmp_path / "decision.json", values)
    with pytest.raises(ArtifactError) as caught:
        read_decision(tmp_path / "decision.json", "cars", "segmentation")
    assert "it is damaged: it holds no valid decision" in str(caught.value)
    assert "run `dvc repro -sf evaluate@cars`" in str(caught.value)
