"""What earlier parameters left is put aside, and nothing else."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from darkroom.cli.main import main
from darkroom.project.paths import CHECKED, DROPPED
from tests.support import tiny

FILES = (
    "models/tiny/fold0/model.json",
    "models/tiny/fold1/model.json",
    "models/tiny/notes/fold1.txt",
    "models/other/fold1/model.json",
    "reports/tiny/history/fold0.csv",
    "reports/tiny/history/fold1.csv",
    "data/start/tiny/split.csv",
    "data/start/tiny/fold0/fold.json",
    "data/start/tiny/fold0/weights/weights.safetensors",
    "data/start/tiny/fold1/fold.json",
    "models/tiny/foldall/model.json",
    "reports/tiny/history/foldall.csv",
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tiny.project(tmp_path, "multiclass")
    for file in FILES:
        tiny.put(root / file, file)
    monkeypatch.chdir(root)
    return root


def there(root: Path) -> set[str]:
    return {file for file in FILES if (root / file).exists()}


def test_folds_and_weights_that_are_no_longer_named_are_put_aside(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["params"]) == 0
    gone = set(FILES) - there(root)
    assert gone == {FILES[1], FILES[5], *FILES[8:]}
    assert {(root / DROPPED / file).read_text() for file in gone} == gone
    words = "models/tiny/fold1 is of earlier parameters: moved to .darkroom/dropped/models/tiny/"
    assert words in capsys.readouterr().out
    assert CHECKED.read_text() == '{"checked": "params.yaml"}\n'


def test_models_on_another_disk_are_put_aside(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`models` is a link to a bigger disk, from which nothing can be renamed."""
    rename = os.rename

    def on_one_disk(source: Any, target: Any, **rest: Any) -> None:
        if "models" in Path(source).parts:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, target)
        rename(source, target, **rest)

    monkeypatch.setattr(os, "rename", on_one_disk)
    assert main(["params"]) == 0
    assert (DROPPED / FILES[1]).read_text() == FILES[1]
    assert not Path(FILES[1]).exists()


def test_nothing_that_was_put_aside_is_overwritten(root: Path) -> None:
    for text in ("first", "second"):
        tiny.put(root / FILES[1], text)
        assert main(["params"]) == 0
    place = root / DROPPED / "models/tiny"
    assert (place / "fold1/model.json").read_text() == "first"
    assert (place / "fold1.2/model.json").read_text() == "second"


@pytest.mark.parametrize(
    ("source", "stays"),
    [
        ("models/tiny/fold1", True),
        ("models/../models/tiny/fold1", True),
        ("models/tiny/fold1/model.safetensors", True),
        ("models/tiny", False),  # fold k from fold k, of those in `folds`
    ],
)
def test_a_fold_that_a_transfer_takes_stays(root: Path, source: str, stays: bool) -> None:
    def change(params: dict[str, Any]) -> None:
        params["next"] = params["tiny"] | {
            "model": {"name": "small_cnn", "width": 4, "depth": 2, "weights": "given"}
        }
        params["competitions"].append("next")
        params["transfers"] = [{"to": "next", "from": source}]

    tiny.edit(root, change)
    assert main(["params"]) == 0
    assert (FILES[1] in there(root)) == stays


def test_a_named_fold_and_the_weights_of_a_transfer_stay(root: Path) -> None:
    def change(params: dict[str, Any]) -> None:
        params["folds"] = [0, 1, "all"]
        params["tiny"]["train"] |= {"select": "last", "patience": None}
        params["tiny"]["model"]["weights"] = "given"
        params["transfers"] = [{"to": "tiny", "from": "models/other/fold1"}]

    tiny.edit(root, change)
    assert main(["params"]) == 0
    assert there(root) == set(FILES)
    assert not DROPPED.exists()


def test_an_invalid_file_moves_nothing(root: Path) -> None:
    tiny.edit(root, lambda params: params.update(folds=[0, 7]))
    assert main(["params"]) == 2
    assert there(root) == set(FILES)
    assert not CHECKED.exists()


def test_predictions_of_a_section_that_no_longer_runs_are_no_input_of_a_blend(root: Path) -> None:
    names = ("gone", "second", "tiny")
    for name in names:
        tiny.put(root / f"data/predictions/{name}/test/fold0.arrow", name)
    tiny.put(root / "data/predictions/.gitignore", "/tiny")
    assert main(["params"]) == 0
    assert (root / "data/predictions/gone").exists(), "no blend, nothing that it would count for"

    def blend(params: tiny.Params) -> None:
        params["second"] = params[tiny.NAME]
        params["competitions"] = ["tiny", "second"]
        params["blends"] = [{"name": "both", "members": ["tiny", "second"]}]

    tiny.edit(root, blend)
    assert main(["params"]) == 0
    left = {path.name for path in (root / "data/predictions").iterdir()}
    assert left == {"second", "tiny", ".gitignore"}
    assert (root / DROPPED / "data/predictions/gone/test/fold0.arrow").read_text() == "gone"
