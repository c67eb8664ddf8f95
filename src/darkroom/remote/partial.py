"""A partial download: its bytes so far, and the identity of the file, to resume it later."""

import base64
import binascii
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import requests

from darkroom.project import files
from darkroom.remote.retry import parse_http_date
from darkroom.remote.verify import plausible_size

_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]+|\*)/([0-9]+|\*)")


@dataclass(frozen=True)
class Identity:
    """What a server says about a file's version: enough to recognise the same bytes later.

    The names of the fields are also the keys of `<name>.part.json`.

    Attributes:
        etag: A strong ETag with its quotes; a weak one does not identify bytes.
        modified: Last-Modified, if it is old enough to identify bytes.
        total: The complete file's size in bytes.
        md5: The complete file's, hexadecimal.
        packed: Whether it is a zip around the file that was requested.
    """

    etag: str | None = None
    modified: str | None = None
    total: int | None = None
    md5: str | None = None
    packed: bool = False

    def matches(self, other: "Identity") -> bool:
        """Return whether both are of one file: a validator is equal, and no field differs.

        Example:
            >>> Identity(etag='"a"').matches(Identity(etag='"a"', total=5))
            True
            >>> Identity(total=5).matches(Identity(total=5))  # equal sizes identify nothing
            False
        """
        mine, theirs = asdict(self), asdict(other)
        shared = [
            key
            for key in ("etag", "modified", "md5", "total")
            if mine[key] is not None and theirs[key] is not None
        ]
        return bool({*shared} - {"total"}) and all(mine[key] == theirs[key] for key in shared)

    def merged(self, other: "Identity") -> "Identity":
        """Return this identity, with the fields that only the other has."""
        mine = {key: value for key, value in asdict(self).items() if value is not None}
        return replace(other, **mine)

    def range_headers(self, start: int) -> dict[str, str]:
        """Return headers that request the rest of this file, and of no other (RFC 9110, 13.1.5)."""
        validator = self.etag or self.modified
        return {"Range": f"bytes={start}-"} | ({"If-Range": validator} if validator else {})


def response_identity(response: requests.Response) -> Identity:
    """Return what a response of status 200, 206 or 416 says about the complete file."""
    return Identity(
        etag=_strong_etag(response.headers.get("ETag")),
        modified=_stable_modified(response),
        total=_total(response),
        md5=_md5(response),
    )


def range_start(response: requests.Response) -> int | None:
    """Return the byte of the file where the body of a 206 begins, None if it does not say."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return int(match[1]) if match and match[1] else None


def _total(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "").strip()
    if response.status_code != 200:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        text = match[2] if match else ""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _strong_etag(etag: str | None) -> str | None:
    return etag if etag is not None and _STRONG_ETAG.fullmatch(etag) else None


def _stable_modified(response: requests.Response) -> str | None:
    """Return Last-Modified, unless it is less than a second old (RFC 9110, 8.8.2.2)."""
    text = response.headers.get("Last-Modified", "")
    modified = parse_http_date(text)
    now = parse_http_date(response.headers.get("Date", "")) or datetime.now(UTC)
    return text if modified is not None and (now - modified).total_seconds() >= 1 else None


def _md5(response: requests.Response) -> str | None:
    """Return the md5 of `x-goog-hash: crc32c=…, md5=…`, base64 as Google's storage writes it.

    If the storage keeps the file compressed, its md5 is of the compressed bytes: useless here.
    """
    if response.headers.get("x-goog-stored-content-encoding", "identity") != "identity":
        return None
    for item in response.headers.get("x-goog-hash", "").split(","):
        kind, _, text = item.strip().partition("=")
        if kind == "md5":
            try:
                digest = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                return None
            return digest.hex() if len(digest) == 16 else None
    return None


class PartialFile:
    """The bytes so far, `<name>.part`, and the identity of their file, `<name>.part.json`."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._identity_path = target.with_name(f"{target.name}.part.json")
        if self.path.is_symlink() or self.path.is_fifo():
            self.path.unlink()  # never write through a link into another file

    @property
    def size(self) -> int:
        """How many bytes are on the disk."""
        return self.path.stat().st_size if self.path.exists() else 0

    def saved_identity(self) -> Identity | None:
        """Return of which file the bytes are, None if there are none from which to resume."""
        if not self.size:
            return None
        try:
            identity = _parse_identity(json.loads(self._identity_path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
            return None
        too_many = identity.total is not None and self.size > identity.total
        return None if too_many or not identity.matches(identity) else identity

    def start(self, identity: Identity) -> None:
        """Discard the bytes so far, and save the identity of the bytes to come.

        In this order: a kill in between must not leave old bytes with a new identity.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")
        files.write(self._identity_path, json.dumps(asdict(identity)) + "\n")

    def discard(self) -> None:
        """Remove the bytes and their identity."""
        self.path.unlink(missing_ok=True)
        self._identity_path.unlink(missing_ok=True)

    def finish(self, target: Path) -> Path:
        """Rename the complete file to its target, atomically, and return the path."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        files.replace(self.path, target)
        self._identity_path.unlink(missing_ok=True)
        return target


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write all bytes to an unbuffered file, whose `write` may take only some of them."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _parse_identity(fields: dict[str, Any]) -> Identity:
    """Return the identity that was saved as JSON, or raise ValueError or TypeError."""
    identity = Identity(**fields)
    texts = (identity.etag, identity.modified, identity.md5)
    if not all(text is None or isinstance(text, str) for text in texts):
        raise TypeError("not a text")
    if identity.etag is not None and not _strong_etag(identity.etag):
        raise ValueError("not an ETag")
    if identity.modified is not None and not re.fullmatch(r"[\x20-\x7e]+", identity.modified):
        raise ValueError("not a date")
    if identity.md5 is not None and not re.fullmatch("[0-9a-f]{32}", identity.md5):
        raise ValueError("not an md5")
    if identity.total is not None and plausible_size(identity.total) is None:
        raise ValueError("not a size")
    if type(identity.packed) is not bool:
        raise TypeError("not a boolean")
    return identity
