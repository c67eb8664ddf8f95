"""What Kaggle's refusals mean, and what to do about each: status codes into words."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass

import requests

from darkroom.errors import DarkroomError, RemoteError
from darkroom.remote.kaggle.request_log import Wire
from darkroom.remote.retry import is_passing, reason, status_words
from darkroom.remote.web_pages import is_page, title

SITE = "https://www.kaggle.com"
TOKEN_PAGE = f"{SITE}/settings/api"
OAUTH_FILE = "~/.kaggle/credentials.json"
_HEAD_BYTES = 65536

_QUERY = re.compile(r"(/[^\s?#'\"]*)[?#][^\s'\")]+")
_USER = re.compile(r"//[^/\s@]+@")
_HEADER = re.compile(r"\b(Bearer|Basic)\s+\S+", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """What was asked of Kaggle, and on whose behalf.

    Attributes:
        name: What the messages call it: a competition, a file of it, a data set.
        page: The address of the page where a browser shows it.
        login: Where the account's token is kept; "" if no account is set up.
        secrets: What no message may show.
    """

    name: str
    page: str
    login: str = ""
    secrets: Collection[str] = ()

    def clean(self, text: str) -> str:
        """Return a text on one line that shows: no secrets, users and queries of addresses."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "…")
        text = _HEADER.sub(r"\1 …", _USER.sub("//", _QUERY.sub(r"\1", text)))
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text if len(text) <= 400 else f"{text[:400]}…"


def page(name: str) -> str:
    """Return the address of a competition's page ("slug") or a data set's ("owner/name")."""
    if "/" not in name:
        return f"{SITE}/competitions/{name}"
    return f"{SITE}/datasets/{'/'.join(name.split('/')[:2])}"


def submissions_page(slug: str) -> str:
    """Return the address of the page where a competition shows the team's submissions."""
    return f"{page(slug)}/submissions"


def told(error: Exception, wire: Wire, asked: Asked) -> Exception:
    """Return what to raise for a client's error: what may pass as it is, the rest in words."""
    answer = wire.answer
    if isinstance(error, DarkroomError) or is_passing(error):
        return error
    if answer is not None and verdict(answer)[0] >= 400:
        status = requests.HTTPError(status_words(answer.status_code), response=answer)
        return status if is_passing(status) else refusal(answer, asked)
    if not isinstance(error, requests.RequestException) and isinstance(
        error, OSError | MemoryError | ImportError
    ):
        return error
    is_lost = answer is None or isinstance(error, requests.TooManyRedirects | requests.HTTPError)
    if isinstance(error, requests.RequestException) and is_lost:
        return RemoteError(
            "Kaggle could not be asked",
            file=asked.name,
            found=reason(error),
            fix=f"see whether a browser opens {SITE} from here, and mend the proxy settings if not",
        )
    return unreadable(answer, asked, f"{type(error).__name__}: {error}")


def no_account(asked: Asked) -> RemoteError:
    """Return the error of a request that needs an account where none is set up."""
    return RemoteError(
        "Kaggle wants an account, and none is set up here",
        file=asked.name,
        found="no token in KAGGLE_API_TOKEN or ~/.kaggle/access_token, and no login",
        fix=f"make a token at {TOKEN_PAGE}, save it as ~/.kaggle/access_token, and run it again",
    )


def bad_login(where: str, fault: str) -> RemoteError:
    """Return the error of credentials that cannot be used; `where` says where they are kept."""
    return RemoteError(
        "the Kaggle token kept there cannot be used",
        file=where,
        found=fault,
        fix=_renew(where),
    )


def refusal(answer: requests.Response, asked: Asked) -> RemoteError:
    """Return the error of an answer whose status, or the code in its JSON, is 400 or more."""
    code, words = verdict(answer)
    if answer.history:  # the API itself does not redirect to itself: this is the storage's answer
        return RemoteError(
            "the storage behind Kaggle refuses the file",
            file=asked.name,
            found=status_words(code),
            fix="run it again: each try asks Kaggle for a fresh address",
        )
    if code in (401, 403) and not asked.login:
        return no_account(asked)
    what, fix = _meaning(code, asked)
    found = asked.clean(f"{status_words(code)}: {words}" if words else status_words(code))
    return RemoteError(what, file=asked.name, found=found, fix=fix)


def verdict(answer: requests.Response) -> tuple[int, str]:
    """Return an answer's status and Kaggle's own words.

    Kaggle answers {"code": 403, "message": "…"}; its client takes a code of 400 or more for the
    status whatever HTTP says (kagglesdk, KaggleHttpClient).
    """
    try:
        told = json.loads(_head(answer))
        code, words = told.get("code"), told.get("message")
    except (ValueError, AttributeError, RecursionError):
        return answer.status_code, ""
    code = code if isinstance(code, int) and code >= 400 else answer.status_code
    return code, words if isinstance(words, str) else ""


def is_sure(wire: Wire) -> bool:
    """Return whether the last request surely had no effect: refused, or never on its way."""
    if wire.answer is None:
        return wire.never_left
    code = verdict(wire.answer)[0]
    is_direct = not wire.answer.history  # a redirect may come after the deed
    return is_direct and 400 <= code < 500 and code != 408 and wire.answer.status_code < 500


def unreadable(answer: requests.Response | None, asked: Asked, fault: str) -> RemoteError:
    """Return the error of an answer that Kaggle's client could make nothing of."""
    head = b"" if answer is None else _head(answer)
    if is_page(asked.name, head):
        return RemoteError(
            "a web page came instead of Kaggle's answer",
            file=asked.name,
            found=f"“{asked.clean(title(head))}”",
            fix=f"open {SITE} in a browser: a network's login or a proxy may stand in between",
        )
    return RemoteError(
        "Kaggle's answer cannot be read",
        file=asked.name,
        found=asked.clean(fault),
        fix="run it again; if it stays so, install newer kaggle, kagglehub and kagglesdk",
    )


def _meaning(code: int, asked: Asked) -> tuple[str, str]:
    if code == 401:
        return (
            f"Kaggle does not accept the token in {asked.login}",
            f"it may be mistyped or expired: {_renew(asked.login)}",
        )
    if code == 403 and "/competitions/" in asked.page:
        return (
            "Kaggle refuses: most often because the competition's rules are not accepted yet",
            f"open {asked.page}/rules, log in, accept them, and run it again",
        )
    if code == 403:
        return (
            "Kaggle refuses access to this data set",
            f"open {asked.page}, logged in: it may be private, or ask for consent",
        )
    if code == 404:
        return "Kaggle knows nothing of that name", f"compare it with the page {asked.page}"
    return "Kaggle refuses the request", f"see {asked.page}"


def _renew(where: str) -> str:
    if where == OAUTH_FILE:
        return "log in anew with `kaggle auth login --force`"
    return f"make a new one at {TOKEN_PAGE}, and put it in its place"


def _head(answer: requests.Response) -> bytes:
    try:
        return bytes(next(answer.iter_content(_HEAD_BYTES), b""))
    except (requests.RequestException, RuntimeError):  # cut, or read already
        return b""
