"""Turn errors of Kaggle's API into messages that say what to do."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass

import requests

from darkroom.errors import DarkroomError, RemoteError
from darkroom.remote.kaggle.request_log import RequestLog
from darkroom.remote.retry import is_transient, reason, status_words
from darkroom.remote.web_pages import is_web_page, page_title

SITE = "https://www.kaggle.com"
TOKEN_PAGE = f"{SITE}/settings/api"
OAUTH_FILE = "~/.kaggle/credentials.json"
_HEAD_BYTES = 65536

_QUERY = re.compile(r"(/[^\s?#'\"]*)[?#][^\s'\")]+")
_USER = re.compile(r"//[^/\s@]+@")
_HEADER = re.compile(r"\b(Bearer|Basic)\s+\S+", re.IGNORECASE)


@dataclass(frozen=True)
class RequestInfo:
    """What is requested from Kaggle, and with which account.

    Attributes:
        name: Its name in messages: a competition, a file of it, a data set.
        page: The address of the page where a browser shows it.
        login: Where the account's token is kept; "" if no account is set up.
        secrets: Texts that no message may show.
    """

    name: str
    page: str
    login: str = ""
    secrets: Collection[str] = ()

    def clean(self, text: str) -> str:
        """Return a text on one printable line, without secrets, and users and queries of URLs."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "…")
        text = _HEADER.sub(r"\1 …", _USER.sub("//", _QUERY.sub(r"\1", text)))
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= 400 else f"{text[:400]}…"


def page_url(name: str) -> str:
    """Return the address of a competition's page ("slug") or a data set's ("owner/name").

    Example:
        >>> page_url("me/faces/versions/2")
        'https://www.kaggle.com/datasets/me/faces'
    """
    if "/" not in name:
        return f"{SITE}/competitions/{name}"
    return f"{SITE}/datasets/{'/'.join(name.split('/')[:2])}"


def submissions_url(slug: str) -> str:
    """Return the address of the page that shows the team's submissions to a competition."""
    return f"{page_url(slug)}/submissions"


def translate_error(error: Exception, log: RequestLog, info: RequestInfo) -> Exception:
    """Return what to raise for a client's error: itself if transient, else an error in words."""
    response = log.response
    if isinstance(error, DarkroomError) or is_transient(error):
        return error
    if response is not None and status_and_message(response)[0] >= 400:
        status = requests.HTTPError(status_words(response.status_code), response=response)
        return status if is_transient(status) else refusal_error(response, info)
    if not isinstance(error, requests.RequestException) and isinstance(
        error, OSError | MemoryError | ImportError
    ):
        return error
    is_request_error = response is None or isinstance(
        error, requests.TooManyRedirects | requests.HTTPError
    )
    if isinstance(error, requests.RequestException) and is_request_error:
        return RemoteError(
            "the request to Kaggle failed",
            file=info.name,
            found=reason(error),
            fix=f"open {SITE} in a browser here; if that fails too, correct the proxy settings",
        )
    return unreadable_error(response, info, f"{type(error).__name__}: {error}")


def no_account_error(info: RequestInfo) -> RemoteError:
    """Return the error of a request that needs an account, if none is set up."""
    return RemoteError(
        "Kaggle requires an account, and none is set up here",
        file=info.name,
        found="no token in KAGGLE_API_TOKEN or ~/.kaggle/access_token, and no login",
        fix=f"create a token at {TOKEN_PAGE}, save it as ~/.kaggle/access_token, and run it again",
    )


def bad_login_error(where: str, fault: str) -> RemoteError:
    """Return the error of invalid credentials; `where` says where they are kept."""
    return RemoteError(
        "the Kaggle token in it cannot be used",
        file=where,
        found=fault,
        fix=_renew(where),
    )


def refusal_error(response: requests.Response, info: RequestInfo) -> RemoteError:
    """Return the error of a response whose status, or the code in its JSON, is 400 or more."""
    code, message = status_and_message(response)
    if response.history:  # the API redirects to the storage only: this is the storage's response
        return RemoteError(
            "the storage behind Kaggle refuses the file",
            file=info.name,
            found=status_words(code),
            fix="run it again: each try gets a new address from Kaggle",
        )
    if code in (401, 403) and not info.login:
        return no_account_error(info)
    what, fix = _meaning(code, info)
    found = info.clean(f"{status_words(code)}: {message}" if message else status_words(code))
    return RemoteError(what, file=info.name, found=found, fix=fix)


def status_and_message(response: requests.Response) -> tuple[int, str]:
    """Return a response's status and Kaggle's own message, "" if there is none.

    Kaggle sends {"code": 403, "message": "…"}. Its client takes a code of 400 or more as the
    status, whatever the HTTP status is (kagglesdk, KaggleHttpClient).
    """
    try:
        error = json.loads(_first_bytes(response))
        code, message = error.get("code"), error.get("message")
    except (ValueError, AttributeError, RecursionError):
        return response.status_code, ""
    code = code if isinstance(code, int) and code >= 400 else response.status_code
    return code, message if isinstance(message, str) else ""


def had_no_effect(log: RequestLog) -> bool:
    """Return whether the last request certainly had no effect: refused, or never sent."""
    if log.response is None:
        return log.is_unsent
    code = status_and_message(log.response)[0]
    is_direct = not log.response.history  # a redirect may follow after the effect
    return is_direct and 400 <= code < 500 and code != 408 and log.response.status_code < 500


def unreadable_error(
    response: requests.Response | None, info: RequestInfo, fault: str
) -> RemoteError:
    """Return the error of a response that Kaggle's client could not parse."""
    head = b"" if response is None else _first_bytes(response)
    if is_web_page(info.name, head):
        return RemoteError(
            "a web page came instead of Kaggle's response",
            file=info.name,
            found=f"“{info.clean(page_title(head))}”",
            fix=f"open {SITE} in a browser: a network's login or a proxy may be in between",
        )
    return RemoteError(
        "Kaggle's response is invalid",
        file=info.name,
        found=info.clean(fault),
        fix="run it again; if the error stays, install newer kaggle, kagglehub and kagglesdk",
    )


def _meaning(code: int, info: RequestInfo) -> tuple[str, str]:
    """Return what a status means, and what to do."""
    if code == 401:
        return (
            f"Kaggle does not accept the token in {info.login}",
            f"it may be mistyped or expired: {_renew(info.login)}",
        )
    if code == 403 and "/competitions/" in info.page:
        return (
            "Kaggle refuses: usually because the competition's rules are not accepted yet",
            f"open {info.page}/rules, log in, accept them, and run it again",
        )
    if code == 403:
        return (
            f"Kaggle refuses access to this {'notebook' if '/code/' in info.page else 'data set'}",
            f"open {info.page}, logged in: it may be private, or ask for consent",
        )
    if code == 404:
        return "Kaggle has nothing of that name", f"compare it with the page {info.page}"
    return "Kaggle refuses the request", f"see {info.page}"


def _renew(where: str) -> str:
    if where == OAUTH_FILE:
        return "log in again with `kaggle auth login --force`"
    return f"create a new token at {TOKEN_PAGE}, and replace it"


def _first_bytes(response: requests.Response) -> bytes:
    try:
        return bytes(next(response.iter_content(_HEAD_BYTES), b""))
    except (requests.RequestException, RuntimeError):  # cut, or already read
        return b""
