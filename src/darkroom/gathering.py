"""Raw files, taken from where their owner keeps them: linked if possible, listed, never changed."""

import errno
import json
import os
import shutil
from pathlib import Path

from darkroom import files
from darkroom.errors import DataError, ParamsError
from darkroom.fingerprint import file_sha256
from darkroom.members import is_junk

MANIFEST = "manifest.json"
CANNOT_LINK = (
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
)


def source_folder(source: str) -> Path:
    """Return the folder that params.yaml names, or raise ParamsError saying what it is instead."""
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise ParamsError(
            "data.source is not a folder",
            found=f"{source}, {'a file' if folder.exists() else 'which does not exist'}",
            expected="`sample`, or the folder that holds the raw files",
        )
    return folder


def gather(source: Path, names: list[str], folder: Path) -> None:
    """Put files and folders of a source into another folder, by hard link or else by copy.

    A hard link shares the bytes: nothing is copied, and DVC makes such files read-only.
    What operating systems leave behind in folders (.DS_Store, __MACOSX) is not taken.

    Raises:
        DataError: A file is empty, or neither a file nor a folder.
    """
    for name in sorted(names):
        place = source / name
        if place.is_dir():
            for path in sorted(path for path in place.rglob("*") if not path.is_dir()):
                name_inside = path.relative_to(source)
                if not is_junk(name_inside.as_posix()):
                    _take(path, folder / name_inside)
        else:
            _take(place, folder / name)


def write_manifest(folder: Path) -> tuple[int, int]:
    """List every file of a folder with bytes and sha256; return how many, and bytes in all."""
    listed = [
        {
            "name": path.relative_to(folder).as_posix(),
            "bytes": path.stat().st_size,
            "sha256": file_sha256(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    files.write(folder / MANIFEST, json.dumps({"files": listed}, indent=1) + "\n")
    return len(listed), sum(int(str(entry["bytes"])) for entry in listed)


def _take(path: Path, to: Path) -> None:
    real = path.resolve()
    if not real.is_file():
        raise DataError("it is not a file", file=path, fix="mend the link, or remove it")
    if not real.stat().st_size:
        raise DataError("the file is empty", file=path, found="0 bytes", fix="fetch it again")
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(real, to)
    except OSError as error:
        if error.errno not in CANNOT_LINK:
            raise
        shutil.copyfile(real, to)
