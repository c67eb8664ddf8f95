"""Evaluate and predict go on where they were killed, to the same bytes."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from darkroom.cli.main import main
from darkroom.prediction.networks import predict
from darkroom.project.journal import Journal
from tests.support import tiny
from tests.support.damage import Project
from tests.support.interrupted import Killed

OUTPUTS = {"evaluate": "reports/tiny", "predict": "submissions"}


@contextmanager
def killed_after(parts: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Raise Killed when so many parts have been written."""
    append, left = Journal.append, [parts]

    def counted(self: Journal, part: bytes) -> None:
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


def outputs(root: Path, verb: str) -> dict[str, bytes]:
    folder = root / OUTPUTS[verb]
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def prepare(project: Project, kind: str) -> Path:
    """Return a project with models, whose predictions are in batches of two, in tiles for masks."""
    root = project(kind)

    def change(params: dict[str, Any]) -> None:
        sections = params["tiny"]
        sections["evaluate"] |= {"batch_size": 2}
        sections["predict"] |= {"batch_size": 2}
        if kind == "masks":
            tiles = {"height": 32, "width": 32, "overlap": 0.25}
            sections["evaluate"] |= {"tta": ["hflip"], "scales": [1.0, 2.0], "tiles": tiles}

    tiny.edit(root, change)
    if kind != "masks":
        tiny.run("preprocess", "train")
    tiny.run("evaluate", "predict")
    return root


def speckled(_networks: Any, images: Any, *_: Any) -> Any:
    """Return probabilities with many small objects: noise of images, folded."""
    return (9 * images[:, :1]).cos() / 2 + 0.5


def prepare_objects(project: Project) -> Path:
    """Return a project whose submission has a row for each object."""
    root = project("masks")

    def change(params: dict[str, Any]) -> None:
        sections = params["tiny"]
        sections["data"]["metric"] = "iou_precision"
        sections["evaluate"]["min_area"] = 4
        sections["predict"]["batch_size"] = 2

    tiny.edit(root, change)
    tiny.run("index", "split", "preprocess", "train", "evaluate", "predict")
    return root


def test_a_killed_run_goes_on_where_an_image_has_several_rows(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(predict, "_average", speckled)
    root = prepare_objects(project)
    expected = outputs(root, "predict")
    facts = json.loads(expected["tiny.json"])
    assert facts["images"] == 5 < facts["rows"]
    assert main(["check", "tiny"]) == 0
    with killed_after(2, monkeypatch), pytest.raises(Killed):
        main(["predict", "tiny"])
    with counting_batches(monkeypatch) as sizes:
        assert main(["predict", "tiny"]) == 0
    assert sizes == [1]
    assert outputs(root, "predict") == expected
    assert "going on after 4 of 5 images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "verb", "batches"),
    [
        ("masks", "evaluate", [2] * 4),
        ("masks", "predict", [2, 2, 1]),
        ("multiclass", "evaluate", [2] * 4),
        ("multiclass", "predict", [2, 2, 1]),
    ],
)
def test_a_killed_run_goes_on_to_the_same_bytes(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    verb: str,
    batches: list[int],
) -> None:
    root = prepare(project, kind)
    expected = outputs(root, verb)
    for done in (1, len(batches) - 1, len(batches)):
        with killed_after(done, monkeypatch), pytest.raises(Killed):
            main([verb, "tiny"])
        assert outputs(root, verb) == expected, "what stood before is untouched"
        capsys.readouterr()
        with counting_batches(monkeypatch) as sizes:
            assert main([verb, "tiny"]) == 0
        rest = batches[done:]
        assert sizes[: len(rest)] == rest
        if verb == "predict":
            assert len(sizes) == len(rest)
        assert outputs(root, verb) == expected, done
        assert "going on after " in capsys.readouterr().err
        assert tiny.leftovers(root) == []


def test_parts_of_other_batches_are_not_taken_and_go(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = prepare(project, "masks")
    with killed_after(1, monkeypatch), pytest.raises(Killed):
        main(["predict", "tiny"])
    [place] = root.glob(".darkroom/tiny.predict.*/")
    tiny.edit(root, lambda params: params["tiny"]["predict"].update(batch_size=3))
    with counting_batches(monkeypatch) as sizes:
        assert main(["predict", "tiny"]) == 0
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
        main(["predict", "tiny"])
    [file] = root.glob(".darkroom/*/rows.parts")
    file.write_bytes(damage(file.read_bytes()))
    assert main(["predict", "tiny"]) == 0
    assert outputs(root, "predict") == expected
