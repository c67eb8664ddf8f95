"""The scores of evaluate as a run of TensorBoard's."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from darkroom.training.tensorboard.full_size import write_scores


def test_the_latest_scores_are_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "runs/cars/evaluate"
    write_scores(folder, {"dice": 0.5})
    write_scores(folder, {"dice": 0.75, "baseline_mean_mask": 0.5, "r2": None, "iou": 0.6})
    events = EventAccumulator(str(folder)).Reload()
    assert sorted(events.Tags()["scalars"]) == ["full size/dice", "full size/iou"]
    assert [event.value for event in events.Scalars("full size/dice")] == [0.75]
    assert len(list(folder.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").write_text("a file stands here")
    write_scores(tmp_path / "runs/evaluate", {"dice": 0.5})
    assert "TensorBoard lacks these scores" in capsys.readouterr().err
