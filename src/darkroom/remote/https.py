"""Files at public https addresses, without a login."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from urllib3 import exceptions as urllib3_errors

from darkroom.errors import RemoteError
from darkroom.remote import retry
from darkroom.remote.download import Opener
from darkroom.remote.retry import (
    RUN_AGAIN,
    UNREADABLE_ADDRESS,
    is_transient,
    public_address,
    reason,
    status_words,
)

_BY_HAND = "download it in a browser, and set data.source to the folder that you save it in"
_REFUSALS = {
    401: ("the server asks for a login", _BY_HAND),
    403: ("the server does not allow public access", _BY_HAND),
    404: ("there is no such file", "correct the address: open it in a browser to check"),
    410: ("the file is no longer there", "find its new address"),
}


def opener(url: str) -> Opener:
    """Return a function that requests the file at an https address, with given headers.

    It raises RemoteError for permanent errors, and what requests raises for transient ones.
    A redirect is followed unless it leaves https (a redirect to this machine itself is allowed).
    """

    def open_(headers: Mapping[str, str]) -> requests.Response:
        return _check_status(_get(url, headers), url)

    return open_


def _get(url: str, headers: Mapping[str, str]) -> requests.Response:
    _require_encryption(url, url)
    try:
        return requests.get(
            url,
            headers=dict(headers),
            stream=True,
            timeout=retry.TIMEOUTS_S,
            hooks={"response": _follow_safely},
        )
    except (requests.RequestException, urllib3_errors.HTTPError) as error:
        if is_transient(error):
            raise
        raise RemoteError(
            "can't be fetched",
            file=public_address(url),
            found=reason(error),
            fix=f"fix that, and {RUN_AGAIN}",
        ) from None  # the error's text holds the address with its query


def _check_status(response: requests.Response, url: str) -> requests.Response:
    """Return a response with (part of) the file, or with status 416: no bytes left; else raise."""
    status = response.status_code
    if status in (200, 206, 416):
        return response
    response.close()
    error = requests.HTTPError(status_words(status), response=response)
    if is_transient(error):
        raise error
    what, fix = _REFUSALS.get(
        status, ("the server refuses", "open the address in a browser to see why")
    )
    raise RemoteError(
        what,
        file=public_address(url),
        found=status_words(status),
        fix=fix,
    )


def _follow_safely(response: requests.Response, **_: Any) -> None:
    """Refuse a redirect that leaves https, before anything is sent there."""
    if not response.is_redirect:
        return
    try:
        target = urljoin(response.url, response.headers["Location"])
    except ValueError:
        target = "https://["  # refused below as an address that can't be read
    try:
        _require_encryption(target, response.url)
    except RemoteError:
        response.close()
        raise


def _require_encryption(url: str, requested_url: str) -> None:
    if is_safe_url(url):
        return
    address = public_address(url)
    what = "not an encrypted address, so anybody could change the bytes"
    raise RemoteError(
        "can't be fetched" if address == UNREADABLE_ADDRESS else what,
        file=public_address(requested_url),
        found=address,
        expected="https://…",
        fix="find an https address of the file",
    )


def is_safe_url(url: str) -> bool:
    """Return whether an address is readable, and is https or on this machine itself.

    Example:
        >>> is_safe_url("https://h.org/a"), is_safe_url("http://h.org/a"), is_safe_url("http://[::1]/a")
        (True, False, True)
    """
    try:
        parts = urlsplit(url)
        scheme, host, _ = (
            parts.scheme,
            parts.hostname or "",
            parts.port,
        )  # reading a bad port raises
    except ValueError:
        return False
    if scheme != "http":
        return scheme == "https"
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
