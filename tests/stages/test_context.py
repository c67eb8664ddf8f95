"""What every stage begins with."""

from pathlib import Path

import pytest

from darkroom.errors import ArtifactError, ParamsError
from darkroom.project.paths import Layout
from darkroom.stages import _context
from tests.support import tiny


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tiny.project(tmp_path, "masks"))
    return tmp_path


@pytest.mark.usefixtures("root")
def test_the_setting_of_a_competition() -> None:
    here = _context.read("tiny")
    assert (here.seed, here.folds) == (7, (0, 1))
    assert here.section.preprocess.height == 32
    assert here.paths == Layout("tiny")


def test_an_unknown_name_is_told_with_the_nearest(root: Path) -> None:
    with pytest.raises(ParamsError) as caught:
        _context.read("tinny")
    assert str(caught.value) == (
        "params.yaml: there is no competition 'tinny'\n"
        "  expected: one of tiny\n  to do: did you mean 'tiny'?"
    )
    with pytest.raises(ParamsError) as caught:
        _context.read("carvana")
    assert "to do" not in str(caught.value)
    (root / "params.yaml").unlink()
    with pytest.raises(ParamsError, match=r"params\.yaml: there is no such file"):
        _context.read("tiny")


def test_an_earlier_output_is_required(tmp_path: Path) -> None:
    assert _context.require(tmp_path, "index", "cars") == tmp_path
    with pytest.raises(ArtifactError) as caught:
        _context.require(tmp_path / "x.csv", "index", "cars")
    expected = f"{tmp_path}/x.csv: it is not there\n  to do: run `dvc repro index@cars` first"
    assert str(caught.value) == expected


def test_ids_of_a_split_stay_text(tmp_path: Path) -> None:
    paths = Layout("cars", tmp_path)
    paths.split.parent.mkdir(parents=True)
    paths.split.write_text("id,fold\n007,0\nNA,-1\n1e5,1\n")
    folds = _context.read_split(paths, "cars")
    assert folds["id"].tolist() == ["007", "NA", "1e5"]
    assert folds["fold"].tolist() == [0, -1, 1]


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
        _context.read_split(paths, "cars")
    assert f"{paths.split}: it is damaged\n  found: " in str(caught.value)
    assert words in str(caught.value)
    assert "to do: run `dvc repro -sf split@cars`" in str(caught.value)
