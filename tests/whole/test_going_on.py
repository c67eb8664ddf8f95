"""Predict and evaluate go on where they were killed, to the same bytes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from darkroom.cli.main import main
from darkroom.prediction.masks import counts
from darkroom.prediction.networks import predict
from darkroom.project.journal import Journal
from darkroom.raw import masks
from tests.support import tiny
from tests.support.damage import Project
from tests.support.interrupted import Killed

OUTPUTS = {"predict": "data/predictions/tiny", "evaluate": "reports/tiny"}


@contextmanager
def killed_after(parts: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Raise Killed when so many parts have been written."""
    append, left = Journal.append, [parts]

    def counted(self: Journal, part: bytes) -> None:
        if left[0]:  # who is killed writes no more, though a thread has the next part
            append(self, part)
            left[0] -= 1
        if left[0] == 0:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", counted)
        yield


@contextmanager
def counting_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    average, sizes = predict._average, list[int]()

    def counted(networks: Any, images: Any, *rest: Any) -> Any:
        sizes.append(len(images))
        return average(networks, images, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(predict, "_average", counted)
        yield sizes


@contextmanager
def counting_masks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    read, names = masks.read_masks, list[str]()

    def counted(*arguments: Any, **options: Any) -> Any:
        names.append(options["name"])
        return read(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(counts, "read_masks", counted)
        yield names


def outputs(root: Path, verb: str) -> dict[str, bytes]:
    folder = root / OUTPUTS[verb]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def prepare(project: Project, kind: str) -> Path:
    """Return a project with models, whose predictions are in batches of two, in tiles for masks."""
    root = project(kind)

    def change(params: dict[str, Any]) -> None:
        sections = params["tiny"]
        sections["predict"] |= {"batch_size": 2}
        if kind == "masks":
            tiles = {"height": 32, "width": 32, "overlap": 0.25}
            sections["predict"] |= {"tta": ["hflip"], "scales": [1.0, 2.0], "tiles": tiles}

    tiny.edit(root, change)
    if kind != "masks":
        tiny.run("preprocess", "train")
    tiny.run("predict", "evaluate", "submission")
    return root


@pytest.mark.parametrize("kind", ["masks", "multiclass"])
@pytest.mark.parametrize(("part", "batches"), [("valid", [2] * 4), ("test", [2, 2, 1])])
def test_a_killed_prediction_goes_on_to_the_same_bytes(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    part: str,
    batches: list[int],
) -> None:
    root = prepare(project, kind)
    expected = outputs(root, "predict")
    for done in (1, len(batches) - 1, len(batches)):
        with killed_after(done, monkeypatch), pytest.raises(Killed):
            main(["predict", "tiny", "--part", part])
        assert outputs(root, "predict") == expected, "what stood before is untouched"
        capsys.readouterr()
        with counting_batches(monkeypatch) as sizes:
            assert main(["predict", "tiny", "--part", part]) == 0
        assert sizes == batches[done:]
        assert outputs(root, "predict") == expected, done
        assert "going on after " in capsys.readouterr().err
        assert tiny.leftovers(root) == []


def test_killed_counts_go_on_to_the_same_bytes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = prepare(project, "masks")
    expected = outputs(root, "evaluate")
    for done in (1, 3, 4):
        [file] = root.glob(".darkroom/tiny.evaluate.*/fold0.parts")
        file.unlink()
        with killed_after(done, monkeypatch), pytest.raises(Killed):
            main(["evaluate", "tiny"])
        assert outputs(root, "evaluate") == expected, "what stood before is untouched"
        with counting_masks(monkeypatch) as names:
            assert main(["evaluate", "tiny"]) == 0
        assert len(names) == 8 - 2 * done
        assert outputs(root, "evaluate") == expected, done


def set_threshold(params: dict[str, Any], threshold: object) -> None:
    params["tiny"]["evaluate"]["threshold"] = threshold


def test_an_edited_threshold_counts_nothing_and_asks_no_network(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = prepare(project, "masks")
    before = outputs(root, "evaluate")
    for threshold in (0.25, "auto"):
        tiny.edit(root, partial(set_threshold, threshold=threshold))
        with counting_masks(monkeypatch) as names, counting_batches(monkeypatch) as sizes:
            tiny.run("evaluate", "submission", "check")
        assert names == []
        assert sizes == []
        assert (outputs(root, "evaluate") == before) == (threshold == "auto")


def test_other_predictions_are_counted_anew_and_the_old_counts_go(project: Project) -> None:
    root = prepare(project, "masks")
    [before] = root.glob(".darkroom/tiny.evaluate.*/")
    tiny.edit(root, lambda params: params["tiny"]["predict"].update(tta=[]))
    tiny.run("predict", "evaluate")
    [after] = root.glob(".darkroom/tiny.evaluate.*/")
    assert before != after


def test_parts_of_other_batches_are_not_taken_and_go(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = prepare(project, "masks")
    with killed_after(1, monkeypatch), pytest.raises(Killed):
        main(["predict", "tiny", "--part", "test"])
    [place] = root.glob(".darkroom/tiny.predict.test0.*/")
    tiny.edit(root, lambda params: params["tiny"]["predict"].update(batch_size=3))
    with counting_batches(monkeypatch) as sizes:
        assert main(["predict", "tiny", "--part", "test"]) == 0
    assert sizes == [3, 2]
    assert f"removed older half-done work in {place.relative_to(root)}" in capsys.readouterr().err
    assert tiny.leftovers(root) == []


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:30] + b"\0" * 9])
def test_damaged_parts_are_computed_again(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[bytes], bytes],
) -> None:
    root = prepare(project, "masks")
    expected = outputs(root, "predict")
    with killed_after(2, monkeypatch), pytest.raises(Killed):
        main(["predict", "tiny", "--part", "test"])
    [file] = root.glob(".darkroom/*/predictions.parts")
    file.write_bytes(damage(file.read_bytes()))
    assert main(["predict", "tiny", "--part", "test"]) == 0
    assert outputs(root, "predict") == expected
