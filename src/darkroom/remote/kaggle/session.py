"""Kaggle's clients, logged in with the account that is set up, and their requests logged."""

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from darkroom.project.files import home_folder
from darkroom.remote.kaggle import api_errors
from darkroom.remote.kaggle.api_errors import OAUTH_FILE, RequestInfo
from darkroom.remote.kaggle.request_log import RequestLog, changed_environment, log_requests
from darkroom.remote.retry import is_transient

_LEGACY = ("KAGGLE_USERNAME", "KAGGLE_KEY")


@dataclass
class Session:
    """Kaggle's clients for one call, logged in, and the log of their requests."""

    info: RequestInfo
    log: RequestLog

    def hub(self) -> Any:
        """Return kagglehub's client."""
        return _hub()

    def api(self) -> Any:
        """Return kaggle's client, with kagglehub's account and endpoint."""
        from kagglehub.config import get_kaggle_credentials  # noqa: PLC0415

        api = _kaggle_api(self.log)()
        account = get_kaggle_credentials()
        api.config_values = (
            {"token": account.api_key}
            if account.api_key
            else {"username": account.username, "key": account.key}
        )
        # The class sets this when it is imported. With --verbose it would print the token.
        is_local = os.environ.get("KAGGLE_API_ENVIRONMENT") == "LOCALHOST"
        api.args = ["--local"] if is_local else []
        return api


@contextmanager
def open_session(info: RequestInfo, *, is_public: bool = False) -> Iterator[Session]:
    """Log in for one call, and translate the errors that the clients raise in the block.

    Args:
        info: What is requested.
        is_public: Whether no account is needed.

    Raises:
        ParamsError: There is no home folder.
        RemoteError: A permanent error: Kaggle refuses, its response is invalid, or no account.
        requests.RequestException: A transient error, worth another try.
    """
    with log_requests() as log:
        session = Session(info, log)
        home_folder()  # without a home folder the clients fail when they are imported
        try:
            session.info = _with_account(info, log)
            if not (session.info.login or is_public):
                raise api_errors.no_account_error(info)
            yield session
        except Exception as error:
            translated = api_errors.translate_error(error, log, session.info)
            if log.response is not None:
                log.response.close()
            if translated is error:
                raise
            raise translated from None  # a client's message may hold secrets
        finally:
            _forget_account()


def _with_account(info: RequestInfo, log: RequestLog) -> RequestInfo:
    """Find the account as kagglehub does, or of `kaggle auth login`, which kagglehub ignores."""
    from kagglehub import config  # noqa: PLC0415
    from kagglesdk.kaggle_env import get_access_token_from_env  # noqa: PLC0415

    try:
        _, source = get_access_token_from_env()
        account = config.get_kaggle_credentials()
    except (ValueError, TypeError):
        raise api_errors.bad_login_error(
            "kaggle.json or access_token", "neither a token nor JSON with username and key"
        ) from None
    except OSError as error:
        if error.filename != os.environ.get("KAGGLE_API_TOKEN"):
            raise
        raise api_errors.bad_login_error("KAGGLE_API_TOKEN", "neither a token nor a file") from None
    login = _token_location(source)
    if account is None and (token := _oauth_token(log)):
        config.set_kaggle_api_token(token)  # until _forget_account
        account, login = config.get_kaggle_credentials(), OAUTH_FILE
    if account is None:
        return info
    secret = account.api_key or account.key
    if not isinstance(secret, str) or not re.fullmatch("[!-~]+", secret):
        # http.client would show the token in its error.
        raise api_errors.bad_login_error(
            login, "no token: it is empty, or holds a blank or a character that is not ASCII"
        )
    return replace(info, login=login, secrets=(secret,))


def _token_location(source: str | None) -> str:
    """Return where the account's token is kept, in the order in which kagglehub looks.

    Args:
        source: Where kagglesdk found a token; None if it found none.
    """
    from kagglehub import config  # noqa: PLC0415

    if source == "access_token":
        path = Path("~/.kaggle/access_token")
        has_token = path.expanduser().exists() and path.expanduser().read_bytes().strip()
        return str(path if has_token else path.with_suffix(".txt"))
    if source is not None:
        return source  # an environment variable
    if all(os.environ.get(name) for name in _LEGACY):
        return " and ".join(_LEGACY)
    folder = os.environ.get(
        config.CREDENTIALS_FOLDER_ENV_VAR_NAME, config.DEFAULT_KAGGLE_CREDENTIALS_FOLDER
    )
    is_file = Path(folder, config.CREDENTIALS_FILENAME).exists()
    return "kaggle.json" if is_file else "the notebook's secrets"


def _oauth_token(log: RequestLog) -> str | None:
    """Return the access token of `kaggle auth login`, refreshed if it has expired."""
    from kagglesdk.kaggle_creds import KaggleCredentials  # noqa: PLC0415

    try:
        with _hub() as client:
            login = KaggleCredentials.load(client)
            return None if login is None else login.get_access_token()
    except Exception as error:
        if is_transient(error):
            raise
        raise api_errors.bad_login_error(
            OAUTH_FILE, log.failure or "not a login of Kaggle"
        ) from None


def _hub() -> Any:
    from kagglehub import clients  # noqa: PLC0415

    # It walks the stack, and all modules for each frame: slow, so once is enough.
    if not hasattr(clients.get_user_agent, "cache_info"):
        clients.get_user_agent = functools.cache(clients.get_user_agent)
    return clients.build_kaggle_client()


def _forget_account() -> None:
    from kagglehub.config import clear_kaggle_credentials  # noqa: PLC0415

    clear_kaggle_credentials()


def _kaggle_api(log: RequestLog) -> Any:
    """Return kaggle's class. Keep its import from logging in, creating a folder and printing."""
    hidden = {"VERBOSE": None, "VERBOSE_OUTPUT": None, "KAGGLE_CONFIG_DIR": os.devnull}
    log.is_blocked = True
    try:
        with changed_environment(hidden):
            from kaggle.api.kaggle_api_extended import KaggleApi  # noqa: PLC0415
    finally:
        log.is_blocked = False
    return KaggleApi
