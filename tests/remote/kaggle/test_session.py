"""Kaggle's real clients, and the accounts they use."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from darkroom.errors import ParamsError, RemoteError
from darkroom.remote.kaggle import api
from tests.support.kaggle_client import REF, SLUG, send, words
from tests.support.loopback import (
    KEY,
    REFRESH_TOKEN,
    TOKEN,
    USERNAME,
    WRONG_TOKEN,
    Competition,
    Kaggle,
    Status,
)

ODD = "no token: it is empty, or holds a blank or a character that is not ASCII"


def test_importing_the_room_imports_no_client() -> None:
    code = (
        "import sys, darkroom.remote.kaggle; "
        "print([name for name in sys.modules if name.startswith('kaggle')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_first_use_prints_and_writes_nothing_and_sends_only_its_requests(
    server: Kaggle, tmp_path: Path
) -> None:
    code = (
        f"from darkroom.remote.kaggle import api; api.submission_limits({SLUG!r}); "
        f"api.list_competition_files({SLUG!r})"
    )
    environment = server.environ() | {"VERBOSE": "1", "VERBOSE_OUTPUT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [request.kind for request in server.requests] == ["GetSubmissionLimits", "ListDataFiles"]
    assert [*server.home.rglob("*"), *tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda: api.list_competition_files(SLUG),
        lambda: api.competition_file_opener(SLUG, "train.zip")({}),
        lambda: api.submission_limits(SLUG),
        lambda: api.list_submissions(SLUG),
        lambda: send(Path(__file__)),
    ],
)
def test_without_an_account_nothing_is_sent(
    server: Kaggle, monkeypatch: pytest.MonkeyPatch, ask: Callable[[], object]
) -> None:
    server.redirect_clients(monkeypatch, token=None)
    with pytest.raises(RemoteError) as error:
        ask()
    assert words(error).endswith(
        ": Kaggle requires an account, and none is set up here\n"
        "  found: no token in KAGGLE_API_TOKEN or ~/.kaggle/access_token, and no login\n"
        "  to do: create a token at https://www.kaggle.com/settings/api, save it as "
        "~/.kaggle/access_token, and run it again"
    )
    assert server.requests == []


def test_without_a_home_folder_no_client_is_imported(
    server: Kaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", fail)
    with pytest.raises(ParamsError, match="there is no home folder"):
        api.submission_limits(SLUG)
    assert server.requests == []


def test_public_data_sets_need_no_account(server: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    server.redirect_clients(monkeypatch, token=None)
    assert api.dataset_version(REF) == (f"{REF}/versions/2", 7)
    with api.dataset_bundle_opener(REF)({"Range": "bytes=4-"}) as answer:
        assert answer.content == b"zip"
    assert all(request.authorization is None for request in server.requests)
    server.datasets[REF].is_private = True
    with pytest.raises(RemoteError) as error:
        api.dataset_version(REF)
    assert words(error).startswith(f"{REF}: Kaggle requires an account, and none is set up here\n")


def log_in(server: Kaggle, *, hours: float, token: str = REFRESH_TOKEN) -> Path:
    """Leave what `kaggle auth login` leaves."""
    path = server.home / ".kaggle" / "credentials.json"
    path.parent.mkdir(exist_ok=True)
    expiration = datetime.now(UTC) + timedelta(hours=hours)
    path.write_text(
        json.dumps(
            {
                "refresh_token": token,
                "access_token": TOKEN,
                "access_token_expiration": expiration.isoformat(),
                "username": USERNAME,
                "scopes": [],
            }
        )
    )
    return path


@pytest.mark.parametrize(("hours", "renewals"), [(6.0, 0), (-6.0, 1)])
def test_an_oauth_login_is_used(
    server: Kaggle, monkeypatch: pytest.MonkeyPatch, upload: Path, hours: float, renewals: int
) -> None:
    server.redirect_clients(monkeypatch, token=None)
    log_in(server, hours=hours)
    assert api.list_competition_files(SLUG)
    assert send(upload) == 20_000_001
    assert len(server.requests_of("GenerateAccessToken")) == renewals
    server.redirect_clients(monkeypatch, token=WRONG_TOKEN)  # no login is kept after a call
    with pytest.raises(RemoteError, match="does not accept the token in KAGGLE_API_TOKEN"):
        api.submission_limits(SLUG)


def test_an_expired_login_is_refused_and_kept(
    server: Kaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.redirect_clients(monkeypatch, token=None)
    path = log_in(server, hours=-6, token="an0ther")
    with pytest.raises(RemoteError) as error:
        api.submission_limits(SLUG)
    assert words(error) == (
        "~/.kaggle/credentials.json: the Kaggle token in it cannot be used\n"
        "  found: the server answered 401 Unauthorized\n"
        "  to do: log in again with `kaggle auth login --force`"
    )
    assert path.exists()  # kaggle's own client would remove it
    server.play("GenerateAccessToken", Status(503))
    with pytest.raises(requests.HTTPError):
        api.submission_limits(SLUG)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("credentials.json", "[]", "not a login of Kaggle"),
        ("kaggle.json", "{", "neither a token nor JSON with username and key"),
        ("kaggle.json", "7", "neither a token nor JSON with username and key"),
        ("kaggle.json", json.dumps({"username": "me", "key": ""}), ODD),
        ("kaggle.json", json.dumps({"username": "me", "key": 7}), ODD),
        ("access_token", f"{TOKEN} {TOKEN}", ODD),
    ],
)
def test_files_without_a_valid_token_are_refused(
    server: Kaggle, monkeypatch: pytest.MonkeyPatch, name: str, content: str, found: str
) -> None:
    server.redirect_clients(monkeypatch, token=None)
    (server.home / ".kaggle").mkdir()
    (server.home / ".kaggle" / name).write_text(content)
    with pytest.raises(RemoteError, match=f"found: {found}") as error:
        api.submission_limits(SLUG)
    assert name in words(error)


@pytest.mark.parametrize(
    ("token", "found"),
    [
        (f"{TOKEN}\r", ODD),
        (f"{TOKEN}é", ODD),
        (TOKEN * 40, "neither a token nor a file"),  # a path too long to be looked for
    ],
)
def test_invalid_tokens_are_refused(
    server: Kaggle, monkeypatch: pytest.MonkeyPatch, token: str, found: str
) -> None:
    server.redirect_clients(monkeypatch, token=token)
    with pytest.raises(RemoteError) as error:
        api.submission_limits(SLUG)
    assert words(error) == (
        "KAGGLE_API_TOKEN: the Kaggle token in it cannot be used\n"
        f"  found: {found}\n"
        "  to do: create a new token at https://www.kaggle.com/settings/api, and replace it"
    )
    assert server.requests == []


def test_accounts_in_every_place_are_used(
    server: Kaggle, monkeypatch: pytest.MonkeyPatch, upload: Path
) -> None:
    server.redirect_clients(monkeypatch, token=None)
    folder = server.home / ".kaggle"
    folder.mkdir()
    (folder / "kaggle.json").write_text(json.dumps({"username": USERNAME, "key": KEY}))
    assert api.list_competition_files(SLUG)
    assert send(upload) == 20_000_001
    (folder / "kaggle.json").write_text(json.dumps({"username": USERNAME, "key": "wrong"}))
    with pytest.raises(RemoteError, match=r"the token in kaggle\.json"):
        api.submission_limits(SLUG)
    monkeypatch.setenv("KAGGLE_USERNAME", USERNAME)
    monkeypatch.setenv("KAGGLE_KEY", "wrong")
    with pytest.raises(RemoteError, match="the token in KAGGLE_USERNAME and KAGGLE_KEY"):
        api.submission_limits(SLUG)
    (folder / "access_token").write_text("\n")
    for name in ("access_token.txt", "access_token"):
        (folder / name).write_text(f"{WRONG_TOKEN}\n")
        with pytest.raises(RemoteError, match=rf"the token in ~/\.kaggle/{name}\n"):
            api.submission_limits(SLUG)
    (folder / "access_token").write_text(f"{TOKEN}\n")
    assert api.submission_limits(SLUG).allowed == 4


def test_settings_from_the_import_of_the_clients_do_not_count(
    server: Kaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.submission_limits(SLUG).allowed == 5
    extended = sys.modules["kaggle.api.kaggle_api_extended"]
    monkeypatch.setattr(extended.KaggleApi, "args", ["--verbose"])
    assert api.submission_limits(SLUG).allowed == 5


def test_one_process_and_several_servers(monkeypatch: pytest.MonkeyPatch, upload: Path) -> None:
    for allowed in (2, 3, 4):
        with Kaggle() as server:
            server.redirect_clients(monkeypatch)
            server.competitions[SLUG] = Competition({"a.csv": b"x" * allowed}, allowed=allowed)
            assert api.list_competition_files(SLUG) == {"a.csv": allowed}
            assert api.submission_limits(SLUG).allowed == allowed
            assert send(upload) == 20_000_001
            assert len(api.list_submissions(SLUG)) == 1
