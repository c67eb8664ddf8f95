"""Fixtures of tiny projects: their stages have run once a session, and each test gets a copy."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from darkroom.project import processes
from tests.support import tiny
from tests.support.damage import Project


@contextmanager
def one_thread() -> Iterator[None]:
    import torch  # not for every test

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compute on one thread, in this process: the networks and pictures are tiny."""
    monkeypatch.setattr(processes, "cores", lambda: 1)
    with one_thread():
        yield


@pytest.fixture(scope="session")
def finished_projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return projects whose stages have run: all of `masks`, `multiclass` as far as the split."""
    projects = {}
    verbs = {"masks": tiny.VERBS, "multiclass": tiny.VERBS[:3]}
    with pytest.MonkeyPatch.context() as patch, one_thread():
        patch.setattr(processes, "cores", lambda: 1)
        for kind in verbs:
            projects[kind] = tiny.project(tmp_path_factory.mktemp(kind), kind, train={"epochs": 1})
            tiny.edit(projects[kind], lambda params: params.update(folds=[0]))
            patch.chdir(projects[kind])
            tiny.run(*verbs[kind])
    return projects


@pytest.fixture
def project(
    finished_projects: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """Return a function that copies a sound project and goes there."""

    def copied(kind: str) -> Path:
        root = tmp_path / "copy"
        shutil.copytree(finished_projects[kind], root)
        monkeypatch.chdir(root)
        return root

    return copied
