"""Plain addresses: files that a server gives to everybody."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from urllib3 import exceptions as urllib3_errors

from darkroom.errors import RemoteError
from darkroom.remote import retry
from darkroom.remote.download import Opener
from darkroom.remote.retry import AGAIN, UNREADABLE, is_passing, reason, safe_place, status_words

_REFUSALS = {
    401: ("the server asks for a login", "download it in a browser, {folder}"),
    403: ("the server does not give it to everybody", "download it in a browser, {folder}"),
    404: ("there is no such file", "mend the address: open it in a browser to see"),
    410: ("the file is no longer there", "find its new address"),
}
_FOLDER = "and name the folder that you put it into in data.source"


def opener(url: str) -> Opener:
    """Return what asks for the file at an https address.

    It raises RemoteError for what will stay as it is, and what requests raises for what may pass.
    A redirect is followed, but not out of https, save to this machine itself.
    """

    def open_(headers: Mapping[str, str]) -> requests.Response:
        return _accepted(_asked(url, headers), url)

    return open_


def _asked(url: str, headers: Mapping[str, str]) -> requests.Response:
    _refuse_open(url, url)
    try:
        return requests.get(
            url,
            headers=dict(headers),
            stream=True,
            timeout=retry.TIMEOUTS_S,
            hooks={"response": _follow_safely},
        )
    except (requests.RequestException, urllib3_errors.HTTPError) as error:
        if is_passing(error):
            raise
        raise RemoteError(
            "can't be fetched",
            file=safe_place(url),
            found=reason(error),
            fix=f"see to that, and {AGAIN}",
        ) from None  # the error's text holds the whole address


def _accepted(response: requests.Response, url: str) -> requests.Response:
    """Return an answer that brings the file, or says that nothing is left; else raise."""
    status = response.status_code
    if status in (200, 206, 416):
        return response
    response.close()
    error = requests.HTTPError(status_words(status), response=response)
    if is_passing(error):
        raise error
    what, fix = _REFUSALS.get(
        status, ("the server refuses", "open the address in a browser to see why")
    )
    raise RemoteError(
        what,
        file=safe_place(url),
        found=status_words(status),
        fix=fix.format(folder=_FOLDER),
    )


def _follow_safely(response: requests.Response, **_: Any) -> None:
    """Refuse a redirect out of https before anything is sent there."""
    if not response.is_redirect:
        return
    try:
        target = urljoin(response.url, response.headers["Location"])
    except ValueError:
        target = "https://["  # as unreadable
    try:
        _refuse_open(target, response.url)
    except RemoteError:
        response.close()
        raise


def _refuse_open(url: str, asked: str) -> None:
    if is_safe(url):
        return
    found = safe_place(url)
    what = "not an encrypted address, so nobody vouches for the bytes"
    raise RemoteError(
        "can't be fetched" if found == UNREADABLE else what,
        file=safe_place(asked),
        found=found,
        expected="https://…",
        fix="find an https address of the file",
    )


def is_safe(url: str) -> bool:
    """Return whether an address can be read, and is https, or of this machine itself."""
    try:
        parts = urlsplit(url)
        scheme, host, _ = parts.scheme, parts.hostname or "", parts.port  # a port may be none
    except ValueError:
        return False
    if scheme != "http":
        return scheme == "https"
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
