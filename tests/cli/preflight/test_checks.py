"""Submissions that are refused before any request to Kaggle."""

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom.cli import check
from darkroom.cli.main import read_context
from darkroom.cli.preflight import checks, provenance
from darkroom.errors import ArtifactError, DarkroomError, ParamsError
from darkroom.project.checked_json import write_json
from darkroom.stages._context import Context
from tests.support import tiny
from tests.support.committed import commit
from tests.support.damage import Project
from tests.support.uploads import SLUG


@pytest.fixture
def root(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with a submission, all of it committed and up to date."""
    root = project("masks")
    data(root, kaggle=SLUG)
    tiny.put(root / ".gitignore", "/submissions/\n/reports/\n/data/\n/models/\n/.darkroom/\n")
    commit(root)
    monkeypatch.setattr(provenance, "outdated_stages", lambda *_: [])
    return root


def data(root: Path, **changes: Any) -> None:
    tiny.edit(root, lambda params: params[tiny.NAME]["data"].update(changes))


def error_of(kind: type[DarkroomError], *, uncommitted: bool = False) -> str:
    with pytest.raises(kind) as raised:
        checks.verify_submission(read_context(tiny.NAME), uncommitted=uncommitted)
    return str(raised.value)


def test_a_valid_submission(root: Path) -> None:
    file = checks.verify_submission(read_context(tiny.NAME), uncommitted=False)
    assert (file.competition, file.rows, file.metric) == (SLUG, 5, "dice")
    assert file.size == (root / "submissions/tiny.csv.gz").stat().st_size
    assert file.commit == provenance.Commit(commit_of(root), ())
    assert file.local is not None
    assert 0 < file.local < 1


def commit_of(root: Path) -> str:
    return (root / ".git" / (root / ".git/HEAD").read_text().split()[1]).read_text().strip()


@pytest.mark.parametrize("uncommitted", [False, True])
@pytest.mark.parametrize(
    ("slug", "file"),
    [(None, "null"), ("jessicali9530/celeba", "jessicali9530/celeba, a data set")],
)
def test_no_competition_to_submit_to(
    root: Path, slug: str | None, file: str, uncommitted: bool
) -> None:
    data(root, kaggle=slug)
    assert error_of(ParamsError, uncommitted=uncommitted) == (
        "params.yaml: there is no competition to submit to\n"
        f"  found: tiny.data.kaggle: {file}\n"
        "  expected: the name of a Kaggle competition, as in its address"
    )


def test_the_drawn_sample(root: Path) -> None:
    data(root, source="sample", sample="carvana")
    assert error_of(ParamsError, uncommitted=True) == (
        "params.yaml: the submission is for the drawn sample, which is not on Kaggle\n"
        "  found: tiny.data.source: sample\n"
        "  expected: `kaggle`, or the folder that holds the raw files\n"
        "  to do: edit it, then run `dvc repro submission@tiny`"
    )


def test_uncommitted_changes_are_refused(root: Path) -> None:
    tiny.edit(root, lambda params: params.update(seed=8))
    tiny.put(root / "src/new.py", "")
    assert error_of(ParamsError) == (
        "what the submission is made from is not committed\n"
        "  params.yaml\n"
        "  src/new.py\n"
        "  to do: commit these files, or add --uncommitted"
    )
    file = checks.verify_submission(read_context(tiny.NAME), uncommitted=True)
    assert str(file.commit) == f"{commit_of(root)}-dirty"


def test_without_git(root: Path) -> None:
    (root / ".git").rename(root / "moved")
    assert error_of(ParamsError) == (
        "without a commit, the submission could not be reproduced later\n"
        "  found: no git repository\n"
        '  to do: run `git init; git add .; git commit -m "…"`, or add --uncommitted'
    )
    assert checks.verify_submission(read_context(tiny.NAME), uncommitted=True).commit is None


def test_an_outdated_submission_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Path, str]] = []

    def outdated(root: Path, stage: str) -> list[str]:
        calls.append((root, stage))
        return ["submission@tiny", "train@tiny-0"]

    monkeypatch.setattr(provenance, "outdated_stages", outdated)
    assert error_of(ArtifactError) == (
        "submissions/tiny.csv.gz: it is not what the parameters make: these stages have changed "
        "since\n"
        "  submission@tiny\n"
        "  train@tiny-0\n"
        "  to do: run `dvc repro submission@tiny`, or add --uncommitted"
    )
    assert calls == [(Path(), "submission@tiny")]
    assert checks.verify_submission(read_context(tiny.NAME), uncommitted=True).rows == 5


@pytest.mark.parametrize("stages", [["evaluate@tiny"], ["submission@tiny"], ["train@tiny-0"]])
def test_a_score_that_may_be_of_other_models_is_none(
    root: Path, monkeypatch: pytest.MonkeyPatch, stages: list[str]
) -> None:
    monkeypatch.setattr(provenance, "outdated_stages", lambda *_: stages)
    file = checks.verify_submission(read_context(tiny.NAME), uncommitted=True)
    assert (file.local, file.metric) == (None, "dice")


def test_without_dvc_the_score_may_be_of_other_models(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[str]:
        raise ArtifactError("DVC cannot list what has changed")

    monkeypatch.setattr(provenance, "outdated_stages", fail)
    assert error_of(ArtifactError) == "DVC cannot list what has changed"
    assert checks.verify_submission(read_context(tiny.NAME), uncommitted=True).local is None


def test_the_sections_of_a_competition(root: Path) -> None:
    def add(params: dict[str, Any]) -> None:
        params["larger"], params["another"] = params[tiny.NAME], params[tiny.NAME] | {}
        params["another"]["data"] = params[tiny.NAME]["data"] | {"kaggle": "titanic"}

    tiny.edit(root, add)
    file = checks.verify_submission(read_context(tiny.NAME), uncommitted=True)
    assert sorted(file.sections) == ["larger", "tiny"]


def test_facts_that_change_during_the_check_are_ignored(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, real = root / "submissions/tiny.json", check.run
    before = json.loads(facts.read_text())

    def run(context: Context) -> None:
        real(context)
        tiny.put(facts, json.dumps(before | {"sha256": "f" * 64, "rows": 4}))

    monkeypatch.setattr(check, "run", run)
    file = checks.verify_submission(read_context(tiny.NAME), uncommitted=False)
    assert (file.sha256, file.rows) == (before["sha256"], 5)


def test_a_faulty_submission(root: Path) -> None:
    tiny.put(root / "submissions/tiny.csv.gz", b"")
    for uncommitted in (False, True):
        words = error_of(ArtifactError, uncommitted=uncommitted)
        assert words.startswith("submissions/tiny.csv.gz: ")


@pytest.mark.parametrize(
    ("file", "stage", "unmarked"),
    [
        ("submissions/tiny.json", "submission", "it was written by an earlier version of Darkroom"),
        ("reports/tiny/metrics.json", "evaluate", "it is damaged"),  # it has no checksum
    ],
)
def test_facts_that_cannot_be_read(root: Path, file: str, stage: str, unmarked: str) -> None:
    damaged = "it is damaged"
    texts = {"{}": unmarked, '{"validation": {}}': unmarked, "[]": damaged, "": damaged}
    for text, what in texts.items():
        tiny.put(root / file, text)
        words = error_of(ArtifactError)
        assert words.startswith(f"{file}: {what}"), text
        assert words.endswith(f"  to do: run `dvc repro -sf {stage}@tiny`"), text


ODD_SCORES = ["NaN", "Infinity", "-1e999", "1e300", "1" * 400, '"0.5"', "[]"]


@pytest.mark.parametrize("score", ODD_SCORES)
def test_a_score_that_the_history_could_not_hold(root: Path, score: str) -> None:
    tiny.put(root / "reports/tiny/metrics.json", f'{{"validation": {{"dice": {score}}}}}')
    words = error_of(ArtifactError)
    assert words.startswith("reports/tiny/metrics.json: it is damaged\n")
    assert words.endswith("  to do: run `dvc repro -sf evaluate@tiny`")


@pytest.mark.parametrize(
    "change", [{"fingerprint": "no hex"}, {"fingerprint": 7}, {"sha256": "ab"}, {"rows": "x"}]
)
def test_facts_that_the_history_could_not_hold(root: Path, change: dict[str, object]) -> None:
    file = root / "submissions/tiny.json"
    values = json.loads(file.read_text())
    del values["checksum"]
    write_json(file, values | change)
    words = error_of(ArtifactError)
    assert words.startswith("submissions/tiny.json: it is damaged\n")
    assert words.endswith("  to do: run `dvc repro -sf submission@tiny`")


@pytest.mark.parametrize("file", ["submissions/tiny.json", "reports/tiny/metrics.json"])
def test_deeply_nested_facts(root: Path, file: str) -> None:
    tiny.put(root / file, "[" * 100_000)
    assert error_of(ArtifactError).startswith(f"{file}: it is damaged")


def test_a_damaged_repository_is_not_to_be_created_again(root: Path) -> None:
    (root / ".git/HEAD").unlink()
    words = error_of(ParamsError)
    assert "  found: a .git that git does not accept\n" in words
    assert "git init" not in words


def test_git_is_not_installed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    words = error_of(ParamsError)
    assert words.endswith(
        "  found: git is not installed\n  to do: install git, or add --uncommitted"
    )
