"""A project with a submission, a loopback Kaggle, and no waiting."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.cli import submit
from darkroom.cli.main import main
from darkroom.cli.preflight import provenance
from darkroom.remote.retry import RetryPolicy
from tests.cli.submit.rig import RunSubmit
from tests.support import tiny
from tests.support.committed import commit
from tests.support.damage import Project
from tests.support.loopback import TOKEN, Kaggle
from tests.support.uploads import SLUG, kaggle_on_loopback


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with kaggle_on_loopback() as server:
        yield server


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Take the waiting out; return what was waited, s."""
    waited: list[float] = []
    monkeypatch.setattr(submit, "RETRY_POLICY", RetryPolicy(sleep=waited.append))
    return waited


@pytest.fixture
def root(project: Project, kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with a submission, all of it committed and up to date."""
    root = project("masks")
    tiny.edit(root, lambda params: params[tiny.NAME]["data"].update(kaggle=SLUG))
    tiny.put(root / ".gitignore", "/submissions/\n/reports/\n/data/\n/models/\n/.darkroom/\n")
    commit(root)
    monkeypatch.setattr(provenance, "outdated_stages", lambda *_: [])
    return root


@pytest.fixture
def run_submit(root: Path, capfd: pytest.CaptureFixture[str]) -> RunSubmit:
    """Return a function that runs `darkroom submit tiny -m first` and returns code and words."""

    def run(*options: str, message: str = "first") -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(["submit", tiny.NAME, "-m", message, *options])
        out, err = capfd.readouterr()
        assert TOKEN not in out + err
        assert "Signature" not in out + err
        assert "Traceback" not in err
        return code, out, err

    return run
