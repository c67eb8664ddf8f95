"""A project whose raw files come from a server that plays Kaggle, by the command line."""

from pathlib import Path

import pytest

from darkroom.cli import main
from tests.loopback import Kaggle
from tests.stages import tiny


def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, **data: object) -> Path:
    """Make a project whose raw files are to come from Kaggle; they lie in `source`."""
    root = tiny.imitation(tmp_path / "project", format)
    change = {"source": "kaggle", **data}
    tiny.edit(root, lambda params: params[tiny.NAME]["data"].update(change))
    monkeypatch.chdir(root)
    return root


def bodies(source: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(source.iterdir())}


def fetch() -> int:
    return main(["fetch", tiny.NAME])


def asked(kaggle: Kaggle) -> list[str]:
    """Return the names of the bodies that were asked for."""
    return [request.path.rsplit("/", 1)[-1] for request in kaggle.of("storage")]
