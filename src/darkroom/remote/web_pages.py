"""Web pages that come where a file was asked for: logins, quotas, errors."""

import html
import re
from collections.abc import Iterator
from itertools import chain

import requests

from darkroom.errors import RemoteError
from darkroom.project.names import describe

_TYPES = ("text/html", "application/xhtml+xml")
_PAGES = (".html", ".htm", ".xhtml")
_LIKE_PAGES = (*_PAGES, ".xml", ".svg")  # begin as pages may
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_MOST_BYTES = 2**16
_MOST_LETTERS = 100


def is_page(name: str, head: bytes) -> bool:
    """Return whether a file's first 512 bytes are a page's, and its name is not."""
    return describe(head) == "an HTML page" and not name.lower().endswith(_LIKE_PAGES)


def refuse(
    response: requests.Response, name: str, where: str, head: bytes, rest: Iterator[bytes]
) -> None:
    """Raise RemoteError if what comes is a page, by its Content-Type or by its first bytes.

    Args:
        response: The answer.
        name: The file that was asked for.
        where: Its address as messages may show it.
        head: The first bytes of the answer's body; empty if they are a file's middle.
        rest: The bytes that follow.
    """
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    typed = kind in _TYPES and not name.lower().endswith(_PAGES)
    if not typed and not is_page(name, head):
        return
    caption = title(_some(head, rest))
    raise RemoteError(
        "a web page came instead of the file",
        file=name,
        found=f"“{caption}”" if caption else "a page without a title",
        expected=f"the file at {where}",
        fix=f"open {where} in a browser: log in, accept what it asks for, or see whether a "
        "quota is used up; then run it again",
    )


def title(page: bytes) -> str:
    """Return a page's title on one line, at most 100 letters; "" if it has none."""
    found = _TITLE.search(page)
    text = html.unescape(found[1].decode("utf-8", "replace")) if found else ""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _MOST_LETTERS else line[: _MOST_LETTERS - 1] + "…"


def _some(head: bytes, rest: Iterator[bytes]) -> bytes:
    """Return the beginning of a page, as much as comes."""
    page = b""
    try:
        for chunk in chain([head], rest):
            page += chunk
            if len(page) >= _MOST_BYTES:
                break
    except requests.RequestException:
        pass  # a page cut short is a page
    return page
