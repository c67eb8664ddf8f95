"""The whole way with Kaggle: fetched from it, `dvc repro`, submitted, scored, recorded."""

import csv
import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import tiny
from tests.support.committed import commit, git
from tests.support.loopback import TOKEN, Competition, Kaggle

ROOT = Path(__file__).parents[2]
SLUG = "tiny-challenge"
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.slow


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with Kaggle() as server:
        yield server


@pytest.fixture
def project(tmp_path: Path, kaggle: Kaggle) -> Path:
    """Return a committed project whose raw files lie on Kaggle, and nowhere else."""
    root = tmp_path / "project"
    tiny.project(root, "masks", train={"epochs": 1})
    tiny.edit(root, lambda params: params.update(folds=[0]))
    source = root / "source"
    files = {path.name: path.read_bytes() for path in source.iterdir()}
    kaggle.competitions[SLUG] = Competition(
        files=files | {"huge.zip": b"not needed"}, pending=2, public="0.91234", private="0.90001"
    )
    shutil.rmtree(source)
    tiny.edit(root, lambda params: params[tiny.NAME]["data"].update(source="kaggle", kaggle=SLUG))
    shutil.copy(ROOT / "dvc.yaml", root)
    shutil.copy(ROOT / ".gitignore", root)
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    git(root, "init", "--quiet")
    _run(root, kaggle, "dvc", "init", "--quiet")
    commit(root)
    return root


def _run(root: Path, kaggle: Kaggle, *words: str, code: int = 0) -> str:
    """Run a command as a user would, and return what it told."""
    environment = kaggle.environ() | {"OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True)
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    assert TOKEN not in output
    return output


def test_from_kaggle_and_back(project: Path, kaggle: Kaggle) -> None:
    _run(project, kaggle, "dvc", "repro", "--quiet")
    assert not [r for r in kaggle.requests_of("storage") if r.path.endswith("huge.zip")]
    submission = project / "submissions" / f"{tiny.NAME}.csv.gz"
    assert gzip.decompress(submission.read_bytes()).startswith(b"image,rle\n")

    submit = ("darkroom", "submit", tiny.NAME, "-m", 'first, "with quotes"')
    output = _run(project, kaggle, *submit, code=2)
    assert "dvc.lock" in output, "the lock that tells how the file came about is not committed"
    committed = commit(project)
    assert not kaggle.requests_of("StartSubmissionUpload")

    assert "nothing was sent" in _run(project, kaggle, *submit, "--dry-run")
    output = _run(project, kaggle, *submit, "--wait")
    assert "public 0.91234, private 0.90001" in output
    (sent,) = kaggle.competitions[SLUG].submissions
    assert sent.body == submission.read_bytes()
    assert sent.description.endswith('first, "with quotes"')

    again = _run(project, kaggle, *submit)
    assert "nothing was sent: this file was submitted" in again
    assert len(kaggle.competitions[SLUG].submissions) == 1

    with (project / "submissions" / "history.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["sha256"] == sent.sha256
    assert row["commit"] == committed
    assert (row["reference"], row["status"]) == (str(sent.ref), "complete")
    assert (row["public"], row["private"]) == ("0.91234", "0.90001")
    assert row["message"] == 'first, "with quotes"'
    metrics = yaml.safe_load((project / "reports" / tiny.NAME / "metrics.json").read_text())
    assert float(row["local"]) == pytest.approx(next(iter(metrics["validation"].values())))

    assert "0.9123" in _run(project, kaggle, "darkroom", "history", tiny.NAME, "--offline")
    assert (project / "submissions" / f"{tiny.NAME}_history.png").stat().st_size > 5000


def test_a_second_repro_asks_nobody_and_runs_nothing(project: Path, kaggle: Kaggle) -> None:
    _run(project, kaggle, "dvc", "repro", "--quiet", f"fetch@{tiny.NAME}")
    requests = len(kaggle.requests)
    assert requests
    _run(project, kaggle, "dvc", "repro", f"fetch@{tiny.NAME}")
    _run(project, kaggle, "dvc", "repro", "--force", f"fetch@{tiny.NAME}")
    assert len(kaggle.requests) == requests, "what the cache holds was asked for again"
    shutil.rmtree(kaggle.home / ".cache/darkroom/competitions" / SLUG)
    _run(project, kaggle, "dvc", "repro", "--force", f"fetch@{tiny.NAME}")
    assert len(kaggle.requests) == 2 * requests, "what the cache does not hold was not fetched anew"


def test_no_token_in_any_file(project: Path, kaggle: Kaggle) -> None:
    _run(project, kaggle, "dvc", "repro", "--quiet", f"fetch@{tiny.NAME}")
    places = [project, kaggle.home]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
