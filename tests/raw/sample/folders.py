"""Raw files as a test sees them: every file of a folder, every member of an archive."""

import tarfile
import zipfile
from pathlib import Path


def digestible(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def unzipped(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def untarred(path: Path) -> dict[str, bytes]:
    members = {}
    with tarfile.open(path, "r:gz") as archive:
        for member in archive.getmembers():
            data = archive.extractfile(member)
            assert data is not None
            members[member.name] = data.read()
    return members
