"""No name of params.yaml runs a command, or leads DVC out of a stage's own folder."""

import json
import shlex
import shutil
import subprocess
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from hypothesis import given
from hypothesis import strategies as st

from darkroom.cli.parser import STAGES
from darkroom.params.competition import NAME
from tests.support.hostile_params import FOLDS, NAMES

ROOT = Path(__file__).parents[2]
OF_NAMES = [stage for stage in STAGES if stage not in ("params", "transfer", "pseudo", "blend")]

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of pygtrie


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with files wherever a name may lead."""
    place = tmp_path_factory.mktemp("names") / "project"
    place.mkdir()
    for name in (".dvcignore", "dvc.yaml"):
        shutil.copy(ROOT / name, place / name)
    for name in ("../victim/a", "victim/a", "victim.csv", "src/a", "data/raw/tiny/a"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("all there is")
    for name in ("data/processed/tiny/a", "models/tiny/fold1/a", "data/params.json"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("all there is")
    with chdir(place):
        Repo.init(no_scm=True).close()
    return place


def files_of(place: Path) -> list[str]:
    return sorted(
        str(path)
        for path in place.parent.rglob("*")
        if path.is_file() and ".dvc" not in path.parts and path.name != "params.yaml"
    )


def single_stage(project: Path, stage: str, **params: Any) -> None:
    """Run `dvc repro --single-item --force`, which asks no other stage."""
    values = {
        "competitions": ["tiny"],
        "folds": [0],
        "transfers": [],
        "blends": [],
        "pseudo_labels": [],
        "seed": 7,
    }
    (project / "params.yaml").write_text(json.dumps(values | params))
    with chdir(project), Repo() as repo:
        repo.reproduce(targets=[stage], single_item=True, force=True)


@pytest.mark.parametrize("name", NAMES)
def test_dvc_refuses_a_name_that_leads_elsewhere_before_it_removes_anything(
    project: Path, name: str
) -> None:
    before = files_of(project)
    for stage in OF_NAMES:
        run = {"fold": "-0", "train": "-0", "predict": "-0-test"}.get(stage, "")
        address = f"{stage}@{name}{run}"
        with pytest.raises(Exception) as caught:  # noqa: PT011  (DVC asserts, for no name at all)
            single_stage(project, address, competitions=[name])
        words = str(caught.value)
        assert "is ignored by .dvcignore" in words or caught.type is AssertionError, words
    with pytest.raises(Exception) as caught:  # noqa: PT011
        single_stage(project, "transfer@pair0-0", transfers=[{"to": name, "from": "src"}])
    assert "is ignored by .dvcignore" in str(caught.value)
    pair = {"to": name, "from": "data/predictions/tiny"}
    with pytest.raises(Exception) as caught:  # noqa: PT011
        single_stage(project, "pseudo@pair0-0", pseudo_labels=[pair])
    assert "is ignored by .dvcignore" in str(caught.value)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        single_stage(project, "blend@blend0", blends=[{"name": name, "members": ["tiny", "b"]}])
    assert "is ignored by .dvcignore" in str(caught.value)
    assert files_of(project) == before


@pytest.mark.parametrize("fold", FOLDS)
def test_nor_does_a_fold(project: Path, fold: str) -> None:
    before = files_of(project)
    stages = ("fold@tiny-{}", "train@tiny-{}", "predict@tiny-{}-valid", "transfer@pair0-{}")
    for stage in (each.format(fold) for each in stages):
        with pytest.raises(Exception, match=r"is ignored by \.dvcignore"):
            single_stage(project, stage, folds=[fold], transfers=[{"to": "tiny", "from": "src"}])
    assert files_of(project) == before


def command(project: Path, address: str, **params: Any) -> str:
    values = {
        "competitions": ["tiny"],
        "folds": [0],
        "transfers": [],
        "blends": [],
        "pseudo_labels": [],
    }
    (project / "params.yaml").write_text(json.dumps(values | params))
    with chdir(project), Repo() as repo:
        (stage,) = repo.stage.collect(address)
        return str(stage.cmd)


def test_a_key_beside_to_and_from_is_no_part_of_the_command(project: Path) -> None:
    pair = {"to": "tiny", "from": "src", "x; touch flag #": 1}
    assert command(project, "transfer@pair0-0", transfers=[pair]) == (
        'darkroom transfer --stage "$DVC_STAGE"'
    )
    assert command(project, "pseudo@pair0-0", pseudo_labels=[pair]) == (
        'darkroom pseudo --stage "$DVC_STAGE"'
    )


@given(st.text(st.characters(codec="ascii", exclude_characters="/\0\r\n-"), max_size=12))
def test_what_dvc_accepts_reaches_a_shell_as_one_word(project: Path, name: str) -> None:
    name = f"x{name}"
    try:
        line = command(project, f"index@{name}", competitions=[name])
    except Exception:
        assert not NAME.fullmatch(name)
        return
    assert shlex.split(line) == ["darkroom", "index", "--name", name]


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [
        {"competitions": ["x; touch flag #"]},
        {"competitions": ["Tiny"]},
        {"folds": ["0; touch flag"]},
        {"transfers": [{"to": "x; touch flag #", "from": "src"}]},
        {"pseudo_labels": [{"to": "x; touch flag #", "from": "src"}]},
    ],
)
def test_dvc_repro_runs_nothing_of_it(project: Path, params: dict[str, Any]) -> None:
    values = {
        "competitions": ["tiny"],
        "folds": [0],
        "transfers": [],
        "blends": [],
        "pseudo_labels": [],
        "seed": 7,
    }
    section = {"data": {"source": "sample", "sample": "carvana"}}
    names = dict.fromkeys(params.get("competitions", ["tiny"]), section)
    (project / "params.yaml").write_text(json.dumps(values | params | names))
    shutil.copytree(ROOT / "src", project / "src", dirs_exist_ok=True)
    before = files_of(project)
    done = subprocess.run(
        ["dvc", "repro"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    if params == {"competitions": ["Tiny"]}:  # a slip, no attack: Darkroom's own words
        assert "> darkroom params" in done.stdout
        assert "keys or values are wrong" in done.stderr
    assert not (project / "flag").exists()
    assert [path for path in files_of(project) if path in before] == before
