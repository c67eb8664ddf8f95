"""The storage behind Kaggle: bodies with validators, in ranges (RFC 9110, sections 8.8, 13, 14).

Its answers look like those of Google's: a quoted md5 as ETag, `x-goog-hash`, errors in XML.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.support.loopback.protocol import Answer, Request

TYPES = {".zip": "application/zip", ".csv": "text/csv", ".html": "text/html; charset=utf-8"}
_MADE = datetime(2017, 7, 24, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Held:
    """A body with its name, and how to replace it."""

    name: str
    body: bytes
    replace: Callable[[bytes], None]


def range_start(request: Request) -> int | None:
    """Return the first byte a request asks for, None if it asks for all."""
    match = re.match(r"bytes=(\d+)-", request.headers.get("range", ""))
    return int(match[1]) if match else None


def error(status: int, message: str) -> Answer:
    """Return an error as the storage words it."""
    text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Message>{message}</Message></Error>"
    return Answer(status, {"Content-Type": "application/xml; charset=UTF-8"}, text.encode())


def serve(request: Request, name: str, body: bytes, digest: bytes, *, ranges: bool) -> Answer:
    """Answer a GET of a body: all of it, or the range asked for if it is still the same.

    Args:
        digest: The body's md5.
        ranges: Whether a Range is honoured.
    """
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    etag, changed = f'"{digest.hex()}"', last_modified(digest)
    headers = {
        "Content-Type": TYPES.get(suffix, "application/octet-stream"),
        "ETag": etag,
        "Last-Modified": changed,
        "Accept-Ranges": "bytes",
        "x-goog-hash": f"md5={base64.b64encode(digest).decode()}",
    }
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    same = request.headers.get("if-range", etag) in (etag, changed)
    if not ranges or not asked or not any(asked.groups()) or not same:
        return Answer(200, headers, body)
    return _part(headers, body, asked[1], asked[2])


def last_modified(digest: bytes) -> str:
    """Return an HTTP date that changes with the contents, and with nothing else."""
    minutes = int.from_bytes(digest[:2], "big")
    return format_datetime(_MADE + timedelta(minutes=minutes), usegmt=True)


def md5(body: bytes) -> bytes:
    """Return the md5 of a body, as the storage states it."""
    return hashlib.md5(body, usedforsecurity=False).digest()


def _part(headers: dict[str, str], body: bytes, low: str, high: str) -> Answer:
    total = len(body)
    first = int(low) if low else max(0, total - int(high))
    end = min(total, int(high) + 1) if low and high else total
    if first >= end:
        return Answer(416, {"Content-Range": f"bytes */{total}"}, error(416, "no such range").body)
    headers["Content-Range"] = f"bytes {first}-{end - 1}/{total}"
    return Answer(206, headers, memoryview(body)[first:end], first)
