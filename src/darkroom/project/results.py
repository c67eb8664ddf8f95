"""Finished results that another section can share, instead of making the same files again.

Beside a result stands a note, outside of DVC's outputs: its fingerprint, and the digest of each of
its files. Whoever needs a result of that fingerprint links the files, compares the digests, and
otherwise makes it anew. So it does not matter whether the other section is being made again, is
damaged or gone: a file of another digest is not used, and nobody waits.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from darkroom.errors import ArtifactError
from darkroom.project import files
from darkroom.project.checked_json import read_json, write_json
from darkroom.project.file_locks import clone_blocks

NOTES = Path(".darkroom/results")
_UNVERIFIED = ".shared"  # in the folder to fill: files whose digests are still to be compared


def note_result(
    stage: str, folder: Path, fingerprint: str, digests: Mapping[str, str], *, root: Path = Path()
) -> None:
    """Let other sections know of a finished result.

    Args:
        stage: That made it.
        folder: Of its files, named as the section.
        fingerprint: Of all that the files come from.
        digests: The sha256 of each file, by its path in the folder.
        root: The project's.
    """
    note = {"folder": str(folder), "fingerprint": fingerprint, "digests": dict(digests)}
    write_json(root / NOTES / f"{stage}={folder.name}.json", note)


@dataclass(frozen=True)
class SharedResult:
    """The files of a finished result that a folder now has, too.

    Attributes:
        section: Whose result it is.
        digests: The sha256 of each file, by its path in the folder.
    """

    section: str
    digests: dict[str, str]


def share_result(
    stage: str, fingerprint: str, folder: Path, *, section: str, root: Path = Path()
) -> SharedResult | None:
    """Fill a folder with another section's finished result, if there is one of this fingerprint.

    Args:
        stage: That made it.
        fingerprint: Of all that the files come from.
        folder: To fill, part of an unfinished result. What it holds stays, where nothing is shared.
        section: Whose result is to be made: a stage that is run again makes it again.
        root: The project's.

    Returns:
        What the folder has got; None: there is no such result, or it is damaged.
    """
    place = folder / _UNVERIFIED
    for path in files.matching_files(root / NOTES, f"{stage}=*.json"):
        shutil.rmtree(place, ignore_errors=True)  # of a run that was killed, or the note before
        note = _read_note(path)
        if note.get("fingerprint") != fingerprint or Path(note["folder"]).name == section:
            continue
        source, digests = Path(note["folder"]), dict[str, str](note["digests"])
        if all(_share(source / name, place / name, digests[name]) for name in digests):
            for name in digests:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).replace(folder / name)
            shutil.rmtree(place)
            return SharedResult(source.name, digests)
        shutil.rmtree(place)
        if source.exists():
            print(f"{source} is not what {stage} wrote: not shared", file=sys.stderr)
    return None


def _read_note(path: Path) -> dict[str, Any]:
    """Return a note; nothing where it is damaged or has just been replaced."""
    with suppress(ArtifactError):
        return read_json(path, fix="")
    return {}


def _share(source: Path, target: Path, sha256: str) -> bool:
    """Make a file share another's blocks, or be it, or its copy; return whether it is the one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not source.is_file() or source.is_symlink():
            return False
        with source.open("rb") as original, target.open("xb") as clone:
            is_shared = shares_blocks(original, clone)
        if not is_shared:
            _link(source, target)
        # Compared last: of a hard link the file itself may be replaced, but never rewritten.
        return files.file_sha256(target) == sha256
    except FileNotFoundError:  # another run replaces it
        return False


def _link(source: Path, target: Path) -> None:
    """Make a hard link, or a copy where the file system allows none.

    Results are replaced, never written in place. The link is read-only, as DVC makes its own, so
    that an editor can't change both sections by one file either.
    """
    target.unlink()
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without hard links; or a file of somebody else
        shutil.copyfile(source, target)
        return
    with suppress(OSError):  # not every file system has permissions
        target.chmod(target.stat().st_mode & 0o555)


def shares_blocks(source: BinaryIO, copy: BinaryIO) -> bool:
    """Make a new file share another's blocks (a reflink); return whether the file system can."""
    try:
        clone_blocks(source.fileno(), copy.fileno())
    except OSError:
        return False
    return True
