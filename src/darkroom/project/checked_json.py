"""JSON files that hold a checksum of their content, so that no later stage takes a changed one.

A digest of the values, not of the bytes: a file may be indented anew, or get other line ends.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from darkroom.errors import ArtifactError
from darkroom.project import files

CHECKSUM = "checksum"
ABSENT = "it is not there"


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON values and their checksum, atomically; the bytes are a function of the values.

    Raises:
        ValueError: A number is infinite or not a number, which JSON does not know.
    """
    text = json.dumps(
        {**values, CHECKSUM: checksum(values)}, indent=2, ensure_ascii=False, allow_nan=False
    )
    files.write(path, text + "\n")


def read_json(path: Path, *, fix: str, absent: str = ABSENT) -> dict[str, Any]:
    """Return the values that `write_json` was given; tuples come back as lists.

    Args:
        path: The file.
        fix: What to do if there is none, or if it is damaged.
        absent: What to say if there is none.

    Raises:
        ArtifactError: There is no such file, or it is not as it was written.
    """
    return parse_json(read_bytes(path, absent=absent, fix=fix), path, fix=fix)


def read_bytes(path: Path, *, fix: str, absent: str = ABSENT) -> bytes:
    """Return the bytes of an artefact; see `read_json`."""
    with open_artifact(path, fix=fix, absent=absent) as file:
        return file.read()


@contextmanager
def open_artifact(path: Path, *, fix: str, absent: str = ABSENT) -> Iterator[BinaryIO]:
    """Yield an artefact, opened to read its bytes; see `read_json`."""
    try:
        if path.is_fifo() or path.is_socket():  # which would be waited for
            raise ArtifactError("it can't be read", file=path, found="no file", fix=fix)
        file = path.open("rb")
    except FileNotFoundError as error:
        raise ArtifactError(absent, file=path, fix=fix) from error
    except PermissionError as error:
        allow = f"let yourself read it: chmod u+r {path}"
        raise ArtifactError(
            "it can't be read", file=path, found=error.strerror, fix=allow
        ) from error
    except OSError as error:
        raise ArtifactError("it can't be read", file=path, found=error.strerror, fix=fix) from error
    with file:
        yield file


def parse_json(data: bytes, path: Path, *, fix: str) -> dict[str, Any]:
    """Return the values of a file whose bytes have been read; see `read_json`."""
    try:
        values = json.loads(data)
        if not isinstance(values, dict):
            raise ValueError(f"{type(values).__name__} instead of keys and values")
        written = values.pop(CHECKSUM, None)
        computed = checksum(values)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(
            "it is damaged: this is not JSON of Darkroom", file=path, found=error, fix=fix
        ) from error
    if written != computed:
        if not written:
            raise ArtifactError(
                "it was written by an earlier version of Darkroom, or edited",
                file=path,
                found=f"no {CHECKSUM}",
                expected=f"a {CHECKSUM}: `dvc repro` makes all that it needs anew",
                fix=fix,
            )
        raise ArtifactError(
            "it is damaged or was edited: it is not what was written",
            file=path,
            found=f"{CHECKSUM} {written}",
            expected=f"{CHECKSUM} {computed}, which is that of its content",
            fix=fix,
        )
    return values


def checksum(values: Mapping[str, Any]) -> str:
    """Return the sha256 of JSON values, whatever the order of their keys.

    Example:
        >>> checksum({"a": 1, "b": (0.5,)}) == checksum({"b": [0.5], "a": 1})
        True
    """
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
