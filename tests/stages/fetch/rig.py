"""A project whose raw files come from a server that imitates Kaggle, by the command line."""

import zipfile
from pathlib import Path

from darkroom.cli.main import main
from tests.support import tiny
from tests.support.loopback import Kaggle


def project(format: str, **data: object) -> Path:
    """Make the current folder one of a raw format, or "table"; return where its raw files lie.

    They are to come from Kaggle.
    """
    root = Path.cwd()
    if format == "table":
        tiny.project(root, "binary")
    else:
        tiny.imitation(root, format)
    if format == "celeba":
        data = tiny.shipped("celeba") | data
    change = {**data, "source": "kaggle"}
    tiny.edit(root, lambda params: params[tiny.NAME]["data"].update(change))
    return root / "source"


def file_bodies(source: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(source.iterdir())}


def files_in_folders(source: Path) -> dict[str, bytes]:
    """Return the raw files of a project with tables, the images as single files in folders."""
    found = {name: (source / name).read_bytes() for name in ("train.csv", "test.csv")}
    for part in ("train", "test"):
        with zipfile.ZipFile(source / f"{part}.zip") as archive:
            for name in archive.namelist():
                found[f"{part}/{name.rpartition('/')[2]}"] = archive.read(name)
    return found


def paths(**templates: str) -> None:
    """Say where the images of the train or the test part lie."""

    def change(params: tiny.Params) -> None:
        for part, template in templates.items():
            params[tiny.NAME]["data"][part]["image"] = template

    tiny.edit(Path(), change)


def fetch() -> int:
    return main(["fetch", tiny.NAME])


def requested_names(kaggle: Kaggle) -> list[str]:
    """Return the names of the files that were requested."""
    return [request.path.rsplit("/", 1)[-1] for request in kaggle.requests_of("storage")]
