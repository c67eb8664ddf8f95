"""What is refused before Kaggle is asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom.cli import check, preflight, provenance
from darkroom.cli.main import read_context
from darkroom.errors import ArtifactError, DarkroomError, ParamsError
from darkroom.stages._context import Context
from tests.submission.upload.loopback import SLUG
from tests.support import tiny
from tests.support.committed import commit
from tests.support.damage import Project


@pytest.fixture
def root(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with a submission, all of it committed and up to date."""
    made = project("masks")
    data(made, kaggle=SLUG)
    tiny.put(made / ".gitignore", "/submissions/\n/reports/\n/data/\n/models/\n/.darkroom/\n")
    commit(made)
    monkeypatch.setattr(provenance, "outdated_stages", lambda *_: [])
    return made


def data(root: Path, **changes: Any) -> None:
    tiny.edit(root, lambda params: params[tiny.NAME]["data"].update(changes))


def refused(kind: type[DarkroomError], *, uncommitted: bool = False) -> str:
    with pytest.raises(kind) as raised:
        preflight.verify_submission(read_context(tiny.NAME), uncommitted=uncommitted)
    return str(raised.value)


def test_a_sound_one(root: Path) -> None:
    found = preflight.verify_submission(read_context(tiny.NAME), uncommitted=False)
    assert (found.competition, found.rows, found.metric) == (SLUG, 5, "dice")
    assert found.size == (root / "submissions/tiny.csv.gz").stat().st_size
    assert found.commit == provenance.Commit(commit_of(root), ())
    assert found.local is not None
    assert 0 < found.local < 1


def commit_of(root: Path) -> str:
    return (root / ".git" / (root / ".git/HEAD").read_text().split()[1]).read_text().strip()


@pytest.mark.parametrize("uncommitted", [False, True])
@pytest.mark.parametrize(
    ("slug", "found"),
    [(None, "null"), ("jessicali9530/celeba", "jessicali9530/celeba, a data set")],
)
def test_no_competition_to_submit_to(
    root: Path, slug: str | None, found: str, uncommitted: bool
) -> None:
    data(root, kaggle=slug)
    assert refused(ParamsError, uncommitted=uncommitted) == (
        "params.yaml: there is no competition to submit to\n"
        f"  found: tiny.data.kaggle: {found}\n"
        "  expected: the name of a Kaggle competition, as in its address"
    )


def test_the_drawn_sample(root: Path) -> None:
    data(root, source="sample")
    assert refused(ParamsError, uncommitted=True) == (
        "params.yaml: the submission is for the drawn sample, which is not on Kaggle\n"
        "  found: tiny.data.source: sample\n"
        "  expected: `kaggle`, or the folder that holds the raw files\n"
        "  to do: edit it, then run `dvc repro predict@tiny`"
    )


def test_what_is_not_committed(root: Path) -> None:
    tiny.edit(root, lambda params: params.update(seed=8))
    tiny.put(root / "src/new.py", "")
    assert refused(ParamsError) == (
        "what the submission is made from is not committed\n"
        "  params.yaml\n"
        "  src/new.py\n"
        "  to do: commit these files, or add --uncommitted"
    )
    found = preflight.verify_submission(read_context(tiny.NAME), uncommitted=True)
    assert str(found.commit) == f"{commit_of(root)}-dirty"


def test_without_git(root: Path) -> None:
    (root / ".git").rename(root / "moved")
    assert refused(ParamsError) == (
        "without a commit, the submission could not be reproduced later\n"
        "  found: no git repository\n"
        '  to do: run `git init; git add .; git commit -m "…"`, or add --uncommitted'
    )
    assert preflight.verify_submission(read_context(tiny.NAME), uncommitted=True).commit is None


def test_what_the_parameters_would_not_make(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, str]] = []

    def outdated(root: Path, stage: str) -> list[str]:
        asked.append((root, stage))
        return ["predict@tiny", "train@tiny-0"]

    monkeypatch.setattr(provenance, "outdated_stages", outdated)
    assert refused(ArtifactError) == (
        "submissions/tiny.csv.gz: it is not what the parameters make: these stages have changed "
        "since\n"
        "  predict@tiny\n"
        "  train@tiny-0\n"
        "  to do: run `dvc repro predict@tiny`, or add --uncommitted"
    )
    assert asked == [(Path(), "predict@tiny")]
    assert preflight.verify_submission(read_context(tiny.NAME), uncommitted=True).rows == 5


