"""Outputs of earlier stages: read, or refused with what to do."""

from pathlib import Path

import pytest

from darkroom.errors import ArtifactError
from darkroom.project import files
from darkroom.project.paths import Layout
from darkroom.stages import _inputs


def test_ids_of_a_split_stay_text(tmp_path: Path) -> None:
    paths = Layout("cars", tmp_path)
    paths.split.parent.mkdir(parents=True)
    paths.split.write_text("id,fold\n007,0\nNA,-1\n1e5,1\n")
    folds, sha256 = _inputs.read_split(paths)
    assert folds["id"].tolist() == ["007", "NA", "1e5"]
    assert folds["fold"].tolist() == [0, -1, 1]
    assert sha256 == files.file_sha256(paths.split)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "No columns"),
        ("id,part\n1,0\n", "columns id, part"),
        ("id,fold,more\n1,0,0\n", "columns id, fold, more"),
        ("id,fold\n1,x\n", "'x'"),
        ("id,fold\n1,\n", "''"),
    ],
)
def test_a_damaged_split_is_refused(tmp_path: Path, text: str, words: str) -> None:
    paths = Layout("cars", tmp_path)
    paths.split.parent.mkdir(parents=True)
    paths.split.write_text(text)
    with pytest.raises(ArtifactError) as caught:
        _inputs.read_split(paths)
    assert f"{paths.split}: it is damaged\n  found: " in str(caught.value)
    assert words in str(caught.value)
    assert "to do: run `dvc repro -sf split@cars`" in str(caught.value)
