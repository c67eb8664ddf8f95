"""Folds and transfers that come and go, with DVC itself: what is dropped is no input."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from darkroom.cli.parser import PARTS
from tests.support import tiny

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def dvc(place: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["dvc", *arguments], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ran(place: Path) -> list[str]:
    """Run `dvc repro`; return the stages whose command ran."""
    lines = dvc(place, "repro").splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("Running stage")]


def results(place: Path) -> dict[str, bytes]:
    folders = ("models", "submissions", "reports", "data/start")
    return {
        path.relative_to(place).as_posix(): path.read_bytes()
        for folder in folders
        for path in sorted((place / folder).rglob("*"))
        if path.is_file()
    }


def test_there_and_back_reruns_nothing(tmp_path: Path) -> None:
    """Folds [0] -> [0, 1] -> [0], then a transfer added and taken back, then a fresh clone."""
    place = tiny.project(tmp_path / "project", "multiclass")
    shutil.copytree(ROOT / "metrics", place / "metrics")  # git keeps no empty folder
    text = (ROOT / "dvc.yaml").read_text()
    (place / "dvc.yaml").write_text(text)
    for name in (".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, place / name)
    shutil.copytree(ROOT / "src", place / "src", ignore=shutil.ignore_patterns("__pycache__"))
    git: Callable[..., Any] = lambda *arguments: subprocess.run(  # noqa: E731
        ["git", "-c", "user.name=x", "-c", "user.email=x@x", *arguments], cwd=place, check=True
    )
    git("init", "-q", ".")
    dvc(place, "init", "-q")
    dvc(place, "config", "core.analytics", "false")
    dvc(place, "remote", "add", "-d", "store", str(tmp_path / "store"))

    assert "train@tiny-0" in ran(place)
    first, lock = results(place), (place / "dvc.lock").read_text()

    tiny.edit(place, lambda params: params.update(folds=[0, 1]))
    predicted = {f"predict@tiny-1-{part}" for part in PARTS}
    further = {"params", "fold@tiny-1", "train@tiny-1", "evaluate@tiny", "submission@tiny"}
    assert {*ran(place)} == further | predicted
    tiny.edit(place, lambda params: params.update(folds=[0]))
    assert ran(place) == ["params"]
    assert results(place) == first

    def begin(params: dict[str, Any]) -> None:
        params["transfers"] = [{"to": "tiny", "from": "kept.safetensors"}]
        params["tiny"]["model"]["weights"] = "given"

    before = (place / "params.yaml").read_text()
    shutil.copy(place / "models/tiny/fold0/model.safetensors", place / "kept.safetensors")
    tiny.edit(place, begin)
    assert "train@tiny-0" in ran(place)
    (place / "params.yaml").write_text(before)
    assert ran(place) == ["params"]
    assert results(place) == first
    assert dvc(place, "status").strip() == "Data and pipelines are up to date."

    dvc(place, "push", "-q")
    git("add", "-A")
    git("commit", "-qm", "all")
    subprocess.run(["git", "clone", "-q", place, tmp_path / "clone"], check=True)
    dvc(tmp_path / "clone", "pull", "-q")
    assert dvc(tmp_path / "clone", "status").strip() == "Data and pipelines are up to date."
    assert results(tmp_path / "clone") == first
    assert "fold1" not in lock
