"""A download that is not whole yet: its bytes so far, and of which file they are."""

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
from darkroom.remote.disk_space import plausible
from darkroom.remote.retry import http_date

_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]+|\*)/([0-9]+|\*)")


@dataclass(frozen=True)
class Identity:
    """What a server says of the bytes that it sends: enough to know them again.

    Attributes:
        etag: A strong ETag, quotes included; a weak one does not vouch for bytes.
        modified: Last-Modified, where it is old enough to vouch for them.
        total: The whole file's size in bytes.
        md5: The whole file's, hexadecimal.
        packed: Whether it is a zip around the file that was asked for.
    """

    etag: str | None = None
    modified: str | None = None
    total: int | None = None
    md5: str | None = None
    packed: bool = False

    def matches(self, other: "Identity") -> bool:
        """Return whether both are of one file: something vouches for it, nothing speaks against."""
        mine, theirs = asdict(self), asdict(other)
        shared = [
            key
            for key in ("etag", "modified", "md5", "total")
            if mine[key] is not None and theirs[key] is not None
        ]
        return bool({*shared} - {"total"}) and all(mine[key] == theirs[key] for key in shared)

    def joined(self, other: "Identity") -> "Identity":
        """Return this, with what only the other knows."""
        mine = {key: value for key, value in asdict(self).items() if value is not None}
        return replace(other, **mine)

    def range_from(self, start: int) -> dict[str, str]:
        """Return the headers that ask for the rest of this file and no other (RFC 9110, 13.1.5)."""
        validator = self.etag or self.modified
        return {"Range": f"bytes={start}-"} | ({"If-Range": validator} if validator else {})


def identity_of(response: requests.Response) -> Identity:
    """Return what an answer of status 200, 206 or 416 says of the whole file."""
    return Identity(
        etag=_strong(response.headers.get("ETag")),
        modified=_settled(response),
        total=_total(response),
        md5=_md5(response),
    )


def begins_at(response: requests.Response) -> int | None:
    """Return the place in the file where a 206 begins, in bytes; None if it does not say."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return int(found[1]) if found and found[1] else None


def _total(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "").strip()
    if response.status_code != 200:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        text = found[2] if found else ""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _strong(etag: str | None) -> str | None:
    return etag if etag is not None and _STRONG_ETAG.fullmatch(etag) else None


def _settled(response: requests.Response) -> str | None:
    """Return Last-Modified, unless the file could change within that second (RFC 9110, 8.8.2.2)."""
    text = response.headers.get("Last-Modified", "")
    modified = http_date(text)
    now = http_date(response.headers.get("Date", "")) or datetime.now(UTC)
    return text if modified is not None and (now - modified).total_seconds() >= 1 else None


def _md5(response: requests.Response) -> str | None:
    """Return the md5 of `x-goog-hash: crc32c=…, md5=…`, base64 as Google's storage writes it.

    That of a file kept compressed and sent unpacked is of the compressed bytes: no use here.
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


class Part:
    """The bytes so far, `<name>.part`, and beside them `<name>.part.json`: of which file."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._story = target.with_name(f"{target.name}.part.json")
        if self.path.is_symlink() or self.path.is_fifo():
            self.path.unlink()  # nothing is to be written through it

    @property
    def size(self) -> int:
        """The bytes that are here."""
        return self.path.stat().st_size if self.path.exists() else 0

    def held(self) -> Identity | None:
        """Return of which file the bytes are; None if there are none that can be gone on with."""
        if not self.size:
            return None
        try:
            identity = _checked(json.loads(self._story.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
            return None
        too_many = identity.total is not None and self.size > identity.total
        return None if too_many or not identity.matches(identity) else identity

    def begin(self, identity: Identity) -> None:
        """Throw away what is here, and note of which file the bytes to come are.

        In this order: a kill in between must not leave old bytes under a new name.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")
        files.write(self._story, json.dumps(asdict(identity)) + "\n")

    def drop(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)
        self._story.unlink(missing_ok=True)

    def finish(self, target: Path) -> Path:
        """Give the whole bytes their name, and return it."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.path.replace(target)
        self._story.unlink(missing_ok=True)
        return target


def append(file: BinaryIO, data: bytes) -> None:
    """Write all of some bytes to an unbuffered file, which may take fewer at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _checked(story: dict[str, Any]) -> Identity:
    """Return the identity of a story, or raise ValueError, TypeError or KeyError if it is none."""
    identity = Identity(**story)
    texts = (identity.etag, identity.modified, identity.md5)
    if not all(text is None or isinstance(text, str) for text in texts):
        raise TypeError("not a text")
    if identity.etag is not None and not _strong(identity.etag):
        raise ValueError("not an ETag")
    if identity.modified is not None and not re.fullmatch(r"[\x20-\x7e]+", identity.modified):
        raise ValueError("not a date")
    if identity.md5 is not None and not re.fullmatch("[0-9a-f]{32}", identity.md5):
        raise ValueError("not an md5")
    if identity.total is not None and plausible(identity.total) is None:
        raise ValueError("not a size")
    if type(identity.packed) is not bool:
        raise TypeError("not a yes or no")
    return identity
