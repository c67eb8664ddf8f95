"""Sections of the same data share raw files and shards, and only where nothing could differ."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from darkroom.cli.main import main
from darkroom.project import files
from darkroom.store import preprocess
from darkroom.store.manifest import compare_digests
from tests.support import tiny

VERBS = ("fetch", "index", "preprocess")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project whose section has raw files and shards, and a second one without."""
    root = tiny.project(tmp_path / "project", "masks")
    monkeypatch.chdir(root)
    tiny.run(*VERBS)
    add(lambda _: None)
    return root


def add(change: Callable[[Any], object]) -> None:
    """Add a section that differs by a change."""

    def edit(params: tiny.Params) -> None:
        params["second"] = copy.deepcopy(params[tiny.NAME])
        change(params["second"])

    tiny.edit(Path(), edit)


def messages(capsys: pytest.CaptureFixture[str], *verbs: str) -> str:
    capsys.readouterr()
    for verb in verbs:
        assert main([verb, "second"]) == 0, verb
    return capsys.readouterr().out


def pixels(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


def test_the_same_data_is_stored_once(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preprocess, "_preprocess_image", pytest.fail)  # nothing is decoded
    assert messages(capsys, *VERBS).count("shared with tiny") == 2
    for kind in ("raw", "processed"):
        assert pixels(f"data/{kind}/second") == pixels(f"data/{kind}/{tiny.NAME}")


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (lambda section: section["data"].update(metric="iou"), 2),  # pixels do not depend on it
        (lambda section: section["train"].update(epochs=3), 2),
        (lambda section: section["preprocess"].update(height=24), 1),
        (lambda section: section["preprocess"].update(store="jpeg"), 1),
        (lambda section: section["data"]["train"].update(where={"image": "!003"}), 1),
    ],
)
def test_what_differs_is_made(
    root: Path, capsys: pytest.CaptureFixture[str], change: Any, count: int
) -> None:
    add(change)
    assert messages(capsys, *VERBS).count("shared with tiny") == count


def test_a_source_that_has_changed_is_copied(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.utime("source/train.csv", (1, 1))
    assert "shared" not in messages(capsys, "fetch")


def test_a_damaged_shard_of_the_other_section_is_made_anew(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pixels(f"data/processed/{tiny.NAME}")
    shard = Path(f"data/processed/{tiny.NAME}/train-00000.arrow")
    files.write(shard, shard.read_bytes()[:-1])
    assert messages(capsys, *VERBS).count("shared") == 1
    assert pixels("data/processed/second") == before
    compare_digests(Path("data/processed/second"), ["train-00000.arrow"])


def test_an_edit_of_one_section_leaves_the_other(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages(capsys, *VERBS)
    before = [pixels(f"data/{kind}/{tiny.NAME}") for kind in ("raw", "processed")]
    add(lambda section: section["preprocess"].update(height=24))
    tiny.put(root / "source/train.csv", (root / "source/train.csv").read_bytes() + b"\n")
    messages(capsys, *VERBS)
    assert [pixels(f"data/{kind}/{tiny.NAME}") for kind in ("raw", "processed")] == before


def test_a_running_stage_of_the_other_section_is_not_waited_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        files.lock(Path(f".darkroom/{tiny.NAME}.raw.lock")),
        files.lock(Path(f".darkroom/{tiny.NAME}.processed.lock")),
        files.atomic_folder(Path(f"data/processed/{tiny.NAME}")) as unfinished,
    ):
        (unfinished / "train-00000.arrow").write_bytes(b"half")
        assert messages(capsys, *VERBS).count("shared with tiny") == 2


def test_a_broken_link_of_the_source_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tiny.project(tmp_path, "multiclass")
    (root / "source/train.zip").rename(tmp_path / "elsewhere.zip")
    (root / "source/train.zip").symlink_to("nowhere.zip")
    monkeypatch.chdir(root)
    assert main(["fetch", tiny.NAME]) == 3
    assert "correct the link, or remove it" in capfd.readouterr().err
