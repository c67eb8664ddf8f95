"""The results of a run: of the files here, and of a commit."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from darkroom.cli.report import report
from darkroom.cli.report.comparison import comparison_page, comparison_pages
from darkroom.cli.report.report import read_committed
from darkroom.cli.report.runs import Reader, Run, flat_params, read_here, read_of_revision, read_run
from darkroom.cli.report.sections.scores import (
    changed_params,
    is_less_better,
    shown_difference,
)
from darkroom.errors import ArtifactError, ParamsError
from darkroom.prediction.tables import as_csv
from darkroom.tasks.metrics.specs import METRICS
from tests.support.committed import commit, git

PARAMS = """
seed: 7
folds: [0, 1]
blends: [{name: both, members: [a, b]}]
transfers: [{to: a, from: models/b/fold0}]
a: {train: {lr: 0.1, rates: {backbone: 0.5}}}
b: {train: {lr: 0.2}}
"""


def put(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def metrics(**values: float) -> str:
    return json.dumps({"validation": values})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    put("params.yaml", PARAMS)
    put("reports/a/metrics.json", metrics(accuracy=0.9, baseline_accuracy=0.5, images=1))
    return tmp_path


def test_a_run_of_these_files(project: Path) -> None:
    put("reports/a/history/fold1.csv", "epoch,loss/val\n1,\n2,0.5\n")
    put("reports/a/curves/confusion.csv", "actual,predicted\nNA,01\n")
    run = read_run("now", "a", read_here)
    assert run is not None
    assert (run.metric, run.score) == ("accuracy", 0.9)
    assert list(run.history) == ["1"]
    assert run.history["1"]["loss/val"].isna().tolist() == [True, False]
    assert run.curves["confusion"].to_numpy().tolist() == [["NA", "01"]]  # texts stay texts
    assert run.scores is None
    assert run.test == {}


@pytest.mark.parametrize(
    "text", ["=1+1", "'a", "-x", "10", "+a", "@b", "plain", "'=1+1", "''-x", "'-1", "-1"]
)
def test_an_id_is_as_it_was_before_the_table_was_written(project: Path, text: str) -> None:
    put("reports/a/scores.csv", as_csv(pd.DataFrame({"id": [text], "score": [0.5]})))
    run = read_run("now", "a", read_here)
    assert run is not None
    assert run.scores is not None
    assert run.scores["id"].tolist() == [text]
    assert run.scores["score"].tolist() == [0.5]


@pytest.mark.usefixtures("project")
def test_no_scores_are_no_run() -> None:
    assert read_run("now", "b", read_here) is None
    put("reports/gone/metrics.json", metrics(accuracy=0.9))
    assert read_run("now", "gone", read_here) is None  # of a section that is no more


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("reports/a/metrics.json", "{"),
        ("reports/a/metrics.json", "[1]"),
        ("reports/a/metrics.json", '{"validation": [1]}'),
        ("reports/a/metrics.json", '{"validation": {"accuracy": "x"}}'),
        ("reports/a/metrics.json", "[" * 100_000),
        ("reports/a/evaluation.json", '{"validation": [1]}'),
        ("reports/a/test_metrics.json", '{"accuracy": "x"}'),
        ("reports/a/scores.csv", "id,score\na,high\n"),
        ("reports/a/scores.csv", ""),
        ("reports/a/scores.csv", "id,score\na,0.5"),  # cut inside of a line
        ("reports/a/scores.csv", "id,value\na,0.5\n"),
        ("reports/a/scores.csv", "id,score\na,0.5\nb,0.5\n"),  # of one image
        ("reports/a/curves/confusion.csv", "actual,predicted\nx,y\nx,x\n"),
        ("reports/a/curves/confusion.csv", "actual,answer\nx,y\n"),
        ("reports/a/curves/classes.csv", "name,f1\nx,0.5\n"),
        ("reports/a/history/fold0.csv", "step,loss/val\n1,0.5\n"),
    ],
)
@pytest.mark.usefixtures("project")
def test_damage_names_the_file(path: str, text: str) -> None:
    put(path, text)
    with pytest.raises(ArtifactError, match=rf"{path}: it is damaged"):
        read_run("now", "a", read_here)


ODD = (
    b"a: [1",
    b"- a\n",
    b"<<<<<<< HEAD\na: {}\n=======\n",
    b"a: {}\nblends: [5]\n",
    b"a: {}\nblends: [{name: a}]\n",
    b"a: {}\nfolds: null\n",
    b"a: {}\nfolds: 2\n",
    b"a: {}\ntransfers: [x]\n",
    b"a: [1]\n",
    b"a: {}  # \xff\n",
)
"""Parameters in which nothing of today's form can be relied on."""


