"""One parameter edited at a time: the stages that DVC would run, against the README's table."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

from darkroom.cli.parser import BY_FOLD, PARTS
from darkroom.params import file

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `([\w.*<>]+)` \| (.+?) \|", re.MULTILINE)
STAGES = (
    *("fetch", "index", "split", "fold", "preprocess", "audit"),
    *("train", "predict", "evaluate", "submission"),
)

MERGED = """
merged:
  <<: *cars
  model: {name: unet, width: 4, depth: 2}
  train: {<<: *cars_train, lr: 0.5}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),  # of DVC's pygtrie
]


def _table() -> dict[str, list[str]]:
    """Return the README's table: the key edited to the stages that run again."""
    section = (ROOT / "README.md").read_text().split("## What an edit reruns")[1].split("\n## ")[0]
    return {key: re.findall(r"[a-z]+", stages) for key, stages in ROW.findall(section)}


def _with_merged(text: str) -> str:
    """Return the shipped parameters and a section that inherits from carvana's by YAML's merge."""
    text = text.replace("[carvana, ", "[merged, carvana, ", 1)
    text = text.replace("\ncarvana: ", "\ncarvana: &cars ", 1)
    return text.replace("\n  train: ", "\n  train: &cars_train ", 1) + MERGED


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose every stage has run, as far as DVC can tell."""
    place = tmp_path_factory.mktemp("project")
    for name in (".dvcignore", "dvc.yaml", "params.yaml", "src", "metrics"):
        source = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=ignored)
        else:
            shutil.copy(source, place / name)
    with (place / "params.yaml").open("r+") as params:
        text = _with_merged(params.read())
        params.seek(0)
        params.write(text)
    with chdir(place), Repo.init(no_scm=True) as repo:  # DVC takes stages from where it stands
        for out in repo.index.outs:
            path = Path(out.fs_path)
            if not path.suffix:
                path /= "content"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(out.def_path)
        repo.commit(force=True)
    return place


@pytest.fixture
def params(project: Path) -> Iterator[dict[str, Any]]:
    """Yield the parameters, to be edited and saved; they are put back afterwards."""
    path = project / "params.yaml"
    text = path.read_text()
    yield json.loads(json.dumps(yaml.safe_load(text)))  # an edit reaches no section that inherits
    path.write_text(text)


def _reruns(project: Path, params: dict[str, Any]) -> set[str]:
    """Return the stages that have changed, and those that depend on them.

    But for `params`, which runs at each edit and always writes the same bytes.
    """
    return _reruns_of(project, yaml.safe_dump(params))


def _reruns_of(project: Path, text: str) -> set[str]:
    """Return the same of a text of parameters."""
    (project / "params.yaml").write_text(text)
    with chdir(project), Repo() as repo:
        changed = set(repo.status()) - {"params"}
        graph = repo.index.graph
        todo = [stage for stage in graph if stage.addressing in changed]
        found = set[str]()
        while todo:
            stage = todo.pop()
            if stage.addressing not in found:
                found.add(stage.addressing)
                todo += list(graph.predecessors(stage))  # edges point to what is depended on
        return found


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}-other"


def _leaves(section: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key)


def _named(stage: str, name: str, fold: int = 0) -> set[str]:
    """Return DVC's names of a stage's runs, of one fold where it runs once a fold."""
    if stage == "predict":
        return {f"{stage}@{name}-{fold}-{part}" for part in PARTS}
    return {f"{stage}@{name}-{fold}" if stage in BY_FOLD else f"{stage}@{name}"}


RAW = yaml.safe_load((ROOT / "params.yaml").read_text())


def _edits() -> Iterator[Any]:
    """Yield every key of every competition; only the first of a section is not long."""
    for name in RAW["competitions"]:
        for section, keys in RAW[name].items():
            for place, leaf in enumerate(_leaves(keys, (section,))):
                marks = [pytest.mark.long] if place else []
                key = ".".join(leaf)
                yield pytest.param(name, leaf, marks=marks, id=f"{name}-{key}")


def test_nothing_edited_nothing_runs(project: Path, params: dict[str, Any]) -> None:
    assert _reruns(project, params) == set()


def test_only_python_files_count_in_folders_of_the_source(
    project: Path, params: dict[str, Any]
) -> None:
    room = project / "src/darkroom/raw"
    (room / "__pycache__").mkdir()
    for name in ("__pycache__/archives.pyc", ".archives.py.swp", "archives.py~", "notes.txt"):
        (room / name).write_text("anything")
    assert _reruns(project, params) == set()

    added = room / "sample" / "added.py"
    added.write_text("")
    assert "fetch@carvana" in _reruns(project, params)
    added.unlink()
    assert _reruns(project, params) == set()


@pytest.mark.parametrize(("name", "leaf"), [*_edits()])
def test_an_edit_reruns_what_the_table_says(
    project: Path, params: dict[str, Any], name: str, leaf: tuple[str, ...]
) -> None:
    section = params[name]
    for key in leaf[:-1]:
        section = section[key]
    section[leaf[-1]] = _other(section[leaf[-1]])
    expected = {run for stage in _table()[f"<name>.{leaf[0]}.*"] for run in _named(stage, name)}
    assert _reruns(project, params) == expected


@pytest.mark.parametrize(
    ("before", "after", "section", "names"),
    [
        ("epochs: 10 ", "epochs: 11 ", "train", ["carvana", "merged"]),
        ("lr: 0.02 ", "lr: 0.03 ", "train", ["carvana"]),  # the other section has its own
        ("lr: 0.5}", "lr: 0.6}", "train", ["merged"]),
        ("width: 8 ", "width: 9 ", "model", ["carvana"]),
        ("height: 128 ", "height: 64 ", "preprocess", ["carvana", "merged"]),
    ],
)
@pytest.mark.usefixtures("params")
def test_an_edit_of_a_merged_key_reruns_the_sections_that_have_it(
    project: Path, before: str, after: str, section: str, names: list[str]
) -> None:
    text = (project / "params.yaml").read_text()
    assert before in text
    stages = _table()[f"<name>.{section}.*"]
    expected = {run for stage in stages for name in names for run in _named(stage, name)}
    assert _reruns_of(project, text.replace(before, after, 1)) == expected


def test_the_seed(project: Path, params: dict[str, Any]) -> None:
    names = params["competitions"]
    params["seed"] += 1
    expected = {run for stage in _table()["seed"] for name in names for run in _named(stage, name)}
    assert _reruns(project, params) == expected


def test_a_further_fold_trains_only_that_fold(project: Path, params: dict[str, Any]) -> None:
    params["competitions"] = names = ["carvana"]  # the others have one fold, the official
    params["folds"] = [0, 1]
    file.validate_params(params)
    stages = ["fold", "train", "predict", "evaluate", "submission"]
    expected = {run for stage in stages for name in names for run in _named(stage, name, 1)}
    assert _table()["folds"] == stages
    assert _reruns(project, params) == expected


def test_a_further_competition_runs_alone(project: Path, params: dict[str, Any]) -> None:
    params["cars2"] = params["carvana"]
    params["competitions"].append("cars2")
    expected = {run for stage in STAGES for run in _named(stage, "cars2")}
    assert tuple(_table()["competitions"]) == STAGES
    assert _reruns(project, params) == expected


def test_the_readme_s_own_competition_runs_alone(project: Path, params: dict[str, Any]) -> None:
    example = yaml.safe_load((ROOT / "README.md").read_text().split("```yaml\n")[1].split("```")[0])
    file.validate_params(example)
    expected = {run for stage in STAGES for run in _named(stage, "nuclei")}
    assert _reruns(project, example) == expected


def test_the_table_has_a_row_for_every_section() -> None:
    sections = {f"<name>.{key}.*" for name in RAW["competitions"] for key in RAW[name]}
    assert set(_table()) == sections | {
        "seed",
        "folds",
        "competitions",
        "transfers",
        "blends",
        "pseudo_labels",
    }


def test_a_transfer_makes_one_training_wait_for_another(
    project: Path, params: dict[str, Any]
) -> None:
    params["transfers"] = [{"to": "banknotes", "from": "models/celeba/fold0"}]
    params["banknotes"]["model"]["weights"] = "given"
    file.validate_params(params)
    after = ("train", "predict", "evaluate", "submission")
    expected = {run for stage in after for run in _named(stage, "banknotes")} | {"transfer@pair0-0"}
    assert _reruns(project, params) == expected
    assert _table()["transfers"] == ["transfer", *after]

    params["celeba"]["train"]["lr"] = 0.5
    assert {"train@celeba-0", *expected} < _reruns(project, params)


def test_pseudo_labels_make_one_training_wait_for_the_predictions_of_another(
    project: Path, params: dict[str, Any]
) -> None:
    source = "data/predictions/carvana"
    params["pseudo_labels"] = [{"to": "merged", "from": source, "confidence": 0.9}]
    file.validate_params(params)
    after = ("train", "predict", "evaluate", "submission")
    expected = {run for stage in after for run in _named(stage, "merged")} | {"pseudo@pair0-0"}
    assert _reruns(project, params) == expected
    assert _table()["pseudo_labels"] == ["pseudo", *after]

    params["carvana"]["train"]["lr"] = 0.5
    assert {"train@carvana-0", *expected} < _reruns(project, params)


def test_a_blend_waits_for_the_predictions_of_its_members_and_reruns_nothing(
    project: Path, params: dict[str, Any]
) -> None:
    params["blends"] = [{"name": "both", "members": ["carvana", "merged"], "method": "mean"}]
    file.validate_params(params)
    assert _reruns(project, params) == {"blend@blend0"}
    assert _table()["blends"] == ["blend"]
    with chdir(project), Repo() as repo:
        graph = repo.index.graph
        (blend,) = (stage for stage in graph if stage.addressing == "blend@blend0")
        needed = {stage.addressing for stage in graph.successors(blend)}
    members = {run for name in ("carvana", "merged") for run in _named("predict", name)}
    assert members < needed
    assert not {stage for stage in needed if stage.startswith(("evaluate", "train"))}