@pytest.mark.parametrize("changed", [["evaluate@tiny"], ["predict@tiny"], ["train@tiny-0"]])
def test_a_score_that_may_be_of_other_models_is_none(
    root: Path, monkeypatch: pytest.MonkeyPatch, changed: list[str]
) -> None:
    monkeypatch.setattr(provenance, "outdated_stages", lambda *_: changed)
    found = preflight.verify_submission(read_context(tiny.NAME), uncommitted=True)
    assert (found.local, found.metric) == (None, "dice")


def test_without_dvc_the_score_may_be_of_other_models(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[str]:
        raise ArtifactError("DVC cannot list what has changed")

    monkeypatch.setattr(provenance, "outdated_stages", fail)
    assert refused(ArtifactError) == "DVC cannot list what has changed"
    assert preflight.verify_submission(read_context(tiny.NAME), uncommitted=True).local is None


def test_the_sections_of_a_competition(root: Path) -> None:
    def add(params: dict[str, Any]) -> None:
        params["larger"], params["another"] = params[tiny.NAME], params[tiny.NAME] | {}
        params["another"]["data"] = params[tiny.NAME]["data"] | {"kaggle": "titanic"}

    tiny.edit(root, add)
    found = preflight.verify_submission(read_context(tiny.NAME), uncommitted=True)
    assert sorted(found.sections) == ["larger", "tiny"]


def test_what_predict_made_during_the_check_is_not_what_was_checked(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, real = root / "submissions/tiny.json", check.run
    before = json.loads(facts.read_text())

    def run(context: Context) -> None:
        real(context)
        tiny.put(facts, json.dumps(before | {"sha256": "f" * 64, "rows": 4}))

    monkeypatch.setattr(check, "run", run)
    found = preflight.verify_submission(read_context(tiny.NAME), uncommitted=False)
    assert (found.sha256, found.rows) == (before["sha256"], 5)


def test_a_faulty_submission(root: Path) -> None:
    tiny.put(root / "submissions/tiny.csv.gz", b"")
    for uncommitted in (False, True):
        words = refused(ArtifactError, uncommitted=uncommitted)
        assert words.startswith("submissions/tiny.csv.gz: ")


@pytest.mark.parametrize("text", ["{}", "[]", "", '{"validation": {}}'])
@pytest.mark.parametrize(
    ("file", "stage"),
    [("submissions/tiny.json", "predict"), ("reports/tiny/metrics.json", "evaluate")],
)
def test_facts_that_cannot_be_read(root: Path, file: str, stage: str, text: str) -> None:
    tiny.put(root / file, text)
    words = refused(ArtifactError)
    assert words.startswith(f"{file}: it is damaged\n")
    assert words.endswith(f"  to do: run `dvc repro -sf {stage}@tiny`")


ODD_SCORES = ["NaN", "Infinity", "-1e999", "1e300", "1" * 400, '"0.5"', "[]"]


@pytest.mark.parametrize("score", ODD_SCORES)
def test_a_score_that_the_history_could_not_hold(root: Path, score: str) -> None:
    tiny.put(root / "reports/tiny/metrics.json", f'{{"validation": {{"dice": {score}}}}}')
    words = refused(ArtifactError)
    assert words.startswith("reports/tiny/metrics.json: it is damaged\n")
    assert words.endswith("  to do: run `dvc repro -sf evaluate@tiny`")


@pytest.mark.parametrize(
    "change", [{"fingerprint": "no hex"}, {"fingerprint": 7}, {"sha256": "ab"}, {"rows": 1e999}]
)
def test_facts_that_the_history_could_not_hold(root: Path, change: dict[str, object]) -> None:
    file = root / "submissions/tiny.json"
    tiny.put(file, json.dumps(json.loads(file.read_text()) | change))
    words = refused(ArtifactError)
    assert words.startswith("submissions/tiny.json: it is damaged\n")
    assert words.endswith("  to do: run `dvc repro -sf predict@tiny`")


@pytest.mark.parametrize("file", ["submissions/tiny.json", "reports/tiny/metrics.json"])
def test_facts_nested_without_end(root: Path, file: str) -> None:
    tiny.put(root / file, "[" * 100_000)
    assert refused(ArtifactError).startswith(f"{file}: it is damaged\n")


def test_a_repository_that_is_damaged_is_not_begun_anew(root: Path) -> None:
    (root / ".git/HEAD").unlink()
    words = refused(ParamsError)
    assert "  found: a .git that git does not accept\n" in words
    assert "git init" not in words


def test_no_git_to_ask(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    words = refused(ParamsError)
    assert words.endswith(
        "  found: git is not installed\n  to do: install git, or add --uncommitted"
    )
