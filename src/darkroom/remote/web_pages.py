"""Web pages that a server sends instead of a file: logins, quotas, errors."""

import html
import re
from collections.abc import Iterator
from itertools import chain

import requests

from darkroom.errors import RemoteError
from darkroom.project.names import describe_bytes

_PAGE_TYPES = ("text/html", "application/xhtml+xml")
_PAGE_SUFFIXES = (".html", ".htm", ".xhtml")
_MARKUP_SUFFIXES = (*_PAGE_SUFFIXES, ".xml", ".svg")  # their first bytes look like a page's
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_MAX_PAGE_BYTES = 2**16
_MAX_LETTERS = 100


def is_web_page(name: str, head: bytes) -> bool:
    """Return whether a file begins (512 bytes) like a web page, and its name is not a page's.

    Example:
        >>> is_web_page("train.zip", b"<!DOCTYPE html>"), is_web_page("a.html", b"<!DOCTYPE html>")
        (True, False)
    """
    return describe_bytes(head) == "an HTML page" and not name.lower().endswith(_MARKUP_SUFFIXES)


def refuse_web_page(
    response: requests.Response, name: str, address: str, head: bytes, rest: Iterator[bytes]
) -> None:
    """Raise RemoteError if a response is a web page, by its Content-Type or its first bytes.

    Args:
        response: The response.
        name: The file that was requested.
        address: Its address as messages may show it.
        head: The first bytes of the body; empty if the body begins in the middle of a file.
        rest: The bytes that follow.
    """
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    is_page_type = kind in _PAGE_TYPES and not name.lower().endswith(_PAGE_SUFFIXES)
    if not is_page_type and not is_web_page(name, head):
        return
    title = page_title(_read_page(head, rest))
    raise RemoteError(
        "the server sent a web page instead of the file",
        file=name,
        found=f"“{title}”" if title else "a page without a title",
        expected=f"the file at {address}",
        fix=f"open {address} in a browser: log in, accept what it asks for, or see whether a "
        "quota is used up; then run it again",
    )


def page_title(page: bytes) -> str:
    """Return a page's title on one line, at most 100 letters; "" if it has none."""
    match = _TITLE.search(page)
    text = html.unescape(match[1].decode("utf-8", "replace")) if match else ""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _MAX_LETTERS else line[: _MAX_LETTERS - 1] + "…"


def _read_page(head: bytes, rest: Iterator[bytes]) -> bytes:
    """Return the beginning of a page, as much as arrives."""
    page = b""
    try:
        for chunk in chain([head], rest):
            page += chunk
            if len(page) >= _MAX_PAGE_BYTES:
                break
    except requests.RequestException:
        pass  # a page that is cut short still has its title
    return page
