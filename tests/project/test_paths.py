"""Paths keep what belongs together side by side, and what differs apart."""

from pathlib import Path

import pytest

from darkroom.project.paths import Layout, home

CARS = Layout("cars")


def test_files_that_belong_together_are_in_one_folder() -> None:
    assert CARS.card == CARS.index.with_suffix(".json")
    assert CARS.facts.parent == CARS.processed
    assert CARS.submission.name == "cars.csv.gz"
    assert CARS.submissions_history == CARS.submission.with_name("history.csv")
    assert CARS.history_picture == CARS.submission.with_name("cars_history.png")
    for report in (CARS.audit, CARS.metrics, CARS.decision, CARS.scores, CARS.curves):
        assert report.parent == CARS.reports


def test_folds_and_fingerprints_have_separate_paths() -> None:
    assert CARS.model(0) != CARS.model(1)
    assert CARS.history(0) != CARS.history(1)
    first, second = "0123456789abcdef0123", "f123456789abcdef0123"
    assert CARS.runs(0, first) == Path("runs/cars/fold0-01234567")
    named = CARS.runs(0, first, "hf-hub:x/resnet18.a1 lr1e-05")
    assert named == Path("runs/cars/fold0-hf-hub_x_resnet18.a1_lr1e-05-01234567")
    assert len({CARS.runs(0, first), CARS.runs(1, first), CARS.runs(0, second)}) == 3
    assert CARS.work(first) == Path(".darkroom/0123456789abcdef")
    assert CARS.work(first, "predict") == Path(".darkroom/cars.predict.0123456789abcdef")


def test_every_path_is_under_the_root_and_has_the_name() -> None:
    here = Layout("cars", Path("/project"))
    for path in (here.raw, here.index, here.split, here.processed, here.reports, here.model(2)):
        assert path.is_relative_to("/project")
        assert path == Path("/project") / path.relative_to("/project")
        assert "cars" in path.as_posix()
    assert here.unpacked == Path("/project/.darkroom/unpacked/cars")


def test_a_queued_experiment_keeps_events_and_unfinished_work_in_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc/tmp/exps/tmp1"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    mark = "0123456789abcdef0123"
    assert CARS.runs(0, mark) == tmp_path / "runs/cars/fold0-01234567"
    assert CARS.work(mark) == tmp_path / ".darkroom/0123456789abcdef"
    assert CARS.model(0) == Path("models/cars/fold0")
    monkeypatch.chdir(tmp_path)  # `dvc repro` sets DVC_ROOT too
    assert CARS.runs(0, mark) == Path("runs/cars/fold0-01234567")


def test_in_a_monorepo_a_queued_experiment_keeps_them_in_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`.dvc` is at the top, the project in `vision/cars`; DVC copies the whole repository."""
    copy = tmp_path / ".dvc/tmp/exps/standalone/tmp1"
    (copy / ".dvc").mkdir(parents=True)
    (copy / "vision/cars").mkdir(parents=True)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(copy / "vision/cars")
    mark = "0123456789abcdef0123"
    assert CARS.runs(0, mark) == tmp_path / "vision/cars/runs/cars/fold0-01234567"
    assert CARS.work(mark) == tmp_path / "vision/cars/.darkroom/0123456789abcdef"
    assert home() == tmp_path / "vision/cars"
    (tmp_path / "vision/cars").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "vision/cars")
    assert home() == Path()
    assert CARS.runs(0, mark) == Path("runs/cars/fold0-01234567")


def test_without_dvc_home_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert home() == Path()
