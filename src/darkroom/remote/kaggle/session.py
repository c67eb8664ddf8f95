"""Kaggle's clients: logged in with the account that is set up, watched over while they work."""

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from darkroom.project.files import home
from darkroom.remote.kaggle import api_errors
from darkroom.remote.kaggle.api_errors import OAUTH_FILE, Asked
from darkroom.remote.kaggle.request_log import Wire, environment, watched
from darkroom.remote.retry import is_passing

_LEGACY = ("KAGGLE_USERNAME", "KAGGLE_KEY")


@dataclass
class Call:
    """One thing asked of Kaggle: the clients to ask it with, logged in, and what they sent."""

    asked: Asked
    wire: Wire

    def hub(self) -> Any:
        """Return kagglehub's client."""
        return _hub()

    def api(self) -> Any:
        """Return kaggle's client, with kagglehub's account and endpoint."""
        from kagglehub.config import get_kaggle_credentials  # noqa: PLC0415

        api = _kaggle_api(self.wire)()
        account = get_kaggle_credentials()
        api.config_values = (
            {"token": account.api_key}
            if account.api_key
            else {"username": account.username, "key": account.key}
        )
        # The class settles this when it is imported; its --verbose prints the token.
        is_local = os.environ.get("KAGGLE_API_ENVIRONMENT") == "LOCALHOST"
        api.args = ["--local"] if is_local else []
        return api


@contextmanager
def calling(asked: Asked, *, is_public: bool = False) -> Iterator[Call]:
    """Watch over one call: log in, and put what the clients raise into words.

    Raises:
        ParamsError: There is no home folder.
        RemoteError: Kaggle refuses, can't be asked, or answers what can't be read; no account.
        requests.RequestException: What may pass: it is worth another try.
    """
    with watched() as wire:
        call = Call(asked, wire)
        home()  # without one the clients fail when they are imported
        try:
            call.asked = _with_account(asked, wire)
            if not (call.asked.login or is_public):
                raise api_errors.no_account(asked)
            yield call
        except Exception as error:
            told = api_errors.told(error, wire, call.asked)
            if wire.answer is not None:
                wire.answer.close()
            if told is error:
                raise
            raise told from None  # a client's own words may hold what must not be shown
        finally:
            _forget_account()


def _with_account(asked: Asked, wire: Wire) -> Asked:
    """Find the account as kagglehub does, and by `kaggle auth login`, which it does not know."""
    from kagglehub import config  # noqa: PLC0415
    from kagglesdk.kaggle_env import get_access_token_from_env  # noqa: PLC0415

    try:
        _, source = get_access_token_from_env()
        account = config.get_kaggle_credentials()
    except (ValueError, TypeError):
        raise api_errors.bad_login(
            "kaggle.json or access_token", "neither a token nor JSON with username and key"
        ) from None
    except OSError as error:
        if error.filename != os.environ.get("KAGGLE_API_TOKEN"):
            raise
        raise api_errors.bad_login("KAGGLE_API_TOKEN", "neither a token nor a file") from None
    login = _place(source)
    if account is None and (token := _oauth_token(wire)):
        config.set_kaggle_api_token(token)  # until _forget_account
        account, login = config.get_kaggle_credentials(), OAUTH_FILE
    if account is None:
        return asked
    secret = account.api_key or account.key
    if not isinstance(secret, str) or not re.fullmatch("[!-~]+", secret):
        # http.client would show it in its error.
        raise api_errors.bad_login(
            login, "no token: it is empty, or holds a blank or an odd letter"
        )
    return replace(asked, login=login, secrets=(secret,))


def _place(source: str | None) -> str:
    """Return where the account's token is kept, in the order in which kagglehub looks.

    Args:
        source: What kagglesdk calls the place of the token; None: it knows of none.
    """
    from kagglehub import config  # noqa: PLC0415

    if source == "access_token":
        path = Path("~/.kaggle/access_token")
        is_it = path.expanduser().exists() and path.expanduser().read_bytes().strip()
        return str(path if is_it else path.with_suffix(".txt"))
    if source is not None:
        return source  # a variable of the environment
    if all(os.environ.get(name) for name in _LEGACY):
        return " and ".join(_LEGACY)
    folder = os.environ.get(
        config.CREDENTIALS_FOLDER_ENV_VAR_NAME, config.DEFAULT_KAGGLE_CREDENTIALS_FOLDER
    )
    is_file = Path(folder, config.CREDENTIALS_FILENAME).exists()
    return "kaggle.json" if is_file else "the notebook's secrets"


def _oauth_token(wire: Wire) -> str | None:
    """Return the access token of `kaggle auth login`, renewed if it has expired."""
    from kagglesdk.kaggle_creds import KaggleCredentials  # noqa: PLC0415

    try:
        with _hub() as client:
            login = KaggleCredentials.load(client)
            return None if login is None else login.get_access_token()
    except Exception as error:
        if is_passing(error):
            raise
        raise api_errors.bad_login(OAUTH_FILE, wire.end or "not what Kaggle wrote") from None


def _hub() -> Any:
    from kagglehub import clients  # noqa: PLC0415

    # It walks the whole stack, and all modules for each frame: once is enough.
    if not hasattr(clients.get_user_agent, "cache_info"):
        clients.get_user_agent = functools.cache(clients.get_user_agent)
    return clients.build_kaggle_client()


def _forget_account() -> None:
    from kagglehub.config import clear_kaggle_credentials  # noqa: PLC0415

    clear_kaggle_credentials()


def _kaggle_api(wire: Wire) -> Any:
    """Return kaggle's class. Its import logs in, makes a folder and heeds VERBOSE: not here."""
    hidden = {"VERBOSE": None, "VERBOSE_OUTPUT": None, "KAGGLE_CONFIG_DIR": os.devnull}
    wire.is_shut = True
    try:
        with environment(hidden):
            from kaggle.api.kaggle_api_extended import KaggleApi  # noqa: PLC0415
    finally:
        wire.is_shut = False
    return KaggleApi
