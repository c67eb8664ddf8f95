"""A project with a submission, a Kaggle to send it to, and no waiting."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom import provenance
from darkroom.cli import main
from darkroom.remote.waits import Waits
from darkroom.stages import submit
from tests.loopback import TOKEN, Kaggle
from tests.stages import tiny
from tests.stages.committed import commit
from tests.stages.damage import Project
from tests.stages.submit.rig import Told
from tests.submission.parcels import SLUG, kaggle_on_loopback


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with kaggle_on_loopback() as there:
        yield there


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Take the waiting out; return what was waited, s."""
    waited: list[float] = []
    monkeypatch.setattr(submit, "WAITS", Waits(sleep=waited.append))
    return waited


@pytest.fixture
def root(project: Project, kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with a submission, all of it committed and up to date."""
    made = project("masks")
    tiny.edit(made, lambda params: params[tiny.NAME]["data"].update(kaggle=SLUG))
    tiny.put(made / ".gitignore", "/submissions/\n/reports/\n/data/\n/models/\n/.darkroom/\n")
    commit(made)
    monkeypatch.setattr(provenance, "outdated", lambda *_: [])
    return made


@pytest.fixture
def told(root: Path, capfd: pytest.CaptureFixture[str]) -> Told:
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
