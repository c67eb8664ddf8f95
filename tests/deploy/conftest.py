"""Tiny projects with trained models, of each kind of target: their stages run once a session."""

import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkroom.project import processes
from tests.support import tiny
from tests.support.projects import one_thread

KINDS = ("masks", "multilabel", "multiclass", "binary", "regression")
VERBS = tuple(verb for verb in tiny.VERBS if verb not in ("audit", "check"))

# Each kind tries another part of what predictions depend on.
SECTIONS: dict[str, dict[str, Any]] = {
    "masks": {"predict": {"tta": ["hflip"], "batch_size": 2}},
    "multilabel": {"preprocess": {"fit": "crop"}, "predict": {"batch_size": 3}},
    "multiclass": {
        "preprocess": {"store": "jpeg", "quality": 60},
        "data": {"metric": "log_loss", "header": ["image", "*"]},
    },
    "binary": {"preprocess": {"fit": "stretch"}, "evaluate": {"threshold": "auto"}},
    "regression": {"predict": {"tta": "d4"}},
}

Trained = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _small(small: None) -> None:
    """Compute on one thread, in this process."""


@pytest.fixture(scope="session")
def trained_projects(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes a project of a kind with two trained folds, once."""
    projects: dict[str, Path] = {}

    def project_of(kind: str) -> Path:
        if kind not in projects:
            sections = {"train": {"epochs": 1}, **SECTIONS[kind]}
            root = tiny.project(tmp_path_factory.mktemp(kind), kind, **sections)
            tiny.edit(root, lambda params: params.update(folds=[1, 0]))
            with pytest.MonkeyPatch.context() as patch, one_thread():
                patch.setattr(processes, "cores", lambda: 1)
                patch.chdir(root)
                tiny.run(*VERBS)
            projects[kind] = root
        return projects[kind]

    return project_of


@pytest.fixture
def trained(trained_projects: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """Return a function that copies a trained project of a kind and goes there."""

    def copied(kind: str) -> Path:
        root = tmp_path / "copy"
        shutil.copytree(trained_projects(kind), root)
        monkeypatch.chdir(root)
        return root

    return copied


def pictures_of(root: Path) -> dict[str, np.ndarray[Any, np.dtype[np.uint8]]]:
    """Return the test pictures of a tiny project, uint8 (H, W, 3), by id in the table's order."""
    ids = (root / "source/test.csv").read_text().split()[1:]
    with zipfile.ZipFile(root / "source/test.zip") as archive:
        data = {name: archive.read(f"{name}.png") for name in ids}
    return {name: np.asarray(Image.open(io.BytesIO(each))) for name, each in data.items()}
