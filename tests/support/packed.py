"""Small archives for tests, of given members."""

import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path


def zip_of(path: Path, members: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> Path:
    """Write a zip; names go in as they are, twice if they are given twice."""
    pairs = members.items() if isinstance(members, Mapping) else members
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in pairs:
            archive.writestr(zipfile.ZipInfo(name), data)
    return path


def tar_of(
    path: Path,
    members: Mapping[str, bytes] | Iterable[tuple[str, bytes]],
    special: Iterable[tarfile.TarInfo] = (),
) -> Path:
    """Write a tar, compressed if its name ends in gz."""
    pairs = members.items() if isinstance(members, Mapping) else members
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, data in pairs:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, BytesIO(data))
        for info in special:
            archive.addfile(info)
    return path


def folder_of(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a folder of files."""
    for name, data in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path