@pytest.mark.parametrize("text", ODD)
@pytest.mark.usefixtures("project")
def test_odd_parameters_of_a_run_are_named(text: bytes) -> None:
    Path("params.yaml").write_bytes(text)
    with pytest.raises(ArtifactError, match=r"params.yaml of v1: this run cannot be read"):
        read_run("v1", "a", read_here)


@pytest.mark.usefixtures("project")
def test_a_commit_that_cannot_be_read_hides_no_older_one(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = dict(zip("bcdefghijk", ODD, strict=True)) | {"z": PARAMS.replace("0.1", "0.3").encode()}

    def reader(commit: str) -> Reader:
        return lambda path: texts[commit] if path.name == "params.yaml" else read_here(path)

    monkeypatch.setattr(report, "commits_of_runs", lambda: [*texts])
    monkeypatch.setattr(report, "read_of_revision", reader)
    earlier, why = read_committed(here())
    assert earlier is not None
    assert (earlier.label, why) == ("commit z", "")
    del texts["z"]
    assert read_committed(here()) == (
        None,
        "the last 10 commits of dvc.lock have no other scores of it; 10 of them cannot be read",
    )


@pytest.mark.parametrize("runs", [("", "a"), ("a", "")])
@pytest.mark.usefixtures("project")
def test_a_run_without_a_name_is_not_these_files(runs: tuple[str, str]) -> None:
    with pytest.raises(ParamsError, match="a run has no name"):
        list(comparison_pages(*runs))


def test_parameters_of_a_section_and_of_a_blend() -> None:
    params: dict[str, Any] = {
        "seed": 7,
        "blends": [{"name": "both", "members": ["a", "b"]}],
        "transfers": [{"to": "a", "from": "x"}],
        "a": {"train": {"lr": 0.1, "rates": {}}},
        "b": {"train": {"lr": 0.2}},
    }
    assert flat_params(params, "a") == {
        "seed": 7,
        "transfers.to": "a",
        "transfers.from": "x",
        "train.lr": 0.1,
        "train.rates": {},
    }
    both = flat_params(params, "both")
    assert (both["a.train.lr"], both["b.train.lr"], both["blend.name"]) == (0.1, 0.2, "both")


def test_a_changed_parameter_is_one_that_differs() -> None:
    rows = changed_params({"a": 1, "b": None, "c": [1]}, {"a": 1, "b": False, "d": "x"})
    shown = [[each if isinstance(each, str) else each.text for each in row] for row in rows]
    assert shown == [["b", "null", "false"], ["c", "[1]", "(none)"], ["d", "(none)", "x"]]


@pytest.mark.parametrize(
    ("name", "new", "old", "words", "kind"),
    [
        ("accuracy", 0.9, 0.8, "+0.1000 ▲", "good"),
        ("accuracy", 0.8, 0.9, "−0.1000 ▼", "bad"),
        ("log_loss", 0.8, 0.9, "−0.1000 ▲", "good"),
        ("rmse", 0.9, 0.8, "+0.1000 ▼", "bad"),
        ("accuracy", 0.9, 0.90001, "±0.0000", "faint"),
        ("accuracy", None, 0.9, "–", "faint"),
    ],
)
def test_whether_a_difference_is_better(
    name: str, new: float | None, old: float, words: str, kind: str
) -> None:
    cell = shown_difference(name, new, old, METRICS["accuracy"])
    assert cell.text == words
    assert kind in cell.kind


def test_less_is_better_of_losses_and_their_variants() -> None:
    assert is_less_better("log_loss_cross_fitted", METRICS["log_loss"])
    assert is_less_better("mae", METRICS["r2"])
    assert not is_less_better("dice_at_half", METRICS["dice"])


def test_two_sections_are_compared(project: Path) -> None:
    put("reports/a/metrics.json", metrics(accuracy=0.9, images=2))
    put("reports/b/metrics.json", metrics(accuracy=0.7, images=3))
    scores = pd.DataFrame({"id": ["x", "y", "z"], "score": [0.2, 0.9, 1.0]})
    put("reports/a/scores.csv", as_csv(scores[:2]))
    put("reports/b/scores.csv", as_csv(scores.assign(score=[0.5, 0.8, 1.0])))
    old, new = (read_run(name, name, read_here) for name in "ab")
    assert old is not None
    assert new is not None
    result = comparison_page(old, new)
    assert result.title == "a → b"
    assert [tile.value for tile in result.tiles] == ["0.9000", "0.7000", "−0.2000 ▼"]
    sections = {section.id: section for section in result.sections}
    assert "not scored on the same number of images" in sections["scores"].findings[0].text
    assert "1 became better, 1 worse" in sections["images"].lead
    assert "+0.3000" in "".join(sections["images"].blocks)


@pytest.mark.usefixtures("project")
def test_an_older_run_needs_git() -> None:
    with pytest.raises(ArtifactError, match="no project of both"):
        read_of_revision("HEAD")


PIPELINE = """
stages:
  evaluate:
    cmd: python -c "import shutil; shutil.copy('scores.json', 'reports/a/metrics.json')"
    deps: [scores.json]
    metrics: [reports/a/metrics.json]
"""


def dvc(*words: str) -> None:
    command = [sys.executable, "-m", "dvc", *words, "--quiet"]
    subprocess.run(command, check=True, capture_output=True)


def here() -> Run:
    run = read_run("now", "a", read_here)
    assert run is not None
    return run


def commit_again(root: Path) -> str:
    """Commit all of a project, and return the commit before."""
    before = git(root, "rev-parse", "HEAD")
    commit(root)
    return before


@pytest.mark.slow
def test_a_committed_run_is_read_from_the_cache_of_dvc(project: Path) -> None:
    """The file has been replaced since, and its parameters were others."""
    put("scores.json", metrics(accuracy=0.9, images=10))
    put("dvc.yaml", PIPELINE)
    put(".gitignore", "/reports/\n")
    git(project, "init", "--quiet")
    with pytest.raises(ParamsError, match="there is no such run"):
        read_of_revision("HEAD")  # nothing is committed
    dvc("init")
    dvc("repro")
    assert read_committed(here()) == (None, "dvc.lock, which says what a run left, is in no commit")
    commit(project)
    assert read_committed(here())[0] is None  # it is this one
    put("params.yaml", PARAMS.replace("0.1", "0.3"))
    put("scores.json", metrics(accuracy=0.8, images=10))
    dvc("repro")
    earlier, _ = read_committed(here())
    assert earlier is not None
    assert (earlier.label, earlier.score) == ("the last commit", 0.9)
    first = commit_again(project)
    earlier, _ = read_committed(here())
    assert earlier is not None
    assert (earlier.label, earlier.score) == (f"commit {first[:7]}", 0.9)
    git(project, "reset", "--soft", "--quiet", "HEAD~1")
    pages = dict(comparison_pages("HEAD", "a"))
    assert list(pages) == ["a"]
    assert pages["a"].title == "a: HEAD → now"
    assert [tile.value for tile in pages["a"].tiles] == ["0.9000", "0.8000", "−0.1000 ▼"]
    assert pages["a"].sections[1].findings[0].text == "1 parameter changed since HEAD: train.lr."
    assert list(dict(comparison_pages("a@HEAD", "a"))) == ["a"]
    assert list(dict(comparison_pages("HEAD", "HEAD"))) == ["a"]  # every one that has scores
    for revision in ("HEAD~7", "HEAD:params.yaml", "HEAD^{tree}", "v" * 5000, "v\udcff"):
        with pytest.raises(ParamsError, match="there is no such run"):
            list(comparison_pages(revision, "a"))
    with pytest.raises(ArtifactError, match="b of HEAD has no scores"):
        list(comparison_pages("b@HEAD", "b"))
